"""Fetching Kafka's jars, without Kafka's jars."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker import jars
from streams.broker.cache import cache_dir, locked
from streams.broker.pins import JARS, KAFKA_VERSION, Jar
from streams.errors import UserError

CONTENT = b"not really a jar" * 100
GOOD = Jar("org.example", "good", "1.0", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
TAMPERED = Jar("org.example", "tampered", "1.0", len(CONTENT), "0" * 64)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLAGGED_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / f"kafka-{KAFKA_VERSION}"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Maven repository on this machine, which holds what is put in the directory."""
    root = tmp_path / "repository"
    for jar in (GOOD, TAMPERED):
        path = root / "org/example" / jar.artifact / jar.version / jar.file_name
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("FLAGGED_MAVEN_URL", f"http://127.0.0.1:{server.server_port}")
    yield root
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_pin_is_whole() -> None:
    assert len({jar.file_name for jar in JARS}) == len(JARS) == 46
    assert all(len(bytes.fromhex(jar.sha256)) == 32 and jar.size_bytes > 0 for jar in JARS)


def test_fetches_what_is_missing_and_says_so(cache: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "JARS", (GOOD,))
    said = io.StringIO()
    assert jars.class_path(said) == [cache / "good-1.0.jar"]
    assert (cache / "good-1.0.jar").read_bytes() == CONTENT
    assert "1 of 1 jars" in said.getvalue()
    assert sorted(path.name for path in cache.iterdir()) == [".lock", "good-1.0.jar"]


def test_what_is_there_is_not_fetched_again(cache: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "JARS", (GOOD,))
    jars.class_path(io.StringIO())
    monkeypatch.setenv("FLAGGED_MAVEN_URL", "http://127.0.0.1:1")
    said = io.StringIO()
    jars.class_path(said)
    assert said.getvalue() == ""


def test_a_cut_off_jar_is_fetched_again(cache: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "JARS", (GOOD,))
    cache.mkdir(parents=True)
    (cache / "good-1.0.jar").write_bytes(CONTENT[:7])
    jars.class_path(io.StringIO())
    assert (cache / "good-1.0.jar").read_bytes() == CONTENT


def test_a_jar_that_is_not_the_published_one_is_refused(
    cache: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "JARS", (TAMPERED,))
    with pytest.raises(UserError, match="not the published file"):
        jars.class_path(io.StringIO())
    assert not (cache / "tampered-1.0.jar").exists()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/maven2", "http://no-such-host.invalid/maven2", "not a url"])
def test_without_network_the_error_says_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("FLAGGED_MAVEN_URL", url)
    # A proxy would answer for a host that does not exist.
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError) as raised:
        jars.class_path(io.StringIO())
    message = str(raised.value)
    for part in ("Apache Kafka", url, "Maven Central", "FLAGGED_MAVEN_URL", "--broker", "FLAGGED_BROKER"):
        assert part in message


def test_not_found_is_an_error_too(cache: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="Cannot fetch"):
        jars.class_path(io.StringIO())


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLAGGED_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(UserError, match="FLAGGED_CACHE_DIR"):
        jars.class_path(io.StringIO())


def test_without_jgo_the_error_names_the_extra(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    with pytest.raises(UserError, match=r"pip install 'flagged-products\[embedded\]'"):
        jars.class_path(io.StringIO())


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_one_line_and_elsewhere_a_few() -> None:
    many = [Jar("g", f"a{number}", "1", 1000, "") for number in range(40)]
    terminal, file = _Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = jars.Progress(many, "here", stream)
        for _ in many:
            progress.add_bytes(1000)
            progress.add_jar()
    assert terminal.getvalue().count("\n") == 2
    assert terminal.getvalue().endswith("40 of 40 jars, 0.0 of 0.0 MB\n")
    assert file.getvalue().count("\n") == 5
    assert "\r" not in file.getvalue()


def test_cache_dir_prefers_ours_then_xdg_then_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FLAGGED_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_dir() == tmp_path / ".cache" / "flagged-products"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_dir() == tmp_path / ".cache" / "flagged-products"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "flagged-products"
    monkeypatch.setenv("FLAGGED_CACHE_DIR", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"


def test_the_second_of_two_waits_for_the_lock(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with locked(tmp_path / "lock", waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path / "lock", lambda: None):
        thread.start()
        assert waiting.wait(60)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_lock_file_left_by_a_dead_process_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").write_bytes(b"")
    os.utime(tmp_path / "lock", (0, 0))
    with locked(tmp_path / "lock", lambda: pytest.fail("waited")):
        pass

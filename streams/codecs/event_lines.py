"""Events as lines of a file: JSONL, one input event a line, for `simulate`, `replay` and `backtest`.

A line is the event's JSON itself. It may carry `_topic` (the topic's name), `_ts` (the record's timestamp in ms),
`_key` (the record's key, or null) and `_raw` (base64 of the record's value, for what is no JSON; null for a null
value). Without them the topic follows from the type, the timestamp is occurred_at and the key is product_id.
Where not even that can be told from a bad event, it goes to the orders topic, has the timestamp of the line before,
and no key.
"""

from __future__ import annotations

import base64
import binascii
import gzip
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeGuard

from streams.codecs.json_text import FractionToken, IntToken, JsonValue, member_spans, read_json
from streams.codecs.refusals import Refused
from streams.codecs.times import time_ms
from streams.domain.events import INTEGER_MAX, ORDERS, TOPIC_OF_TYPE
from streams.errors import UserError

_OWN = ("_topic", "_ts", "_key", "_raw")
_LONGEST_MS = len(str(INTEGER_MAX))

JsonObject = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class InputRecord:
    """A record for one of the input topics; `topic` is its index in SPEC 2's order."""

    topic: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


def read_files(paths: Iterable[Path], topics: Mapping[str, int]) -> Iterator[InputRecord]:
    """All records of the files (`.gz` is unpacked), one file after the other.

    `topics` maps the names that `_topic` may have to their index. Raises UserError, naming file and line.
    """
    previous = 0
    for path in paths:
        try:
            with _open(path) as lines:
                for number, line in enumerate(lines, 1):
                    line = line.strip(b" \t\r\n")
                    if not line:
                        continue
                    try:
                        record = parse_line(line, topics, previous)
                    except ValueError as error:
                        raise UserError(f"{path}, line {number}: {error}") from error
                    previous = record.timestamp_ms
                    yield record
        except (OSError, EOFError) as error:
            raise UserError(f"cannot read {path}: {error}") from error


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def parse_line(line: bytes, topics: Mapping[str, int], previous_ms: int) -> InputRecord:
    """The record of one line. Raises ValueError if the line is no JSON object or one of the `_` fields is wrong."""
    text = line.decode("utf-8", "surrogateescape")
    event = _object(text)
    if event is None:
        raise ValueError("not a JSON object; a record that is none goes in as base64 in `_raw`")
    value: bytes | None = line
    told = event
    if "_raw" in event:
        value = _raw(event["_raw"])
        told = _object((value or b"").decode("utf-8", "surrogateescape")) or {}
    elif any(name in event for name in _OWN):
        value = _without_own(text).encode("utf-8", "surrogateescape")
    return InputRecord(
        topic=_topic(event, told, topics),
        timestamp_ms=_timestamp(event, told, previous_ms),
        key=_key(event["_key"] if "_key" in event else told.get("product_id"), strict="_key" in event),
        value=value,
    )


def _is_text(value: object) -> TypeGuard[str]:
    """Whether a JSON value is a string: tokens of numbers are kept as text too."""
    return isinstance(value, str) and not isinstance(value, IntToken | FractionToken)


def _raw(raw: object) -> bytes | None:
    if raw is None:
        return None
    if not _is_text(raw):
        raise ValueError("`_raw` is the base64 of the record's value, or null")
    try:
        return base64.b64decode(raw, validate=True)
    except binascii.Error as error:
        raise ValueError(f"`_raw` is no base64: {error}") from error


def _object(text: str) -> JsonObject | None:
    """The JSON object in `text`, as the codec reads it; None if there is none."""
    try:
        value = read_json(text)
    except Refused:
        return None
    return value if isinstance(value, dict) else None


def _topic(event: JsonObject, told: JsonObject, topics: Mapping[str, int]) -> int:
    if "_topic" in event:
        name = event["_topic"]
        if not isinstance(name, str) or name not in topics:
            raise ValueError(f"`_topic` is none of the input topics {', '.join(topics)}")
        return topics[name]
    type_name = told.get("type")
    return TOPIC_OF_TYPE.get(type_name, ORDERS) if isinstance(type_name, str) else ORDERS


def _timestamp(event: JsonObject, told: JsonObject, previous_ms: int) -> int:
    if "_ts" in event:
        given = _milliseconds(event["_ts"])
        if given is None:
            raise ValueError("`_ts` is the record's timestamp in ms, an integer from 0")
        return given
    at = told.get("occurred_at")
    if _is_text(at):
        try:
            return time_ms(at)
        except ValueError:
            return previous_ms
    occurred_at = _milliseconds(at)
    return previous_ms if occurred_at is None else occurred_at


def _milliseconds(value: JsonValue) -> int | None:
    """An integer a timestamp may be, or None."""
    if not isinstance(value, IntToken) or len(value) > _LONGEST_MS or value.startswith("-"):
        return None
    at = int(value)
    return at if at <= INTEGER_MAX else None


def _key(key: object, *, strict: bool) -> bytes | None:
    if _is_text(key):
        try:
            # A line that is not UTF-8 gives its key as the bytes it had.
            return key.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return key.encode("utf-8", "surrogatepass")  # an escaped lone surrogate: the codec refuses it
    if strict and key is not None:
        raise ValueError("`_key` is a string or null")
    return None


def _without_own(text: str) -> str:
    """The object's text without our own members; all others to the letter, since numbers count as written."""
    return "{" + ",".join(text[start:end] for name, start, end in member_spans(text) if name not in _OWN) + "}"

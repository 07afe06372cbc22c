"""Simulated records, and their form as lines of JSON (the input of `replay` and `backtest`)."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from streams.domain.events import TOPIC_OF_TYPE

# By topic index (SPEC section 2). A line names topics by their defaults, whatever they are called where it is sent.
TOPIC_NAMES: Final = (
    "marketplace.orders.v1",
    "marketplace.cancellations.v1",
    "marketplace.shipping-fees.v1",
    "marketplace.impressions.v1",
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_COMPACT: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


class SimulatedRecord(NamedTuple):
    """A record as it would stand in an input topic."""

    timestamp_ms: int
    """The record's own timestamp: when it arrived."""
    topic: int
    """Index of the input topic (`streams.domain.events`)."""
    key: bytes | None
    value: bytes | None


class BadRecord(SimulatedRecord):
    """A record that SPEC section 3 refuses."""

    __slots__ = ()


def encode(fields: dict[str, Any]) -> bytes:
    """The compact JSON of an event; the same bytes for the same fields in the same order."""
    return _COMPACT.encode(fields).encode()


def time_ms(time: int | str) -> int:
    """The milliseconds since the epoch of a time as an event carries it (SPEC section 3); below one is cut.

    Raises ValueError if it is a string that is no RFC 3339 time with an offset.
    """
    if isinstance(time, int):
        return time
    moment = datetime.fromisoformat(time)
    if moment.tzinfo is None:
        raise ValueError(f"time without an offset: {time}")
    return (moment - _EPOCH) // _MILLISECOND


def rfc3339(time: int) -> str:
    """A time (ms) as an RFC 3339 string, with milliseconds, in UTC."""
    moment = _EPOCH + timedelta(milliseconds=time)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time % 1000:03d}Z"


def to_line(record: SimulatedRecord) -> bytes:
    """The record as one line of JSON, with its line feed.

    A plain event stands as it is. `_ts` is added where the record's timestamp is not its occurred_at, `_topic` and
    `_key` where they don't follow from the event. What is bad, or no event at all, keeps its bytes in `_raw` (base64;
    null for a null value), beside `_key`, `_topic` and `_ts`.
    """
    fields = None if isinstance(record, BadRecord) else _event(record.value)
    if fields is None or record.value is None:
        return _raw_line(record)
    extra: dict[str, Any] = {}
    topic = TOPIC_OF_TYPE.get(fields["type"])
    if topic != record.topic:
        extra["_topic"] = TOPIC_NAMES[record.topic]
    if fields.get("product_id") != _text(record.key):
        extra["_key"] = _text(record.key)
    if time_ms(fields["occurred_at"]) != record.timestamp_ms:
        extra["_ts"] = record.timestamp_ms
    if not extra:
        return record.value + b"\n"
    return record.value[:-1] + b"," + encode(extra)[1:] + b"\n"


def _event(value: bytes | None) -> dict[str, Any] | None:
    """The fields of a value that can stand in a line as it is; None if it can't."""
    if value is None or b"\n" in value or b"\r" in value or not value.endswith(b"}"):
        return None
    try:
        fields = json.loads(value)
        time_ms(fields["occurred_at"])
        if not isinstance(fields["type"], str):
            return None
    except (ValueError, KeyError, TypeError):
        return None
    assert isinstance(fields, dict)
    return fields


def _raw_line(record: SimulatedRecord) -> bytes:
    raw = None if record.value is None else base64.b64encode(record.value).decode()
    fields = {"_topic": TOPIC_NAMES[record.topic], "_key": _text(record.key), "_ts": record.timestamp_ms, "_raw": raw}
    return encode(fields) + b"\n"


def _text(key: bytes | None) -> str | None:
    return None if key is None else key.decode()

"""Input records to events (SPEC section 3).

`decode` is the definition, rule by rule; `decode_batch` gives the same results, and reads with `streams.codecs.fast`,
many times as fast, what that can tell to come out the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

from streams.codecs.fast import READERS, UNDECIDED
from streams.codecs.fields import AHEAD_MAX_MS, READER_OF_TYPE, Fields
from streams.codecs.json_text import FractionToken, IntToken, JsonValue, parse_json
from streams.codecs.refusals import Reason, Refused, Stage
from streams.domain.events import TOPIC_OF_TYPE, InputEvent

__all__ = ["VALUE_SIZE_MAX", "Headers", "Reason", "Refused", "Stage", "decode", "decode_batch"]

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]

VALUE_SIZE_MAX = 64 * 1024  # bytes
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STRUCTURED = b"application/cloudevents+json"


def decode(topic: int, key: bytes | None, value: bytes | None, timestamp: int, headers: Headers) -> InputEvent | str:
    """Read one record of input topic `topic` (`ORDERS` ... `IMPRESSIONS`), `timestamp` in ms.

    Return the event, or the name of its type where that is unknown and the record is to be skipped. Raise `Refused`
    where it is to go to the dead letters; of several faults the first in the order of these steps is told.
    """
    # 1. Bytes to text to JSON.
    found = parse_json(_text(value))
    # 2. The event's object, and what CloudEvents puts beside it.
    body, around_type, around_id = _event_object(found, headers)
    # 3. Its type: unknown ones are skipped whatever else they say.
    kind = body.get("type")
    if kind is None:
        kind = around_type
    if kind is None:
        raise Refused(Reason.NO_TYPE, "type is missing")
    if not isinstance(kind, str) or isinstance(kind, (IntToken, FractionToken)):
        raise Refused(Reason.BAD_FIELD, "type is not a string")
    read = READER_OF_TYPE.get(kind)
    if read is None:
        return kind
    if TOPIC_OF_TYPE[kind] != topic:
        raise Refused(Reason.WRONG_TOPIC, f"type {kind} does not belong on this topic")
    # 4. Its fields.
    if body.get("event_id") is None:
        body["event_id"] = around_id
    event = read(Fields(body, timestamp))
    # 5. The key, on which partition, order and state rest.
    if key is None:
        raise Refused(Reason.KEY_MISMATCH, "the record has no key; it must be the product_id")
    if event.product_id.encode() != key:
        raise Refused(Reason.KEY_MISMATCH, "product_id is not equal to the record's key")
    return event


def decode_batch(
    topic: int,
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
    timestamps: Sequence[int],
    headers: Sequence[Headers | None] | None,
) -> list[InputEvent | str | Refused]:
    """Read the records of one fetched batch, given as columns of one length; `timestamps` in ms.

    `headers` may be None for a batch without any, and so may each of its items. The results are those of `decode`, in
    order, a `Refused` being returned in its record's place and never raised.
    """
    results: list[InputEvent | str | Refused] = []
    append = results.append
    first, second = READERS[topic]
    for key, value, timestamp in zip(keys, _fast_values(values, headers), timestamps, strict=True):
        try:
            event = first(value)
        except UNDECIDED:
            try:
                event = second(value)
                first, second = second, first  # a producer writes its times one way: begin with what just served
            except UNDECIDED:
                at = len(results)
                append(_decode_or_refused(topic, key, values[at], timestamp, headers[at] if headers else None))
                continue
        if event.product_id.encode() == key and event.occurred_at <= timestamp + AHEAD_MAX_MS:
            append(event)
        else:
            at = len(results)
            append(_decode_or_refused(topic, key, values[at], timestamp, headers[at] if headers else None))
    return results


def _fast_values(values: Sequence[bytes | None], headers: Sequence[Headers | None] | None) -> Sequence[bytes]:
    """The values, with those that the fast reading must not see made empty, so that it is undecided about them."""
    if not (headers and any(headers)) and None not in values:
        there = cast(Sequence[bytes], values)
        # One look at all of them; no character lies on both sides of a line feed.
        if max(map(len, there), default=0) <= VALUE_SIZE_MAX and _is_plain(b"\n".join(there)):
            return there
    around = headers or [None] * len(values)
    return [
        value if value is not None and _is_fast(value) and not (beside and _is_structured(beside)) else b""
        for value, beside in zip(values, around, strict=True)
    ]


def _is_fast(value: bytes) -> bool:
    return len(value) <= VALUE_SIZE_MAX and _is_plain(value)


def _is_plain(text: bytes) -> bool:
    """Whether it is UTF-8 without escaped surrogates: msgspec may pass over either."""
    if b"\\" in text and (b"\\ud" in text or b"\\uD" in text):
        return False
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decode_or_refused(
    topic: int, key: bytes | None, value: bytes | None, timestamp: int, headers: Headers | None
) -> InputEvent | str | Refused:
    try:
        return decode(topic, key, value, timestamp, headers or ())
    except Refused as refused:
        # Traceback and context would keep the frames, and so the whole batch, for as long as the result lives.
        refused.__context__ = None
        return refused.with_traceback(None)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001
        # SPEC 9.7: bad input stops nothing, not even one that finds a fault of ours.
        return Refused(Reason.CODEC_ERROR, f"the record could not be read: {type(error).__name__}")


def _text(value: bytes | None) -> str:
    if value is None:
        raise Refused(Reason.NULL_VALUE, "the value is null")
    if len(value) > VALUE_SIZE_MAX:
        raise Refused(Reason.TOO_LARGE, f"the value is larger than {VALUE_SIZE_MAX} bytes")
    if value.startswith(_BYTE_ORDER_MARK):
        raise Refused(Reason.BYTE_ORDER_MARK, "the value begins with a byte order mark")
    try:
        return value.decode()
    except UnicodeDecodeError:
        pass
    try:
        value.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        raise Refused(Reason.NOT_UTF8, "the value is not UTF-8") from None
    raise Refused(Reason.LONE_SURROGATE, "the value holds a surrogate, which UTF-8 has no bytes for")


def _event_object(found: JsonValue, headers: Headers) -> tuple[dict[str, JsonValue], JsonValue, JsonValue]:
    """The event's object, and the type and id that CloudEvents carries around it."""
    if not isinstance(found, dict):
        raise Refused(Reason.NOT_OBJECT, "the value is not a JSON object")
    if not _is_structured(headers):
        return found, _header(headers, "ce_type"), _header(headers, "ce_id")
    data = found.get("data")
    if not isinstance(data, dict):
        raise Refused(Reason.NOT_OBJECT, "data is not a JSON object")
    return data, found.get("type"), found.get("id")


def _is_structured(headers: Headers) -> bool:
    media_type = None
    for name, content in headers:
        if name.lower() == "content-type":
            media_type = content
    return media_type is not None and media_type.partition(b";")[0].strip().lower() == _STRUCTURED


def _header(headers: Headers, name: str) -> str | None:
    """The last header of that name, as is Kafka's custom; None where there is none or it is not UTF-8 text."""
    content = next((content for header, content in reversed(headers) if header == name), None)
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None

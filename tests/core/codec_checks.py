"""What no input to a codec may do, whatever it is; for the property tests and for the fuzzer (tests/fuzz).

Each check takes bytes, and fails where a codec raises what it does not announce, disagrees with itself, or hands out
what cannot be written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streams.codecs.event_lines import InputRecord, parse_line
from streams.codecs.inputs import VALUE_SIZE_MAX, Headers, decode, decode_batch
from streams.codecs.meta import (
    Meta,
    Outbox,
    decode_meta,
    decode_outbox,
    encode_meta,
    encode_outbox,
    epoch_headers,
    epoch_of,
)
from streams.codecs.refusals import Reason, Refused
from streams.codecs.row import PAGE_PREFIX, RowError, RowWriter, decode_product, product_of
from streams.domain.events import InputEvent
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook
from tests.unit.codecs.row_views import product_view

BOOK = Rulebook(PolicySet((DEFAULT_POLICY,)))
TOPICS = {"marketplace.orders.v1": 0, "marketplace.cancellations.v1": 1}


def told(outcome: InputEvent | str | Refused) -> Any:
    """All of an outcome that anyone can see; events by their repr, which tells 1.0 from 1.00 and True from 1."""
    if isinstance(outcome, Refused):
        return outcome.stage, outcome.reason, outcome.message
    return type(outcome), repr(outcome)


def check_record(
    topic: int, key: bytes | None, value: bytes | None, timestamp: int, headers: Headers
) -> InputEvent | str | Refused:
    """A record is an event, an unknown type or a refusal, the same by itself as in a batch; what it is."""
    (outcome,) = decode_batch(topic, [key], [value], [timestamp], [headers] if headers else None)
    assert isinstance(outcome, InputEvent | str | Refused)
    try:
        alone: InputEvent | str | Refused = decode(topic, key, value, timestamp, headers)
    except Refused as refused:
        alone = refused
    assert told(alone) == told(outcome)
    if isinstance(outcome, Refused):
        assert outcome.reason != Reason.CODEC_ERROR
        assert len(outcome.message) < 200  # it goes into a header and into the log: nothing of the value may
        assert (outcome.reason == Reason.TOO_LARGE) is (value is not None and len(value) > VALUE_SIZE_MAX)
    return outcome


def check_line(line: bytes) -> InputRecord | None:
    """A line of an events file is a record, or a ValueError says what is wrong with it."""
    try:
        record = parse_line(line, TOPICS, 0)
    except ValueError:
        return None
    check_record(record.topic, record.key, record.value, record.timestamp_ms, ())
    return record


def check_product(header: bytes, pages: Mapping[int, bytes], clock_ms: int) -> Product | None:
    """Rows are a product, which is the same once it was written and read again, or a RowError; None then.

    `clock_ms`: of the cut they are of.
    """
    try:
        product, count = decode_product("P1", header, pages, BOOK, clock_ms)
    except RowError:
        return None
    if product.is_empty:
        return product
    product.touched = None  # so that all of it is written
    view = product_view(product)
    writer = RowWriter({"P1": count})
    rows = {key: value for key, value in writer.encode("P1", product, BOOK) if value is not None}
    parts = {int.from_bytes(key[1:5], "big"): value for key, value in rows.items() if key.startswith(PAGE_PREFIX)}
    again, _ = decode_product("P1", rows[b"P1"], parts, BOOK, clock_ms)
    assert product_view(again) == view
    return product


def check_key(key: bytes) -> str | None:
    """A key is that of a product, or a RowError."""
    try:
        return product_of(key)
    except RowError:
        return None


def check_meta(row: bytes) -> Meta | None:
    """A row is a cut that can be written again, or a RowError."""
    try:
        meta = decode_meta(row)
    except RowError:
        return None
    assert decode_meta(encode_meta(meta)) == meta
    return meta


def check_outbox(rows: Sequence[bytes]) -> Outbox | None:
    """Rows are an outbox that can be written again, or a RowError."""
    try:
        outbox = decode_outbox(rows)
    except RowError:
        return None
    assert decode_outbox(row for _, row in encode_outbox(outbox)) == outbox
    return outbox


def check_epoch(value: bytes | None) -> int:
    """A header is an epoch after which there can be others, or 0."""
    epoch = epoch_of((("epoch", value),))
    assert epoch >= 0
    assert epoch_of(epoch_headers(epoch)) == epoch
    return epoch

"""The meta row: everything of a cut that is no product (DESIGN decisions 2 and 3)."""

from __future__ import annotations

import pytest

from streams.codecs.meta import (
    CLAIM_KEY,
    META_KEY,
    OUTBOX_PREFIX,
    SNAPSHOTS_PER_ROW,
    Meta,
    Outbox,
    OutboxEntry,
    decode_meta,
    decode_outbox,
    encode_meta,
    encode_outbox,
    epoch_headers,
    epoch_of,
    outbox_key,
)
from streams.codecs.row import PAGE_PREFIX, RowError

META = Meta(
    clock=1_772_409_600_000,
    positions=[1, 2, 3, 2**53],
    awaited=[9, 0, 0, 0],
    flush_number=7,
    outbox_rows=2,
)
OUTBOX = Outbox([OutboxEntry("Pé", 3, 1_772_409_600_000, b'{"a":1}')], ["Pé", "P2"])


def test_what_is_written_is_read_back() -> None:
    assert decode_meta(encode_meta(META)) == META
    assert decode_meta(encode_meta(Meta())) == Meta()


def test_a_fresh_meta_row_has_no_clock_and_begins_at_the_beginning() -> None:
    fresh = Meta()
    assert (fresh.clock, fresh.positions, fresh.awaited) == (None, [0] * 4, [0] * 4)
    assert (fresh.flush_number, fresh.outbox_rows) == (0, 0)
    fresh.positions[0] = 5
    assert Meta().positions[0] == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"", "version none is not 1"),
        (b"\x02" + encode_meta(META)[1:], "version 2 is not 1"),
        (encode_meta(META)[:-1], "damaged"),
        (b"\x01\x90\x90", "damaged"),
        (b"\x01\xa1x", "damaged"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused(row: bytes, message: str) -> None:
    with pytest.raises(RowError, match=message):
        decode_meta(row)


def test_the_outbox_is_rows_of_a_bounded_size() -> None:
    rows = encode_outbox(OUTBOX)
    assert [key for key, _ in rows] == [outbox_key(0), outbox_key(1)]
    assert decode_outbox(value for _, value in rows) == OUTBOX
    assert encode_outbox(Outbox()) == []
    many = Outbox([], [f"P{number}" for number in range(SNAPSHOTS_PER_ROW + 1)])
    assert len(encode_outbox(many)) == 2
    assert decode_outbox(value for _, value in encode_outbox(many)) == many


@pytest.mark.parametrize("row", [b"", b"\x02\x00", b"\x01\x02\x90", b"\x01\x00\x90", b"\x01\x01\x01"])
def test_an_outbox_row_that_cannot_be_read_is_refused(row: bytes) -> None:
    with pytest.raises(RowError, match="outbox row"):
        decode_outbox([row])


def test_its_keys_can_begin_no_products_key_nor_a_pages() -> None:
    for key in (META_KEY, CLAIM_KEY, OUTBOX_PREFIX):
        assert not key.startswith(PAGE_PREFIX)
        with pytest.raises(UnicodeDecodeError):
            (key + b"P1").decode()
    assert META_KEY != CLAIM_KEY


def test_an_epoch_is_a_header_and_0_where_there_is_none() -> None:
    assert epoch_of(epoch_headers(12)) == 12
    assert epoch_of(()) == 0
    assert epoch_of((("epoch", None),)) == 0
    assert epoch_of((("epoch", b"x"),)) == 0
    assert epoch_of((("other", b"5"), *epoch_headers(3))) == 3

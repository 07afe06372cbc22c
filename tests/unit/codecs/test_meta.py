"""The meta row: everything of a cut that is no product (DESIGN decisions 2 and 3)."""

from __future__ import annotations

import pytest

from streams.codecs.meta import (
    CLAIM_KEY,
    META_KEY,
    Meta,
    OutboxEntry,
    decode_meta,
    encode_meta,
    epoch_headers,
    epoch_of,
)
from streams.codecs.row import PAGE_PREFIX, RowError

META = Meta(
    clock=1_772_409_600_000,
    positions=[1, 2, 3, 2**53],
    awaited=[9, 0, 0, 0],
    flush_number=7,
    outbox=[OutboxEntry("Pé", 3, 1_772_409_600_000, b'{"a":1}')],
    snapshots=["Pé", "P2"],
)


def test_what_is_written_is_read_back() -> None:
    assert decode_meta(encode_meta(META)) == META
    assert decode_meta(encode_meta(Meta())) == Meta()


def test_a_fresh_meta_row_has_no_clock_and_begins_at_the_beginning() -> None:
    fresh = Meta()
    assert (fresh.clock, fresh.positions, fresh.awaited) == (None, [0] * 4, [0] * 4)
    assert (fresh.flush_number, fresh.outbox, fresh.snapshots) == (0, [], [])
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


def test_its_keys_can_begin_no_products_key_nor_a_pages() -> None:
    for key in (META_KEY, CLAIM_KEY):
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

"""The meta row of a partition: everything of a cut that is no product (DESIGN decisions 2 and 3)."""

from __future__ import annotations

import msgspec

from streams.codecs.row import RowError

# Neither can begin a product's key, nor a page's (see `row`).
META_KEY = b"\xfe"
CLAIM_KEY = b"\xfd"

EPOCH_HEADER = "epoch"
VERSION = 1


class OutboxEntry(msgspec.Struct, array_like=True, frozen=True):
    """A transition that is durable and perhaps not yet published; `value` is published as it is."""

    product_id: str
    sequence: int
    effective_at: int
    value: bytes


class Meta(msgspec.Struct, array_like=True, kw_only=True):
    """One cut: `clock` (ms, None before the first accepted event), the next offset of each input topic in SPEC 2's
    order, the offsets up to which a replay has announced records, the number of the flush, the transitions to publish
    and the products whose snapshot is to be written."""

    clock: int | None = None
    positions: list[int] = msgspec.field(default_factory=lambda: [0, 0, 0, 0])
    awaited: list[int] = msgspec.field(default_factory=lambda: [0, 0, 0, 0])
    flush_number: int = 0
    outbox: list[OutboxEntry] = []
    snapshots: list[str] = []


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Meta)


def encode_meta(meta: Meta) -> bytes:
    """The value of a meta row."""
    return bytes((VERSION,)) + _encoder.encode(meta)


def decode_meta(row: bytes) -> Meta:
    """What a meta row says. Raises RowError for another version or a damaged row."""
    if not row or row[0] != VERSION:
        raise RowError(f"meta row version {row[0] if row else 'none'} is not {VERSION}, the one this program reads")
    try:
        return _decoder.decode(memoryview(row)[1:])
    except msgspec.MsgspecError as error:
        raise RowError(f"a damaged meta row: {error}") from error


def epoch_headers(epoch: int) -> tuple[tuple[str, bytes], ...]:
    """What every row carries: its writer's epoch (compaction takes batches apart)."""
    return ((EPOCH_HEADER, str(epoch).encode()),)


def epoch_of(headers: tuple[tuple[str, bytes | None], ...]) -> int:
    """The epoch of a row; 0, lower than any writer's, where it says none."""
    for name, value in headers:
        if name == EPOCH_HEADER and value is not None and value.isdigit():
            return int(value)
    return 0

"""The rows of a cut that are no products: the meta row, and the outbox (DESIGN decisions 2 and 3).

The outbox has rows of its own, for it may be larger than one record may be: a policy that takes effect can move every
product of a partition at one instant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, TypeAlias, TypeVar

import msgspec

from streams.codecs.row import RowError

# Neither can begin a product's key, nor a page's (see `row`).
META_KEY = b"\xfe"
CLAIM_KEY = b"\xfd"
OUTBOX_PREFIX = b"\xfc"

# Snapshots are named in the outbox by product id; so many to a row, some 100 KB at the most.
SNAPSHOTS_PER_ROW = 400

EPOCH_HEADER = "epoch"
VERSION = 1
_TRANSITION, _SNAPSHOTS = bytes((VERSION, 0)), bytes((VERSION, 1))

# The digits of a signed integer of 64 bits, more than any epoch has; Python refuses to read 4,300 of them.
_EPOCH_DIGITS_MAX = 19

T = TypeVar("T")
_Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]  # of an outbox row, four bytes in its key
_Offsets: TypeAlias = Annotated[list[_Natural], msgspec.Meta(min_length=4, max_length=4)]


class OutboxEntry(msgspec.Struct, array_like=True, frozen=True):
    """A transition that is durable and perhaps not yet published; `value` is published as it is."""

    product_id: str
    sequence: _Natural
    effective_at: _Natural
    value: bytes


class Meta(msgspec.Struct, array_like=True, kw_only=True):
    """One cut: `clock` (ms, None before the first accepted event), the next offset of each input topic in SPEC 2's
    order, the offsets up to which a replay has announced records, the number of the flush, how many outbox rows
    belong to it, and the offset up to which the snapshot topic is known to be this partition's owners' own.

    `lands_at`: the offset before which the cut cannot lie in its log; `products`: how many products it leaves. A log
    that disagrees has lost something. None: a cut that does not say.
    `rules`: the digest of the rules (`Rulebook.digest`) that the due times of the rows were found by; 0 of none."""

    clock: int | None = None
    positions: _Offsets = msgspec.field(default_factory=lambda: [0, 0, 0, 0])
    awaited: _Offsets = msgspec.field(default_factory=lambda: [0, 0, 0, 0])
    flush_number: _Natural = 0
    outbox_rows: _Number = 0
    snapshots_end: _Natural = 0
    lands_at: _Natural = 0
    products: _Natural | None = None
    rules: _Natural = 0


class Outbox(msgspec.Struct):
    """What a cut publishes once it is durable: transitions in order, and the products whose snapshot is written."""

    transitions: list[OutboxEntry] = []
    snapshots: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to publish."""
        return not (self.transitions or self.snapshots)


_encoder = msgspec.msgpack.Encoder()
_read_meta = msgspec.msgpack.Decoder(Meta).decode
_read_ids = msgspec.msgpack.Decoder(list[str]).decode
_read_entry = msgspec.msgpack.Decoder(OutboxEntry).decode


def encode_meta(meta: Meta) -> bytes:
    """The value of a meta row."""
    return bytes((VERSION,)) + _encoder.encode(meta)


def decode_meta(row: bytes) -> Meta:
    """What a meta row says. Raises RowError for another version or a damaged row."""
    if not row or row[0] != VERSION:
        raise RowError(f"meta row version {row[0] if row else 'none'} is not {VERSION}, the one this program reads")
    return _read(_read_meta, memoryview(row)[1:], "meta")


def outbox_key(index: int) -> bytes:
    """The key of the outbox row of this number."""
    return OUTBOX_PREFIX + index.to_bytes(4, "big")


def encode_outbox(outbox: Outbox) -> list[tuple[bytes, bytes]]:
    """The outbox as rows: one of each transition, and one of each few hundred snapshots."""
    values = [_TRANSITION + _encoder.encode(entry) for entry in outbox.transitions]
    ids = outbox.snapshots
    values += [
        _SNAPSHOTS + _encoder.encode(ids[start : start + SNAPSHOTS_PER_ROW])
        for start in range(0, len(ids), SNAPSHOTS_PER_ROW)
    ]
    return [(outbox_key(index), value) for index, value in enumerate(values)]


def decode_outbox(rows: Iterable[bytes]) -> Outbox:
    """What was encoded, from its rows in order. Raises RowError for another version or a damaged row."""
    outbox = Outbox([], [])
    for row in rows:
        kind, rest = row[:2], memoryview(row)[2:]
        if kind == _TRANSITION:
            outbox.transitions.append(_read(_read_entry, rest, "outbox"))
        elif kind == _SNAPSHOTS:
            outbox.snapshots.extend(_read(_read_ids, rest, "outbox"))
        else:
            raise RowError(f"an outbox row that begins with {kind!r} is not of this program's version")
    return outbox


def _read(decode: Callable[[memoryview], T], row: memoryview, name: str) -> T:
    try:
        return decode(row)
    except (ValueError, RecursionError) as error:  # msgspec's errors, and what is not UTF-8, are ValueErrors
        raise RowError(f"a damaged {name} row: {error}") from error


def epoch_headers(epoch: int) -> tuple[tuple[str, bytes], ...]:
    """What every row carries: its writer's epoch (compaction takes batches apart)."""
    return ((EPOCH_HEADER, str(epoch).encode()),)


def epoch_of(headers: tuple[tuple[str, bytes | None], ...]) -> int:
    """The epoch of a row; 0, lower than any writer's, where it says none that a writer could have."""
    for name, value in headers:
        if name == EPOCH_HEADER and value is not None and value.isdigit() and len(value) <= _EPOCH_DIGITS_MAX:
            return int(value)
    return 0

"""What the rows of a product must look like to be read (DESIGN decision 2): types, bounds, and what fits together.

A row that this program did not write, or that was damaged, is to be refused here and not to surface as a wrong count,
or as a worker that stops on the same product again and again. Checked is what a writer of this version always leaves
and what costs next to nothing to look at; not checked is whether the lines add up to the buckets.
"""

from __future__ import annotations

import struct
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from streams.domain.attributes import Attribute
from streams.domain.buckets import COUNTERS, FIELD_BITS
from streams.domain.counters import IMPRESSIONS_MAX
from streams.domain.events import INTEGER_MAX
from streams.domain.levels import AT_RISK, NONE
from streams.domain.lines import CANCELLED, REVERTED, SHIPPED
from streams.domain.transitions import CLEAR, RESOLVED

# One more must still fit into the signed 64 bits that most readers of msgpack have.
_Tally: TypeAlias = Annotated[int, Meta(ge=0, lt=2**63 - 1)]
_Natural: TypeAlias = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
_Impressions: TypeAlias = Annotated[int, Meta(ge=0, le=IMPRESSIONS_MAX)]
_Kind: TypeAlias = Annotated[int, Meta(ge=0, le=5)]
_Fact: TypeAlias = tuple[_Kind, _Natural, str, _Natural | str | None]
_Line: TypeAlias = tuple[str, str, Annotated[list[_Fact], Meta(min_length=1)]]
_State: TypeAlias = tuple[Literal[0, 1, 2], int | None, int | None, int | None]

Items: TypeAlias = tuple[list[_Line], list[tuple[str, _Natural]], list[tuple[_Natural, _Natural, str]]]
"""Lines, ids of events without a line, high fees."""


class Header(Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A product's header row; the names are those of `Product`.

    `buckets`: of each bucket its number and its eight counters, one after the other. `impressions`: likewise number and
    count. `pages`: how many rows hold the items; with 0 they are here, in `items`.
    """

    sequence: _Tally
    status: Literal[0, 1, 2, 3]
    relapse_count: _Tally
    resolved_at: int | None
    effective_at: int | None
    as_of: int
    held_from: int
    seller: Attribute | None
    region: Attribute | None
    category: Attribute | None
    buckets: list[_Natural]
    impressions: list[_Impressions]
    states: tuple[_State, _State, _State, _State, _State] | None
    snapshot_at: int | None
    snapshot_pending: bool
    pages: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    items: Items | None


# What the argument of a fact is, by the fact's kind.
ARGUMENTS: list[type] = [int] * 6
ARGUMENTS[SHIPPED] = ARGUMENTS[REVERTED] = type(None)
ARGUMENTS[CANCELLED] = str

# `buckets.pack` in one step: fields of 32 bits, the first one lowest.
_pack = struct.Struct("<8I").pack
assert (FIELD_BITS, len(COUNTERS)) == (32, 8)

read_sequence = msgspec.msgpack.Decoder(tuple[Annotated[int, Meta(gt=0, lt=2**63 - 1)]]).decode
"""The row of a product of which nothing is left but its sequence."""
read_header = msgspec.msgpack.Decoder(Header).decode
read_page = msgspec.msgpack.Decoder(Items).decode


def check_header(header: Header, pages: int, bucket_ms: int, clock_ms: int) -> None:
    """That the header's values fit each other, the pages that are there and the clock. Raises ValueError."""
    if header.as_of > clock_ms or header.held_from > header.as_of // bucket_ms:
        raise ValueError("it is ahead of its partition's clock")
    for at in (header.resolved_at, header.effective_at, header.snapshot_at):
        if at is not None and at > clock_ms:
            raise ValueError("a time is ahead of its partition's clock")
    if header.snapshot_pending and header.snapshot_at is None:
        raise ValueError("a snapshot is pending after none was written")
    _check_status(header, clock_ms)
    if pages != header.pages or (header.items is None) is not (pages > 0) or pages == 1 or pages & (pages - 1):
        raise ValueError(f"its header says that it has {header.pages} pages, and {pages} are there")


def _check_status(header: Header, clock_ms: int) -> None:
    """Levels and status are of one evaluation; CLEAR, AT_RISK and IMPACTED are numbered as the levels are."""
    status, states = header.status, header.states
    if (status == RESOLVED) is not (header.resolved_at is not None):
        raise ValueError("its status does not fit resolved_at")
    if status != CLEAR and (header.sequence == 0 or header.effective_at is None):
        raise ValueError("it has a status without a transition")
    worst = NONE
    for level, since, breach_since, exit_since in states or ():
        if level > worst:
            worst = level
        if (
            (level != NONE and since is None)
            or (breach_since is not None and level != AT_RISK)
            or (exit_since is not None and level == NONE)
        ):
            raise ValueError("the times of a level do not fit it")
        for at in (since, breach_since, exit_since):
            if at is not None and at > clock_ms:
                raise ValueError("the time of a level is ahead of the partition's clock")
    if worst != (NONE if status == RESOLVED else status) or (states is not None and worst == NONE):
        raise ValueError("its status does not fit its levels")


def packed(counts: list[int]) -> int:
    """One bucket's eight counters as one integer (`buckets.pack`), if no numerator is above its denominator.

    Raises ValueError.
    """
    placed, stock, seller, due, late, overdue, fees, high_fees = counts
    if not (stock <= seller <= placed and overdue <= late <= due and high_fees <= fees and (placed or due or fees)):
        raise ValueError("the counters of a bucket contradict each other")
    try:
        return int.from_bytes(_pack(*counts), "little")
    except struct.error:
        raise ValueError("a counter is too large") from None

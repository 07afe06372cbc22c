"""Counters per time bucket, packed into one integer each (SPEC section 4).

Eight counters of a bucket share one integer, `FIELD_BITS` apart, so that what a fact changes is one addition to
its bucket and one to each window that holds the bucket, whatever the number of counters involved.
A field never overflows into its neighbour: no product has 2**32 lines or fees within the longest window
(a thousand a second, day and night, for seven weeks). A difference may be negative as a whole;
a sum of all differences never is, field by field, since each counter counts things that are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from struct import Struct

FIELD_BITS = 32
FIELD_MASK = (1 << FIELD_BITS) - 1

COUNTERS = ("placed", "stock_cancelled", "seller_cancelled", "due", "late", "overdue", "fees", "high_fees")
SHIFT = {name: FIELD_BITS * i for i, name in enumerate(COUNTERS)}

ONE_PLACED = 1 << SHIFT["placed"]
ONE_STOCK_CANCELLED = 1 << SHIFT["stock_cancelled"]
ONE_SELLER_CANCELLED = 1 << SHIFT["seller_cancelled"]
ONE_DUE = 1 << SHIFT["due"]
ONE_LATE = 1 << SHIFT["late"]
ONE_OVERDUE = 1 << SHIFT["overdue"]
ONE_FEE = 1 << SHIFT["fees"]
ONE_HIGH_FEE = 1 << SHIFT["high_fees"]

_FIELDS = len(COUNTERS)
_BYTES = _FIELDS * FIELD_BITS // 8
_fields = Struct(f"<{_FIELDS}I").unpack  # "I" is what FIELD_BITS is: 32 bits


def unpack(packed: int) -> tuple[int, ...]:
    """The counters of one packed integer, in the order of `COUNTERS`."""
    return _fields(packed.to_bytes(_BYTES, "little"))


def pack(counts: Iterable[int]) -> int:
    """One integer from counters in the order of `COUNTERS`."""
    packed = 0
    for i, count in enumerate(counts):
        packed |= count << FIELD_BITS * i
    return packed


def window_total(buckets: Mapping[int, int], last: int, length: int) -> int:
    """The packed sum of the `length` buckets that end with bucket `last`."""
    first = last - length + 1
    total = 0
    for bucket, packed in buckets.items():
        if first <= bucket <= last:
            total += packed
    return total

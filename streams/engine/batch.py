"""A fetched chunk of one input partition, as columns.

One `RecordBatch` is what an agent's stream yields instead of one event per message: a whole chunk of fetched records of
one (topic, partition), its fields as parallel lists. See DESIGN, decision 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from faust.types import TP

#: Headers of one record: names and values in order; `()` when there are none.
Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(slots=True)
class RecordBatch:
    """Consecutive records of one partition; `offsets`, `timestamps`, `keys`, `values` and `headers` are parallel.

    A batch may hold no records at all: when all that was fetched were control records, records of aborted transactions
    or records that compaction took, only `next_offset` moves on.
    """

    topic: str
    partition: int
    #: Where reading began: the `next_offset` of the batch before. A gap in this chain means that a batch was lost.
    start_offset: int
    #: Where to go on reading: beyond the last record and whatever unreadable followed it.
    next_offset: int
    #: The end of the readable log when this was fetched: a partition is read to its end when next_offset reaches it.
    highwater: int
    offsets: list[int] = field(default_factory=list)
    #: Epoch milliseconds, the record's own timestamp (-1 where the record has none).
    timestamps: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    headers: list[Headers] = field(default_factory=list)

    @property
    def tp(self) -> TP:
        """The topic partition."""
        return TP(self.topic, self.partition)

    def __len__(self) -> int:
        return len(self.offsets)

    def __bool__(self) -> bool:
        """Always true: a batch without records still moves the position, so it must not be dropped by an `if batch`."""
        return True

    def cut(self, end_offset: int) -> None:
        """Drop the records at and beyond `end_offset`; the batch then ends there at the latest."""
        keep = len(self.offsets)
        while keep and self.offsets[keep - 1] >= end_offset:
            keep -= 1
        for column in (self.offsets, self.timestamps, self.keys, self.values, self.headers):
            del column[keep:]
        self.next_offset = min(self.next_offset, end_offset)

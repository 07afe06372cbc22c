"""One partition's input: four topics, merged into the one order in which records are applied (SPEC section 5).

Within a topic records come by offset. Across topics the unread head with the least (record timestamp, topic) comes
first. A topic that has lag but no record at hand is waited for; one that is read to its end is not.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from streams.codecs.refusals import Refused
from streams.domain.events import InputEvent
from streams.engine.batch import RecordBatch

Decoded = InputEvent | str | Refused


@dataclass(slots=True)
class Chunk:
    """A fetched batch, its records decoded: an event, the unknown type's name, or why it is refused."""

    batch: RecordBatch
    events: Sequence[Decoded]
    next_index: int = 0
    size_bytes: int = 0

    def __post_init__(self) -> None:
        self.size_bytes = sum(len(value) for value in self.batch.values if value is not None)


# So many records of each topic are looked at when they are put into their order: about a fetched batch.
MERGE_RECORDS = 2_000


class TopicQueue:
    """What has been fetched of one topic's partition and is not applied yet.

    `position`: the next offset to apply. `fetched`: the next offset to fetch. `end`: the end of the log as last seen.
    `awaited`: an offset up to which there will be records, as the one who writes them has announced.
    """

    __slots__ = ("awaited", "chunks", "end", "fetched", "position")

    def __init__(self, position: int = 0, end: int = 0) -> None:
        self.position = position
        self.fetched = position
        self.end = end
        self.awaited = 0
        self.chunks: deque[Chunk] = deque()

    def offer(self, chunk: Chunk) -> None:
        """Append what was fetched next; what was applied already (fetched twice) is left out."""
        batch = chunk.batch
        self.end = max(self.end, batch.highwater)
        if batch.next_offset <= self.fetched:
            return
        offsets = batch.offsets
        while chunk.next_index < len(offsets) and offsets[chunk.next_index] < self.fetched:
            chunk.next_index += 1
        self.fetched = batch.next_offset
        if chunk.next_index < len(offsets):
            self.chunks.append(chunk)
        elif not self.chunks:
            self.position = self.fetched

    def reset(self) -> None:
        """Drop what is at hand: it will be fetched again from `position`."""
        self.chunks.clear()
        self.fetched = self.position

    @property
    def lags(self) -> bool:
        """Whether there are records, or will be, that have not been fetched."""
        return self.fetched < self.end or self.fetched < self.awaited

    @property
    def pending(self) -> int:
        """How many records are at hand."""
        return sum(len(chunk.events) - chunk.next_index for chunk in self.chunks)

    @property
    def pending_bytes(self) -> int:
        """About how much memory they take: the values of all batches at hand, in full."""
        return sum(chunk.size_bytes for chunk in self.chunks)

    def head(self) -> int | None:
        """The record timestamp of the next record at hand, None if there is none."""
        if not self.chunks:
            return None
        chunk = self.chunks[0]
        return chunk.batch.timestamps[chunk.next_index]

    def take_until(self, bound: int | None) -> tuple[Chunk, int, int]:
        """The first chunk, and the range of it that comes before `bound` (a timestamp, exclusive; None: no bound).

        The first record is taken whatever its timestamp. The caller tells by `applied` how many it has applied.
        """
        chunk = self.chunks[0]
        start, timestamps = chunk.next_index, chunk.batch.timestamps
        stop = start + 1
        size = len(timestamps)
        if bound is None:
            stop = size
        else:
            while stop < size and timestamps[stop] < bound:
                stop += 1
        return chunk, start, stop

    def applied(self, chunk: Chunk, stop: int) -> None:
        """All of the chunk before index `stop` is applied."""
        chunk.next_index = stop
        if stop == len(chunk.events):
            self.chunks.popleft()
            # Beyond the last record at hand there may be some that hold nothing for a reader.
            self.position = chunk.batch.next_offset if self.chunks else self.fetched
        else:
            self.position = chunk.batch.offsets[stop - 1] + 1


def next_run(queues: Sequence[TopicQueue]) -> tuple[int, int | None] | None:
    """The topic whose head comes first, and the timestamp before which its records all come first.

    None if there is nothing at hand, or a topic must be waited for.
    """
    best: int | None = None
    best_at = 0
    bound: int | None = None
    for topic, queue in enumerate(queues):
        at = queue.head()
        if at is None:
            if queue.lags:
                return None
            continue
        if best is None:
            best, best_at = topic, at
        elif at < best_at:
            # The former best has the lower index: at a tie of timestamps it comes first.
            bound = best_at if bound is None else min(bound, best_at)
            best, best_at = topic, at
        else:
            # A higher index: at a tie the best comes first, so its records up to and at `at` do.
            bound = at + 1 if bound is None else min(bound, at + 1)
    return None if best is None else (best, bound)


class Merged:
    """Records at hand of all topics in the one order in which they are applied, as far as it is known.

    `events` and `timestamps` are columns of the records of one topic after the other's; `order` are indices into them.
    """

    __slots__ = ("_bases", "_chunks", "_done", "_next", "_starts", "events", "order", "timestamps")

    def __init__(self, parts: Sequence[tuple[Chunk, int, int] | None], keys: Sequence[Sequence[int]]) -> None:
        """Of each topic: the chunk and the range of it, or None; and the key of each record, by which they are put in
        order (a tie goes by topic, then by offset)."""
        self.events: list[Decoded] = []
        self.timestamps: list[int] = []
        self._bases = [0]
        self._chunks: list[Chunk | None] = []
        self._starts = [0] * len(parts)
        self._done = 0
        for topic, part in enumerate(parts):
            self._chunks.append(None if part is None else part[0])
            if part is not None:
                chunk, start, stop = part
                self.events += chunk.events[start:stop]
                self.timestamps += chunk.batch.timestamps[start:stop]
                self._starts[topic] = start
            self._bases.append(len(self.events))
        self._next = self._starts.copy()
        joined = [key for column in keys for key in column]
        self.order = sorted(range(len(joined)), key=joined.__getitem__)

    def goes_on(self, queues: Sequence[TopicQueue]) -> bool:
        """Whether there is something left of it, and it is still what the queues begin with."""
        if self._done == len(self.order):
            return False
        for queue, chunk, index in zip(queues, self._chunks, self._next, strict=True):
            if chunk is None:
                if queue.chunks or queue.lags:
                    return False
            elif not queue.chunks or queue.chunks[0] is not chunk or chunk.next_index != index:
                return False
        return True

    def take(self, limit: int) -> Sequence[int]:
        """The indices of up to `limit` records that come next; the caller tells by `applied` when they are."""
        return self.order[self._done : self._done + limit]

    def applied(self, queues: Sequence[TopicQueue], taken: Sequence[int]) -> None:
        """What was taken is applied."""
        self._done += len(taken)
        in_place = sorted(taken)
        for topic, chunk in enumerate(self._chunks):
            base, end = self._bases[topic], self._bases[topic + 1]
            count = bisect_left(in_place, end) - bisect_left(in_place, base)
            if count:
                assert chunk is not None
                self._next[topic] += count
                queues[topic].applied(chunk, self._next[topic])

    def place(self, index: int) -> tuple[int, Chunk, int]:
        """The topic of the record at `index` of the columns, its chunk, and where it is in that."""
        topic = bisect_right(self._bases, index) - 1
        chunk = self._chunks[topic]
        assert chunk is not None
        return topic, chunk, self._starts[topic] + index - self._bases[topic]


def merge(queues: Sequence[TopicQueue]) -> Merged | None:
    """The records that come next, in order: at least the next one, and none that might come after what is not at hand.

    None if there is nothing at hand, or a topic must be waited for.

    Taking, again and again, the least of the heads is sorting by the greatest timestamp up to each record in its topic:
    what is behind a greater one comes right after it, for its topic's head was the least then, and is no greater now.
    """
    keys: list[Sequence[int]] = []
    for queue in queues:
        if queue.chunks:
            chunk = queue.chunks[0]
            start = chunk.next_index
            keys.append(list(accumulate(chunk.batch.timestamps[start : start + MERGE_RECORDS], max)))
        elif queue.lags:
            return None
        else:
            keys.append(())
    ends = [(column[-1], topic) for topic, column in enumerate(keys) if column]
    if not ends:
        return None
    # Beyond the first end of what is looked at, a topic's next head is not known.
    bound, first = min(ends)
    parts: list[tuple[Chunk, int, int] | None] = []
    for topic, (queue, column) in enumerate(zip(queues, keys, strict=True)):
        if not column:
            parts.append(None)
            continue
        count = bisect_right(column, bound) if topic <= first else bisect_left(column, bound)
        keys[topic] = column[:count]
        chunk = queue.chunks[0]
        parts.append((chunk, chunk.next_index, chunk.next_index + count))
    return Merged(parts, keys)

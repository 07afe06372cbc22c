"""The partition processor: merges four topics, moves the clock, applies, collects (SPEC section 5, DESIGN 5).

Strictly sequential, and never awaits. The same object serves a worker (fed by Faust's agents) and the backtest (fed
from files), so that what one says of a log the other says too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol

import msgspec

from streams.codecs.inputs import decode_batch
from streams.codecs.refusals import Refused
from streams.domain.events import INTEGER_MAX
from streams.domain.partition import Cut, Partition
from streams.engine.batch import RecordBatch
from streams.engine.merge import Chunk, TopicQueue, next_run

ClockMode = Literal["wall", "event"]
TOPIC_COUNT = 4

# A record of `replay`, not of SPEC 3: "the event clock has come to `until_ms`". Others skip it as an unknown type.
CLOCK_ADVANCED_TYPE = "flagged-products.clock-advanced.v1"
# A header of `replay`: the offsets, by input topic, up to which there will be records in this partition. So a worker
# in event clock that reads a log while it is still being written waits for all of it, and merges what it would have
# merged from the closed log.
REPLAY_ENDS_HEADER = "flagged-products-replay-ends"

SKIPPED, REFUSED, CONTROL = "skipped", "refused", "control"


# One offset for each input topic; offsets have no more than 19 digits, and no log here comes near that.
_ENDS = re.compile(rb"\d{1,16}(,\d{1,16}){3}")


class ClockAdvanced(msgspec.Struct):
    """The value of a record of CLOCK_ADVANCED_TYPE."""

    until_ms: Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused record, as it came."""

    topic: int
    batch: RecordBatch
    index: int
    refused: Refused


@dataclass(slots=True)
class Tally:
    """What happened since the last time it was taken: (type, outcome) -> events, and the refused ones."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    dead_letter_bytes: int = 0


class Wall(Protocol):
    """Where wall time comes from."""

    def __call__(self) -> int:
        """The present wall time in ms."""


class PartitionProcessor:
    """The sequential heart of one partition.

    `partition`: its state. `queues`: its four input topics. `clock_mode`: SPEC 5's `clock`. In wall mode only, `wall`
    is asked for the time, and `horizon` up to which time each topic is known to be read, whether applied or not (None:
    not known); by default all that there is was offered.
    """

    def __init__(self, partition: Partition, clock_mode: ClockMode, wall: Wall) -> None:
        self.partition = partition
        self.clock_mode = clock_mode
        self.queues = [TopicQueue() for _ in range(TOPIC_COUNT)]
        self.tally = Tally()
        self.horizon: Callable[[], Sequence[int | None]] = lambda: [wall()] * TOPIC_COUNT
        self._wall = wall

    # -- input

    def offer(self, topic: int, batch: RecordBatch) -> None:
        """Take in a fetched batch of one input topic (its index in SPEC 2's order)."""
        if self.clock_mode == "event":
            self._heed_announcements(batch)
        events = decode_batch(topic, batch.keys, batch.values, batch.timestamps, batch.headers)
        self.queues[topic].offer(Chunk(batch, events))

    def _heed_announcements(self, batch: RecordBatch) -> None:
        for headers in batch.headers:
            for name, value in headers:
                if name == REPLAY_ENDS_HEADER and value is not None and _ENDS.fullmatch(value):
                    for queue, end in zip(self.queues, value.split(b","), strict=True):
                        queue.awaited = max(queue.awaited, int(end))

    @property
    def pending(self) -> int:
        """How many records are at hand."""
        return sum(queue.pending for queue in self.queues)

    @property
    def positions(self) -> list[int]:
        """The next offset to apply, by topic."""
        return [queue.position for queue in self.queues]

    @property
    def waits_for(self) -> list[int]:
        """The topics that have lag but no record at hand."""
        return [topic for topic, queue in enumerate(self.queues) if not queue.chunks and queue.lags]

    # -- work

    def run(self, max_records: int) -> int:
        """Apply up to about `max_records` records, in order, as far as they are at hand; how many were applied."""
        applied = 0
        while applied < max_records:
            run = next_run(self.queues)
            if run is None:
                break
            topic, bound = run
            queue = self.queues[topic]
            chunk, start, stop = queue.take_until(bound)
            stop = min(stop, start + max_records - applied)
            self._apply_range(topic, chunk, start, stop)
            queue.applied(chunk, stop)
            applied += stop - start
        return applied

    def _apply_range(self, topic: int, chunk: Chunk, start: int, stop: int) -> None:
        partition, outcomes = self.partition, self.tally.outcomes
        event_clock = self.clock_mode == "event"
        limit = 0 if event_clock else self._wall_limit()
        events, timestamps = chunk.events, chunk.batch.timestamps
        for index in range(start, stop):
            event = events[index]
            if isinstance(event, str):
                outcomes[event, self._skip(event, chunk.batch, index)] += 1
                continue
            if isinstance(event, Refused):
                outcomes["", REFUSED] += 1
                self.tally.dead_letters.append(DeadLetter(topic, chunk.batch, index, event))
                self.tally.dead_letter_bytes += len(chunk.batch.values[index] or b"")
                continue
            # On a wall clock, a record that is next in order is the least unread one of all that are at hand, so the
            # clock may come to its timestamp, but not beyond it.
            partition.advance(event.occurred_at if event_clock else min(limit, timestamps[index]))
            outcomes[event.__struct_config__.tag, partition.apply(event)] += 1  # type: ignore[index]

    def _wall_limit(self) -> int:
        """How far the wall clock may go before anything more is read: no further than wall time, whatever a producer's
        clock says, nor than the time up to which the topics without a record at hand are known to be read."""
        wall, clock = self._wall(), self.partition.clock
        if clock is None:
            return wall  # nothing is due yet that could pass anything
        for queue, read_until in zip(self.queues, self.horizon(), strict=True):
            if not queue.chunks:
                wall = min(wall, clock if read_until is None else read_until)
        return wall

    def tick(self) -> None:
        """Let the wall clock move on with no record, if all input is applied."""
        if self.clock_mode == "wall" and self.read_to_end:
            self.advance(self._wall_limit())

    def _skip(self, type_name: str, batch: RecordBatch, index: int) -> str:
        if type_name != CLOCK_ADVANCED_TYPE or self.clock_mode != "event":
            return SKIPPED
        try:
            until = msgspec.json.decode(batch.values[index] or b"", type=ClockAdvanced).until_ms
        except msgspec.MsgspecError:
            return SKIPPED
        self.advance(until)
        return CONTROL

    def advance(self, to: int) -> None:
        """Move the clock on with no record, unless there was none yet: the first accepted record sets it."""
        if self.partition.clock is not None:
            self.partition.advance(to)

    @property
    def read_to_end(self) -> bool:
        """Whether all that is known to be in the four topics was applied."""
        return not any(queue.chunks or queue.lags for queue in self.queues)

    # -- output

    def take(self) -> tuple[Cut, Tally]:
        """What changed, and what happened, since this was last called."""
        tally, self.tally = self.tally, Tally()
        return self.partition.take_cut(), tally

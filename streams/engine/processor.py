"""The partition processor: merges four topics, moves the clock, applies, collects (SPEC section 5, DESIGN 5).

Strictly sequential, and never awaits. The same object serves a worker (fed by Faust's agents) and the backtest (fed
from files), so that what one says of a log the other says too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol, cast, get_args

import msgspec

from streams.codecs.inputs import decode_batch
from streams.codecs.refusals import Refused
from streams.domain.cut import Cut
from streams.domain.events import INTEGER_MAX, InputEvent
from streams.domain.partition import APPLIED, Partition
from streams.engine.batch import RecordBatch
from streams.engine.merge import Chunk, Merged, TopicQueue, merge

ClockMode = Literal["wall", "event"]
TOPIC_COUNT = 4

# A record of `replay`, not of SPEC 3: "the event clock has come to `until_ms`". Others skip it as an unknown type.
CLOCK_ADVANCED_TYPE = "flagged-products.clock-advanced.v1"
# A header of `replay`: the offsets, by input topic, up to which there will be records in this partition. So a worker
# in event clock that reads a log while it is still being written waits for all of it, and merges what it would have
# merged from the closed log.
REPLAY_ENDS_HEADER = "flagged-products-replay-ends"

SKIPPED, REFUSED, CONTROL = "skipped", "refused", "control"


TAG_OF_TYPE: dict[type, str] = {kind: kind.__struct_config__.tag for kind in get_args(InputEvent)}

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
        self._merged: Merged | None = None
        self._advancing: Iterator[None] | None = None
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
        """Apply up to about `max_records` records, in order, as far as they are at hand; how many were applied.

        `max_records` as well if the clock was moved on by a step, to where a policy takes effect, and is not there yet.
        """
        applied = 0
        while applied < max_records:
            if self._advancing is not None:
                self._step()
                if self._advancing is not None:
                    return max_records
            if self._merged is None or not self._merged.goes_on(self.queues):
                self._merged = merge(self.queues)
                if self._merged is None:
                    break
            taken = self._before_a_policy(self._merged, self._merged.take(max_records - applied))
            self._apply(self._merged, taken)
            self._merged.applied(self.queues, taken)
            applied += len(taken)
        return applied

    @property
    def is_advancing(self) -> bool:
        """Whether the clock is on its way: a policy takes effect, on so many products that others have their turn."""
        return self._advancing is not None

    def _advance_in_steps(self, to: int) -> None:
        if self.partition.clock is not None:
            self._advancing = self.partition.advancing(to)
            self._step()

    def _step(self) -> None:
        assert self._advancing is not None
        if next(self._advancing, self) is self:
            self._advancing = None

    def _arrive(self) -> None:
        while self._advancing is not None:
            self._step()

    def _before_a_policy(self, merged: Merged, taken: Sequence[int]) -> Sequence[int]:
        """The records that come before a policy takes effect; if none do, the clock is on its way to the first."""
        clock = self.partition.clock
        effective = None if clock is None else self.partition.book.policies.next_effective_time(clock)
        if effective is None:
            return taken
        told = [number for number, index in enumerate(taken) if type(merged.events[index]) in TAG_OF_TYPE]
        clocks = self._clocks(
            [cast(InputEvent, merged.events[taken[number]]) for number in told],
            [merged.timestamps[taken[number]] for number in told],
        )
        for number, to in zip(told, clocks, strict=True):
            if to >= effective:
                if number == 0:
                    self._advance_in_steps(to)
                return taken[:number]
        return taken

    def _apply(self, merged: Merged, taken: Sequence[int]) -> None:
        """Apply records in order, and count them by outcome."""
        records = [merged.events[index] for index in taken]
        kinds: Counter[type] = Counter(map(type, records))
        outcomes = self.tally.outcomes
        if kinds.keys() <= TAG_OF_TYPE.keys():
            timestamps = [merged.timestamps[index] for index in taken]
            kinds -= self._tell(cast(list[InputEvent], records), timestamps)
        else:
            for index, record in zip(taken, records, strict=True):
                if isinstance(record, Refused):
                    self._refuse(record, *merged.place(index))
                elif isinstance(record, str):
                    _, chunk, at = merged.place(index)
                    outcomes[record, self._skip(record, chunk.batch, at)] += 1
                else:
                    kinds -= self._tell([record], [merged.timestamps[index]])
        for kind, count in kinds.items():
            if kind in TAG_OF_TYPE and count:
                outcomes[TAG_OF_TYPE[kind], APPLIED] += count

    def _tell(self, events: list[InputEvent], timestamps: list[int]) -> Counter[type]:
        """Apply events; of those that had another outcome than APPLIED, which are counted here, how many by type."""
        others = self.partition.tell(events, self._clocks(events, timestamps))
        for event, outcome in others:
            self.tally.outcomes[TAG_OF_TYPE[type(event)], outcome] += 1
        return Counter(type(event) for event, _ in others)

    def _clocks(self, events: list[InputEvent], timestamps: list[int]) -> list[int]:
        """To where the clock moves before each of the events, which come next."""
        if self.clock_mode == "event":
            return [event.occurred_at for event in events]
        # On a wall clock, a record that is next in order is the least unread one of all that are at hand, so the
        # clock may come to its timestamp, but not beyond it.
        limit = self._wall_limit()
        return [timestamp if timestamp < limit else limit for timestamp in timestamps]

    def _refuse(self, refused: Refused, topic: int, chunk: Chunk, index: int) -> None:
        self.tally.outcomes["", REFUSED] += 1
        self.tally.dead_letters.append(DeadLetter(topic, chunk.batch, index, refused))
        self.tally.dead_letter_bytes += len(chunk.batch.values[index] or b"")

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
        if self.clock_mode == "wall" and self._advancing is None and self.read_to_end:
            self._advance_in_steps(self._wall_limit())

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
        self._arrive()
        if self.partition.clock is not None:
            self.partition.advance(to)

    @property
    def read_to_end(self) -> bool:
        """Whether all that is known to be in the four topics was applied."""
        return not any(queue.chunks or queue.lags for queue in self.queues)

    # -- output

    def take(self) -> tuple[Cut, Tally]:
        """What changed, and what happened, since this was last called; a clock that is on its way gets there first."""
        self._arrive()
        tally, self.tally = self.tally, Tally()
        return self.partition.take_cut(), tally

"""A log in memory whose every operation is a request that somebody else decides about: when it happens, and whether
its sender hears of it. The simulator drives real flushers over it, by hand and without an event loop.

A request goes through: sent -> applied (atomic; for a write, one record batch) -> answered. Between any two its sender
may die or fall asleep, and what was sent is applied all the same, late or never.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from random import Random
from typing import Any, NamedTuple

from streams.engine.batch import Headers, RecordBatch
from streams.engine.flush import Fenced
from streams.engine.kafka_log import Outputs
from streams.engine.log_writer import Row, WriteError, WriteUnavailable

Place = tuple[str, int]
"""Topic and partition."""


class Entry(NamedTuple):
    """A record of a `FakePartition`."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


class FakePartition:
    """The records of one partition, by offset; `end` is the offset of the next one. Compaction leaves gaps."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.end = 0
        self.last_base = 0

    def append(self, rows: Sequence[Row], timestamp_ms: int) -> int:
        """Append all rows as one record batch; the base offset."""
        base = self.last_base = self.end
        for key, value, headers in rows:
            self.entries.append(Entry(self.end, key, value, tuple(headers), timestamp_ms))
            self.end += 1
        return base

    def fetch(self, place: Place, start: int, stop: int, max_records: int) -> RecordBatch:
        """At most so many records from `start` on, none at or beyond `stop`."""
        found = [entry for entry in self.entries if start <= entry.offset < stop][:max_records]
        whole = len(found) < max_records
        return RecordBatch(
            topic=place[0],
            partition=place[1],
            start_offset=start,
            next_offset=stop if whole else found[-1].offset + 1,
            highwater=self.end,
            offsets=[entry.offset for entry in found],
            timestamps=[entry.timestamp_ms for entry in found],
            keys=[entry.key for entry in found],
            values=[entry.value for entry in found],
            headers=[entry.headers for entry in found],
        )

    def compact(self, below: int, *, drop_tombstones: bool) -> int:
        """Of the records below an offset keep the last of each key; the number of those that went.

        As Kafka's cleaner: what is at or above `below` neither goes nor makes an older record go.
        """
        last = {entry.key: entry.offset for entry in self.entries if entry.offset < below}
        before = len(self.entries)
        self.entries = [
            entry
            for entry in self.entries
            if entry.offset >= below
            or (last[entry.key] == entry.offset and not (drop_tombstones and entry.value is None))
        ]
        return before - len(self.entries)


class Request:
    """Something asked of the broker. `result` once it is applied; `lost`: its sender will be told of a time-out.

    `stuck`: on its way for long. `orphan`: nobody waits for it any more.
    """

    __slots__ = ("act", "applied", "lost", "name", "orphan", "result", "stuck", "writes")

    def __init__(self, name: str, act: Callable[[], Any], *, writes: bool) -> None:
        self.name = name
        self.act = act
        self.writes = writes
        self.applied = self.lost = self.orphan = self.stuck = False
        self.result: Any = None

    def __await__(self) -> Generator[Request, Any, Any]:
        return (yield self)

    @property
    def answered(self) -> bool:
        """Whether its sender may go on."""
        return self.applied or self.lost


class FakeBroker:
    """All partitions, and the requests under way. `observe` is told of every record batch, just after its append."""

    def __init__(self, random: Random, observe: Callable[[Place, int, Sequence[Row]], None]) -> None:
        self.partitions: dict[Place, FakePartition] = {}
        self.in_flight: list[Request] = []
        self.stuck_chance = 0.0
        self._random = random
        self._observe = observe

    def __getitem__(self, place: Place) -> FakePartition:
        partition = self.partitions.get(place)
        if partition is None:
            partition = self.partitions[place] = FakePartition()
        return partition

    def request(self, name: str, act: Callable[[], Any], *, writes: bool = True) -> Request:
        """A request that is on its way from now on."""
        request = Request(name, act, writes=writes)
        request.stuck = self._random.random() < self.stuck_chance
        self.in_flight.append(request)
        return request

    def apply(self, request: Request) -> None:
        """Let a request that is under way happen."""
        self.in_flight.remove(request)
        request.result = request.act()
        request.applied = True

    def append(self, place: Place, rows: Sequence[Row], timestamp_ms: int) -> int:
        """Append a record batch, now."""
        base = self[place].append(rows, timestamp_ms)
        self._observe(place, base, rows)
        return base


class FakeLog:
    """A `streams.engine.kafka_log.Log` on a `FakeBroker`. Reads and publishes in pieces of random sizes."""

    def __init__(self, broker: FakeBroker, random: Random) -> None:
        self._broker = broker
        self._random = random

    async def append(self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int) -> int:
        """As `Log`."""
        broker, place, rows = self._broker, (topic, partition), list(rows)
        base: int = await broker.request(
            f"append {len(rows)} to {topic}-{partition}", lambda: broker.append(place, rows, timestamp_ms)
        )
        return base

    async def publish(self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int) -> list[int]:
        """As `Log`."""
        offsets: list[int] = []
        start = 0
        while start < len(rows):
            chunk = rows[start : start + self._random.choice((1, 2, 100))]
            base = await self.append(topic, partition, chunk, timestamp_ms)
            offsets.extend(range(base, base + len(chunk)))
            start += len(chunk)
        return offsets

    async def publish_all(self, partition: int, outputs: Outputs, timestamp_ms: int) -> list[list[int]]:
        """As `Log`: one after the other, in any order."""
        offsets: list[list[int]] = [[] for _ in outputs]
        for index in self._random.sample(range(len(outputs)), len(outputs)):
            topic, rows = outputs[index]
            offsets[index] = await self.publish(topic, partition, rows, timestamp_ms)
        return offsets

    async def read(self, topic: str, partition: int, start: int, end: int | None = None) -> AsyncIterator[RecordBatch]:
        """As `Log`."""
        broker, place = self._broker, (topic, partition)
        log_end = await self.end(topic, partition)
        stop = log_end if end is None else min(end, log_end)
        position = start
        while position < stop:
            batch: RecordBatch = await broker.request(
                f"fetch {topic}-{partition} at {position}", self._fetch(place, position, stop), writes=False
            )
            position = batch.next_offset
            yield batch

    def _fetch(self, place: Place, position: int, stop: int) -> Callable[[], RecordBatch]:
        size = self._random.choice((3, 20, 1000))
        return lambda: self._broker[place].fetch(place, position, stop, size)

    async def end(self, topic: str, partition: int) -> int:
        """As `Log`."""
        log = self._broker[topic, partition]
        end: int = await self._broker.request(f"end of {topic}-{partition}", lambda: log.end, writes=False)
        return end


class Task:
    """A coroutine that is driven by hand, from one answered request to the next.

    `error` is what the engine's protocol may fail with; any other exception goes through to whoever drives.
    """

    def __init__(self, coroutine: Coroutine[Request | None, Any, Any]) -> None:
        self._coroutine = coroutine
        self.request: Request | None = None
        self.finished = False
        self.result: Any = None
        self.error: Fenced | WriteError | None = None
        self._go_on(None)

    @property
    def ready(self) -> bool:
        """Whether `resume` may be called."""
        return self.request is not None and self.request.answered

    def resume(self) -> None:
        """Tell the coroutine the answer it waits for, and run it up to its next request."""
        request = self.request
        assert request is not None and request.answered
        self._go_on(request)

    def _go_on(self, request: Request | None) -> None:
        self.request = None
        try:
            if request is not None and request.lost:
                self.request = self._coroutine.throw(WriteUnavailable(f"{request.name}: no answer"))
            else:
                self.request = self._coroutine.send(None if request is None else request.result)
            while self.request is None:  # it only lets others have their turn
                self.request = self._coroutine.send(None)
        except StopIteration as stop:
            self.finished, self.result = True, stop.value
        except (Fenced, WriteError) as error:
            self.finished, self.error = True, error

    def kill(self) -> None:
        """End it where it stands. What it has sent stays under way."""
        if self.request is not None:
            self.request.orphan = True
        self._coroutine.close()

"""A worker of the simulator: the real flusher, recovery and processor, in the order of `engine.engine` and
`engine.runner`, but moved on step by step from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from streams.codecs.event_lines import InputRecord
from streams.domain.policy import PolicySet
from streams.domain.rulebook import Rulebook
from streams.engine.batch import Headers, RecordBatch
from streams.engine.cut import OutputTopics
from streams.engine.flush import Flusher
from streams.engine.processor import REPLAY_ENDS_HEADER, TOPIC_COUNT, PartitionProcessor
from streams.engine.takeover import Parts, recover
from streams.testing.fake_log import FakeLog, Task

TOPICS = OutputTopics(
    changelog="changelog",
    transitions="transitions",
    snapshots="snapshots",
    dead_letters="dead-letters",
    inputs=("orders", "cancellations", "shipping-fees", "impressions"),
    source="/simulation",
)


def still_wall() -> int:
    """A wall clock that stands: nothing may depend on it."""
    return 0


@dataclass(frozen=True)
class SimulatedParts(Parts):
    """The parts of the engine that are put to the test; a mutation replaces one. `positions` says, of the cut's and
    the group's committed positions, from which a new owner reads on."""

    positions: Callable[[list[int], list[int]], list[int]] = lambda cut, _committed: cut


class Input:
    """The four input topics of one partition. `present`: how much of each is there yet; the rest is announced."""

    def __init__(self, logs: Sequence[Sequence[InputRecord]], *, announced: bool) -> None:
        self.logs = logs
        self.ends = [len(log) for log in logs]
        self.present = [0] * TOPIC_COUNT if announced else list(self.ends)
        self.committed = [0] * TOPIC_COUNT
        self._announcement: Headers = ()
        if announced:
            self._announcement = ((REPLAY_ENDS_HEADER, ",".join(map(str, self.ends)).encode()),)

    def fetch(self, partition: int, topic: int, start: int, count: int) -> RecordBatch | None:
        """Up to so many records from an offset on, None if there is nothing there yet."""
        stop = min(start + count, self.present[topic])
        if start >= stop:
            return None
        records = self.logs[topic][start:stop]
        return RecordBatch(
            topic=TOPICS.inputs[topic],
            partition=partition,
            start_offset=start,
            next_offset=stop,
            highwater=self.present[topic],
            offsets=list(range(start, stop)),
            timestamps=[record.timestamp_ms for record in records],
            keys=[record.key for record in records],
            values=[record.value for record in records],
            headers=[self._announcement if start == 0 and i == 0 else () for i in range(len(records))],
        )


class Runner:
    """One partition in the hands of one worker: taking it over, working, and giving it up.

    `stopping`: told to give it up in good order, as its worker stops. `abandoned`: it was given to another worker.
    `gone`: whichever it was, nothing more comes of it. `failed`: the error that stops its worker.
    `check_due`: it is to look, once it has nothing to apply, whether somebody else has written snapshots.
    """

    def __init__(
        self,
        partition: int,
        log: FakeLog,
        source: Input,
        policies: PolicySet,
        parts: SimulatedParts,
        random: Random,
    ) -> None:
        self.partition = partition
        self.processor: PartitionProcessor
        self.flusher: Flusher
        self.stopping = self.abandoned = self.gone = False
        self.failed: Exception | None = None
        self._log = log
        self._source = source
        self._policies = policies
        self._parts = parts
        self._random = random
        self.check_due = False
        self._flushing: Task | None = None
        self._checking: Task | None = None
        self.taking: Task | None = Task(self._take(list(source.present)))

    @property
    def tasks(self) -> list[Task]:
        """What waits for an answer."""
        return [
            task for task in (self.taking, self._flushing, self._checking) if task is not None and not task.finished
        ]

    @property
    def can_step(self) -> bool:
        """Whether anything but an answer is missing."""
        if self.failed or self.gone:
            return False
        if self.abandoned:
            return True
        if self.taking is not None:
            return self.taking.ready
        return self._checking is None or self._checking.ready

    @property
    def is_idle(self) -> bool:
        """Whether all there is was applied and flushed."""
        return (
            self.taking is None
            and self._flushing is None
            and self._checking is None
            and not self.check_due
            and not self.flusher.has_news(self.processor)
            and self.processor.positions == self._source.ends
        )

    def kill(self) -> None:
        """End at once; what was sent stays under way."""
        for task in self.tasks:
            task.kill()
        self.taking = self._flushing = self._checking = None

    # -- as Engine._take

    async def _take(self, ends: list[int]) -> None:
        await self._recover()
        for queue, end in zip(self.processor.queues, ends, strict=True):
            queue.end = max(queue.end, end)

    async def _recover(self) -> None:
        book = Rulebook(self._policies)
        self.processor, self.flusher = await recover(
            self.partition, TOPICS, self._log, book, "event", still_wall, self._parts
        )
        self.flusher.awake_max = self._random.choice((0, 1, 2, 1000))  # after each cut the others go to sleep
        positions = self._parts.positions(self.processor.positions, self._source.committed)
        for queue, position in zip(self.processor.queues, positions, strict=True):
            queue.position = queue.fetched = position

    # -- as PartitionRunner

    def step(self, flush_chance: float) -> None:
        """Move on a little: hear an answer, or apply a few records and perhaps begin a flush."""
        if self.abandoned:
            self._abandon()
            return
        if self.taking is not None:
            self.taking.resume()
            if self.taking.finished:
                self.failed, self.taking = self.taking.error, None
            return
        if self._checking is not None:
            self._checking.resume()
            if self._checking.finished:
                self.failed, self._checking = self._checking.error, None
            return
        flushing = self._flushing
        if flushing is not None and flushing.ready and self._random.random() < 0.7:
            flushing.resume()
            if flushing.finished:
                self.failed, self._flushing = flushing.error, None
        elif self.stopping:
            self._stop()
        else:
            self._work(flush_chance)

    def _stop(self) -> None:
        if self._flushing is None:
            if self.flusher.has_news(self.processor):
                self._flush()
            else:
                self.gone = True

    def _abandon(self) -> None:
        """What is on its way goes on, whatever comes of it; all else is dropped."""
        for task in (self.taking, self._checking):
            if task is not None and not task.finished:
                task.kill()
        self.taking = self._checking = None
        if self._flushing is not None and self._flushing.ready:
            self._flushing.resume()
        self.gone = self._flushing is None or self._flushing.finished

    def _work(self, flush_chance: float) -> None:
        random, processor = self._random, self.processor
        for topic in range(TOPIC_COUNT):
            if random.random() < 0.5:
                batch = self._source.fetch(
                    self.partition, topic, processor.queues[topic].fetched, random.choice((1, 2, 5, 100))
                )
                if batch is not None:
                    processor.offer(topic, batch)
        applied = processor.run(random.choice((1, 3, 8, 100)))
        if applied == 0 and self._flushing is None and (self.check_due or random.random() < 0.02):
            self.check_due = False
            self._checking = Task(self.flusher.look_for_others())
        elif self._flushing is None and self.flusher.has_news(processor) and random.random() < flush_chance:
            self._flush()

    def _flush(self) -> None:
        flush = self.flusher.prepare(self.processor, *self.processor.take())
        self._flushing = Task(self.flusher.send(flush))


class Worker:
    """A process: it lives, sleeps or is dead, with all its runners."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asleep = False
        self.runners: list[Runner] = []

    def kill(self) -> None:
        """As kill -9."""
        for runner in self.runners:
            runner.kill()
        self.runners.clear()

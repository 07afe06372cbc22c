"""All partitions of one worker: taken over and given up with the group's assignments, fed by the agents.

The engine is the transport's `RebalanceHooks`. Taking over a partition:
 (1) to (3) its changelog is read and claimed, its state restored, its outbox published again (`takeover`);
 (4) the input is read from the cut's positions, whatever the group has committed.

While the broker does not answer, all of that waits, and so does whatever is being written (`patience`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic

from faust.types import TP

from streams.domain.policy import PolicySet
from streams.domain.rulebook import Rulebook
from streams.engine.batch import RecordBatch
from streams.engine.consumer import BatchConsumer
from streams.engine.cut import OutputTopics
from streams.engine.ends import InputBounds, LogEnds
from streams.engine.flush import Flusher
from streams.engine.horizon import ReadHorizon
from streams.engine.kafka_log import KafkaLog
from streams.engine.log_writer import AtomicWriter
from streams.engine.monitor import Monitor
from streams.engine.patience import Patience
from streams.engine.processor import PartitionProcessor, Wall
from streams.engine.runner import FlushLimits, PartitionRunner
from streams.engine.takeover import recover
from streams.observability.health import Health, Readiness
from streams.observability.logging import get_logger
from streams.observability.metrics import Metrics
from streams.settings import Settings

# Reading changelogs is CPU work between waits: more at once would only take memory.
RECOVERIES_AT_ONCE = 4

logger = get_logger(__name__)


class Engine:
    """See the module."""

    def __init__(self, settings: Settings, policies: PolicySet, metrics: Metrics, health: Health, wall: Wall) -> None:
        self.runners: dict[int, PartitionRunner] = {}
        self._settings = settings
        self._policies = policies
        self._metrics = metrics
        self._health = health
        self._wall = wall
        self._connection = settings.kafka_kwargs()
        self._topics = OutputTopics(
            changelog=settings.changelog_topic,
            transitions=settings.flag_status_changed_topic,
            snapshots=settings.flag_status_topic,
            dead_letters=settings.dead_letters_topic,
            inputs=settings.input_topics,
            source=settings.ce_source,
        )
        self._topic_index = {name: index for index, name in enumerate(settings.input_topics)}
        self._consumer: Callable[[], BatchConsumer] | None = None
        self._on_failure: Callable[[BaseException], None] = _raise
        self._writer: AtomicWriter | None = None
        # Partitions given up in good order: if nobody writes to them until they come back, their state is still good.
        self._parked: dict[int, PartitionRunner] = {}
        self._patience = Patience(health, settings.stall_timeout_ms)
        self._ends = LogEnds(self._connection, settings.input_topics)
        self._monitor = Monitor(self, metrics, health, settings, wall)

    def attach(self, consumer: Callable[[], BatchConsumer], on_failure: Callable[[BaseException], None]) -> None:
        """`consumer` gives the app's consumer once the app runs; `on_failure` stops the app."""
        self._consumer, self._on_failure = consumer, on_failure

    @property
    def consumer(self) -> BatchConsumer:
        """The app's consumer."""
        assert self._consumer is not None, "the engine is not attached to an app"
        return self._consumer()

    # -- input

    def offer(self, batch: RecordBatch) -> None:
        """Hand a fetched batch to the processor of its partition; never waits, never raises."""
        runner = self.runners.get(batch.partition)
        if runner is not None:
            runner.offer(self._topic_index[batch.topic], batch)

    # -- RebalanceHooks

    async def on_assigned(self, assigned: frozenset[TP]) -> Mapping[TP, int]:
        """Take over partitions: steps (1) to (4) of the module."""
        self._metrics.rebalanced()
        partitions = sorted({tp.partition for tp in assigned})
        self._health.enter(Readiness.RECOVERING, f"{len(partitions)} partitions")
        await self._ensure_writer()
        bounds = await self._patience.outlast("ask where the input begins and ends", lambda: self._bounds(partitions))
        gate = asyncio.Semaphore(RECOVERIES_AT_ONCE)

        async def take(partition: int) -> PartitionRunner:
            async with gate:
                return await self._take(partition, bounds)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(take(partition)) for partition in partitions]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        self._parked.clear()
        positions: dict[TP, int] = {}
        for runner in (task.result() for task in tasks):
            self.runners[runner.partition] = runner
            runner.flusher.awake_max = self._settings.awake_products_max // len(partitions)
            for topic, queue in zip(self._topics.inputs, runner.processor.queues, strict=True):
                positions[TP(topic, runner.partition)] = queue.position
            runner.start()
        self._monitor.start()
        self._health.enter(Readiness.RUNNING, f"partitions {', '.join(map(str, partitions)) or 'none'}")
        logger.info("partitions taken over", partitions=partitions)
        return positions

    async def on_revoked(self, revoked: frozenset[TP]) -> None:
        """Give partitions up: flush, publish, commit, and keep the state in case they come back."""
        self._health.enter(Readiness.RECOVERING, "the group is being rebalanced")
        await self._monitor.stop()
        runners, self.runners = self.runners, {}
        if not runners:
            return
        good = await asyncio.gather(*(runner.stop() for runner in runners.values()))
        self._parked = {partition: runner for (partition, runner), ok in zip(runners.items(), good, strict=True) if ok}
        await self.commit(self._parked)
        for partition in runners:
            self._metrics.forget_partition(partition)
        logger.info("partitions given up", partitions=sorted(runners))

    async def on_stopped(self) -> None:
        """Close what is open."""
        self._health.enter(Readiness.STOPPING)
        await self._monitor.stop()
        await self._ends.stop()
        if self._writer is not None:
            await self._writer.stop()
            self._writer = None

    # -- positions

    async def input_ends(self) -> Mapping[TP, int]:
        """Where the input of the partitions at work ends, as the broker says. Raises KafkaError."""
        return await self._ends.of(sorted(self.runners))

    async def commit(self, runners: Mapping[int, PartitionRunner]) -> bool:
        """Commit what is durable to the group, for those who watch its lag; False when Kafka did not take it."""
        offsets = {
            TP(topic, partition): position
            for partition, runner in runners.items()
            for topic, position in zip(self._topics.inputs, runner.flusher.durable_positions, strict=True)
        }
        return not offsets or await self.consumer.commit_offsets(offsets)

    # -- taking over

    async def _ensure_writer(self) -> None:
        # A rebalance that cancelled a take-over in the midst of an append has spent the writer.
        if self._writer is not None and not self._writer.is_usable:
            await self._writer.stop()
            self._writer = None
            self._parked.clear()
        if self._writer is None:
            writer = AtomicWriter(self._connection, patience=self._patience)
            await self._patience.outlast("connect", writer.start)
            self._writer = writer

    async def _bounds(self, partitions: list[int]) -> InputBounds:
        return InputBounds(await self._ends.begins(partitions), await self._ends.of(partitions))

    async def _take(self, partition: int, bounds: InputBounds) -> PartitionRunner:
        began = monotonic()
        parked = self._parked.get(partition)
        if parked is not None and await self._changelog_end(partition) == parked.flusher.expected:
            processor, flusher = parked.processor, parked.flusher
            for queue in processor.queues:
                queue.reset()
        else:
            processor, flusher = await self._recover(partition)
        for topic, queue in zip(self._topics.inputs, processor.queues, strict=True):
            bounds.fit(queue, TP(topic, partition))
        self._metrics.recovered(monotonic() - began)
        return self._runner(partition, processor, flusher)

    async def _changelog_end(self, partition: int) -> int:
        return await self._patience.outlast(
            "ask for the end of the changelog", lambda: self._ends.end(self._topics.changelog, partition)
        )

    async def _recover(self, partition: int) -> tuple[PartitionProcessor, Flusher]:
        assert self._writer is not None
        settings = self._settings
        log = KafkaLog(self._connection, self._writer, self._ends, self._patience)
        book = Rulebook(self._policies, settings.bucket_ms, settings.allowed_lateness_ms)
        return await recover(partition, self._topics, log, book, settings.clock, self._wall)  # type: ignore[arg-type]

    def _runner(self, partition: int, processor: PartitionProcessor, flusher: Flusher) -> PartitionRunner:
        tps = [TP(topic, partition) for topic in self._topics.inputs]
        settings = self._settings
        processor.horizon = ReadHorizon(tps, processor.queues, lambda: self.consumer).look
        return PartitionRunner(
            partition,
            processor,
            flusher,
            FlushLimits(settings.flush_interval_ms, settings.flush_bytes),
            self._metrics,
            pause=lambda topic: self.consumer.pause([tps[topic]]),
            resume=lambda topic: self.consumer.resume([tps[topic]]),
            on_failure=self._on_failure,
        )


def _raise(error: BaseException) -> None:
    raise error

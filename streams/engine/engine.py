"""All partitions of one worker: taken over and let go of with the group's assignments, fed by the agents.

The engine is the transport's `RebalanceHooks`. Taking over a partition:
 (1) to (3) its changelog is read and claimed, its state restored, its outbox published again (`takeover`);
 (4) the input is read from the cut's positions, whatever the group has committed.

A rebalance stops nothing (docs/adr/0011). From revocation to assignment all partitions stay at work; a partition that
another worker takes over then is fenced by that worker's claim, not by anything the group says:
 (a) as it begins, what is applied is flushed and committed, so that a new owner has little to apply again;
 (b) at the assignment, what was given to another is abandoned: what is not durable of it is dropped;
 (c) what is kept goes on, after a look that nobody else has written if a generation of the group was missed; what is
     being taken over goes on as well, but between (a) and (b) nothing is claimed;
 (d) what was found to be somebody else's, and is ours by the assignment, is taken over like what is new.

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
from streams.engine.flush import Fenced, Flusher
from streams.engine.holdings import Holdings
from streams.engine.hooks import Place
from streams.engine.horizon import ReadHorizon
from streams.engine.kafka_log import KafkaLog
from streams.engine.log_writer import AtomicWriter
from streams.engine.monitor import Monitor
from streams.engine.patience import Patience
from streams.engine.processor import ClockMode, PartitionProcessor, Wall
from streams.engine.runner import FlushLimits, PartitionRunner
from streams.engine.takeover import recover
from streams.observability.health import Health, Readiness
from streams.observability.logging import get_logger
from streams.observability.metrics import Metrics
from streams.settings import Settings

logger = get_logger(__name__)


class Engine:
    """See the module."""

    def __init__(self, settings: Settings, policies: PolicySet, metrics: Metrics, health: Health, wall: Wall) -> None:
        self._holdings = Holdings(self._take)
        self.runners = self._holdings.runners
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
        # Cleared from the beginning of a rebalance to the assignment. Meanwhile, and for the partitions that are to be
        # looked at then until they are, another worker may own what is at work here.
        self._settled = asyncio.Event()
        self._unsure: set[int] = set()
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

    async def on_rebalance(self, owned: frozenset[TP]) -> None:
        """Step (a) of the module."""
        self._settled.clear()
        runners = dict(self.runners)
        await asyncio.gather(*(runner.flush() for runner in runners.values()))
        await self._commit(runners)
        logger.info("the group is being rebalanced, work goes on", partitions=sorted(runners))

    async def on_assigned(self, assigned: frozenset[TP], place: Place, *, gapless: bool) -> None:
        """Steps (b) to (d) of the module, and (1) to (4) for what is new."""
        self._metrics.rebalanced()
        partitions = sorted({tp.partition for tp in assigned})
        await self._ensure_writer()
        for partition in self._holdings.keep_only(partitions):  # (b)
            self._monitor.forget(partition)
        self._unsure = set() if gapless else set(self.runners)
        self._settled.set()
        self._monitor.start()
        kept = sorted(self.runners)
        if kept != partitions:
            self._health.enter(Readiness.RECOVERING, f"{len(partitions) - len(kept)} partitions")
        try:
            async with asyncio.TaskGroup() as group:
                for partition in partitions:
                    group.create_task(self._begin(partition, place, len(partitions)))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        self._health.enter(Readiness.RUNNING, f"partitions {', '.join(map(str, partitions)) or 'none'}")
        logger.info("partitions taken over", partitions=partitions, kept=kept)

    async def _begin(self, partition: int, place: Place, of: int) -> None:
        runner = self.runners.get(partition)
        if partition in self._unsure and runner is not None and not await runner.is_owner():  # (c)
            self._holdings.drop(partition)  # (d)
        runner = await self._holdings.runner(partition)
        self._unsure.discard(partition)
        runner.flusher.awake_max = self._settings.awake_products_max // of
        # What was handed out since the engine was asked is fetched once more, and left out by the queue.
        await place(
            {
                TP(topic, partition): queue.fetched
                for topic, queue in zip(self._topics.inputs, runner.processor.queues, strict=True)
            }
        )  # (4)

    async def on_revoked(self, revoked: frozenset[TP]) -> None:
        """The worker stops: flush, publish, commit."""
        await self._monitor.stop()
        partitions = sorted(self.runners)
        good = await self._holdings.stop()
        await self._commit(good)
        for partition in partitions:
            self._monitor.forget(partition)
        logger.info("partitions given up", partitions=partitions)

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
        """Commit what is durable to the group, for those who watch its lag; False when Kafka did not take it.

        Not in a rebalance: Kafka would refuse it, and aiokafka join the group once more for that.
        """
        return self._settled.is_set() and await self._commit(runners)

    async def _commit(self, runners: Mapping[int, PartitionRunner]) -> bool:
        offsets = {
            TP(topic, partition): position
            for partition, runner in runners.items()
            for topic, position in zip(self._topics.inputs, runner.flusher.durable_positions, strict=True)
        }
        return not offsets or await self.consumer.commit_offsets(offsets)

    # -- taking over

    async def _ensure_writer(self) -> None:
        if self._writer is not None and not self._writer.is_usable:
            # Whatever is at work can write nothing more.
            self._holdings.keep_only(())
            await self._writer.stop()
            self._writer = None
        if self._writer is None:
            writer = AtomicWriter(self._connection, patience=self._patience)
            await self._patience.outlast("connect", writer.start)
            self._writer = writer

    async def _take(self, partition: int) -> PartitionRunner:
        began = monotonic()
        processor, flusher = await self._recover(partition)
        # Asked only now: up to its last cut, the owner before us has read on.
        bounds = await self._patience.outlast("ask where the input begins and ends", lambda: self._bounds(partition))
        for topic, queue in zip(self._topics.inputs, processor.queues, strict=True):
            bounds.fit(queue, TP(topic, partition))
        self._metrics.recovered(monotonic() - began)
        return self._runner(partition, processor, flusher)

    async def _bounds(self, partition: int) -> InputBounds:
        return InputBounds(await self._ends.begins([partition]), await self._ends.of([partition]))

    async def _recover(self, partition: int) -> tuple[PartitionProcessor, Flusher]:
        assert self._writer is not None
        settings = self._settings
        log = KafkaLog(self._connection, self._writer, self._ends, self._patience)
        book = Rulebook(self._policies, settings.bucket_ms, settings.allowed_lateness_ms)
        clock: ClockMode = settings.clock  # type: ignore[assignment]
        # In a rebalance nothing is claimed: the partition may be another's already, who must not be fenced.
        settled = self._settled.wait
        return await recover(partition, self._topics, log, book, clock, self._wall, may_claim=settled)

    def _runner(self, partition: int, processor: PartitionProcessor, flusher: Flusher) -> PartitionRunner:
        tps = [TP(topic, partition) for topic in self._topics.inputs]
        settings = self._settings
        # Whoever had it here before may have paused it.
        self.consumer.resume(tps)
        processor.horizon = ReadHorizon(tps, processor.queues, lambda: self.consumer).look
        return PartitionRunner(
            partition,
            processor,
            flusher,
            FlushLimits(settings.flush_interval_ms, settings.flush_bytes),
            self._metrics,
            pause=lambda topic: self.consumer.pause([tps[topic]]),
            resume=lambda topic: self.consumer.resume([tps[topic]]),
            on_failure=lambda error: self._runner_failed(partition, error),
        )

    def _runner_failed(self, partition: int, error: BaseException) -> None:
        """A partition that the group has given to another is fenced by that one before we are told of it, and then let
        go of at the assignment. Outside of a rebalance it means that we are a zombie."""
        if isinstance(error, Fenced) and (partition in self._unsure or not self._settled.is_set()):
            logger.info("another worker has taken a partition over", partition=partition, detail=str(error))
        else:
            self._on_failure(error)


def _raise(error: BaseException) -> None:
    raise error

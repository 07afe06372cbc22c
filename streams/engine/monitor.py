"""Watches the partitions of a worker: commits what is durable, measures lag and clock delay, notices a stall."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Protocol

from faust.types import TP

from streams.engine.consumer import BatchConsumer
from streams.engine.processor import Wall
from streams.engine.refusals_watch import RefusalsWatch
from streams.engine.runner import PartitionRunner
from streams.engine.tasks import end
from streams.observability.health import Health
from streams.observability.logging import get_logger
from streams.observability.metrics import Metrics
from streams.settings import Settings

# How often durable positions are committed to the group, s. Nothing rests on it but what lag tools show.
COMMIT_S = 0.25
# How often lag and clock delay are measured, s.
MEASURE_S = 1.0
# How often the broker is asked where the input ends, s. The fetcher knows it too, but it may be what is stuck.
ASK_S = 5.0

log = get_logger(__name__)


class Watched(Protocol):
    """What a monitor sees of the engine."""

    runners: dict[int, PartitionRunner]

    @property
    def consumer(self) -> BatchConsumer:
        """The app's consumer."""

    async def input_ends(self) -> Mapping[TP, int]:
        """Where the input of the runners' partitions ends, as the broker says."""

    async def commit(self, runners: Mapping[int, PartitionRunner]) -> bool:
        """Commit what is durable to the group; False when Kafka did not take it."""


class Monitor:
    """Runs from `start` to `stop`, beside the runners, whichever they are."""

    def __init__(self, engine: Watched, metrics: Metrics, health: Health, settings: Settings, wall: Wall) -> None:
        self._engine = engine
        self._metrics = metrics
        self._health = health
        self._settings = settings
        self._wall = wall
        self._task: asyncio.Task[None] | None = None
        self._committed: dict[int, list[int]] = {}
        self._stalled: set[int] = set()
        self._seen: dict[int, tuple[list[int], float]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._ends: Mapping[TP, int] = {}
        self._refusals = RefusalsWatch(health)
        self._records = self._refused = 0

    def start(self) -> None:
        """Begin to watch the engine's runners, unless it has begun already."""
        if self._task is not None:
            return
        self._task = asyncio.create_task(self._watch(), name="monitor")
        self._asking = asyncio.create_task(self._ask(), name="monitor: ends")

    async def stop(self) -> None:
        """Stop watching."""
        tasks = [task for task in (self._task, self._asking) if task is not None]
        self._task = self._asking = None
        await end(tasks)
        for partition in list(self._seen.keys() | self._stalled):
            self.forget(partition)

    def forget(self, partition: int) -> None:
        """The partition is no longer at work here: it cannot be stalled, and its gauges would stand still for ever."""
        self._committed.pop(partition, None)
        self._seen.pop(partition, None)
        if partition in self._stalled:
            self._stalled.discard(partition)
            self._health.recover(f"partition {partition}")
        self._metrics.forget_partition(partition)

    async def _watch(self) -> None:
        measured_at = 0.0
        while True:
            await asyncio.sleep(COMMIT_S)
            try:
                await self._commit()
                if monotonic() - measured_at >= MEASURE_S:
                    measured_at = monotonic()
                    for runner in list(self._engine.runners.values()):
                        self._measure(runner)
                    self._look_at_refusals(measured_at)
            except Exception:
                # Whatever it was, the watch goes on: without it a stall would go unnoticed.
                log.exception("watching the partitions failed")

    async def _ask(self) -> None:
        while True:
            # What passes, passes: whoever waits for the broker in earnest says so.
            with suppress(Exception):
                self._ends = await self._engine.input_ends()
            await asyncio.sleep(ASK_S)

    def _look_at_refusals(self, now_s: float) -> None:
        for runner in self._engine.runners.values():
            records, refused = runner.take_counts()
            self._records += records
            self._refused += refused
        self._refusals.look(now_s, self._records, self._refused)

    async def _commit(self) -> None:
        news = {
            partition: runner
            for partition, runner in self._engine.runners.items()
            if runner.flusher.durable_positions != self._committed.get(partition)
        }
        if news:
            positions = {partition: list(runner.flusher.durable_positions) for partition, runner in news.items()}
            if await self._engine.commit(news):
                self._committed.update(positions)

    def _measure(self, runner: PartitionRunner) -> None:
        processor, partition = runner.processor, runner.partition
        consumer = self._engine.consumer
        lag_of: dict[str, int] = {}
        # What is applied but not durable may have to be read again: it is no progress yet.
        durable = runner.flusher.durable_positions
        for topic, queue, position in zip(self._settings.input_topics, processor.queues, durable, strict=True):
            progress = consumer.progress(TP(topic, partition))
            end = max(queue.end, self._ends.get(TP(topic, partition), 0), 0 if progress is None else progress.end)
            lag_of[topic] = max(0, end - position)
            self._metrics.lag(topic, partition, lag_of[topic])
        clock = processor.partition.clock
        if clock is not None:
            self._metrics.clock_delay(partition, max(0.0, (self._wall() - clock) / 1000))
        self._look_for_stall(runner, lag_of)

    def _look_for_stall(self, runner: PartitionRunner, lag_of: dict[str, int]) -> None:
        """SPEC 9.6: lag, and no progress for so long, fails liveness and says why."""
        partition, positions, now = runner.partition, list(runner.flusher.durable_positions), monotonic()
        part = f"partition {partition}"
        before, since = self._seen.get(partition, ([], now))
        waiting = any(lag_of.values()) or bool(runner.processor.waits_for)
        if positions != before or not waiting:
            self._seen[partition] = (positions, now)
            if partition in self._stalled:
                self._stalled.discard(partition)
                self._health.recover(part)
                log.info("partition progresses again", partition=partition)
            return
        if now - since >= self._settings.stall_timeout_ms / 1000 and partition not in self._stalled:
            self._stalled.add(partition)
            awaited = [self._settings.input_topics[topic] for topic in runner.processor.waits_for]
            behind = ", ".join(f"{topic} {lag}" for topic, lag in lag_of.items() if lag)
            why = f"no progress for {now - since:.0f} s with lag ({behind or 'announced records outstanding'})"
            if awaited:
                why += f"; waiting for records of {', '.join(awaited)}"
            if runner.flushing_s > MEASURE_S:
                why += f"; a flush has been waiting for its ack for {runner.flushing_s:.0f} s"
            self._health.fail(part, why)
            log.error("partition stalled", partition=partition, reason=why)

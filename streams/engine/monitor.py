"""Watches the partitions of a worker: commits what is durable, measures lag and clock delay, notices a stall."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Protocol

from faust.types import TP

from streams.engine.consumer import BatchConsumer
from streams.engine.processor import Wall
from streams.engine.runner import PartitionRunner
from streams.observability.health import Health
from streams.observability.logging import get_logger
from streams.observability.metrics import Metrics
from streams.settings import Settings

# How often durable positions are committed to the group, s. Nothing rests on it but what lag tools show.
COMMIT_S = 0.25
# How often lag and clock delay are measured, s.
MEASURE_S = 1.0

log = get_logger(__name__)


class Watched(Protocol):
    """What a monitor sees of the engine."""

    runners: dict[int, PartitionRunner]

    @property
    def consumer(self) -> BatchConsumer:
        """The app's consumer."""

    async def commit(self, runners: Mapping[int, PartitionRunner]) -> bool:
        """Commit what is durable to the group; False when Kafka did not take it."""


class Monitor:
    """Runs from `start` to `stop`, beside the runners."""

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

    def start(self) -> None:
        """Begin to watch the engine's runners."""
        self._committed.clear()
        self._seen.clear()
        self._task = asyncio.create_task(self._watch(), name="monitor")

    async def stop(self) -> None:
        """Stop watching."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

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
            except Exception:
                # Whatever it was, the watch goes on: without it a stall would go unnoticed.
                log.exception("watching the partitions failed")

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
        for topic, queue in zip(self._settings.input_topics, processor.queues, strict=True):
            progress = consumer.progress(TP(topic, partition))
            end = queue.end if progress is None else max(queue.end, progress.end)
            lag_of[topic] = max(0, end - queue.position)
            self._metrics.lag(topic, partition, lag_of[topic])
        clock = processor.partition.clock
        if clock is not None:
            self._metrics.clock_delay(partition, max(0.0, (self._wall() - clock) / 1000))
        self._look_for_stall(runner, lag_of)

    def _look_for_stall(self, runner: PartitionRunner, lag_of: dict[str, int]) -> None:
        """SPEC 9.6: lag, and no progress for so long, fails liveness and says why."""
        partition, positions, now = runner.partition, runner.processor.positions, monotonic()
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
            self._health.fail(part, why)
            log.error("partition stalled", partition=partition, reason=why)

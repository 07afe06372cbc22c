"""SPEC 9.6: a partition that has lag and makes no progress fails liveness, and says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from faust.types import TP

from streams.domain.partition import Partition
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.domain.rulebook import Rulebook
from streams.engine.consumer import BatchConsumer
from streams.engine.hooks import Progress
from streams.engine.monitor import Monitor
from streams.engine.processor import PartitionProcessor
from streams.engine.runner import PartitionRunner
from streams.observability.health import Health
from streams.observability.metrics import Metrics
from streams.settings import Settings
from tests.integration.waiting import eventually, in_loop

SETTINGS = replace(Settings(), stall_timeout_ms=100)


class Consumer:
    """Says how far the broker's log goes."""

    def __init__(self) -> None:
        self.end = 0

    def progress(self, tp: TP) -> Progress:
        return Progress(position=0, end=self.end, answered_ms=0)


class Flusher:
    def __init__(self) -> None:
        self.durable_positions = [0, 0, 0, 0]


class Runner:
    """A runner that does nothing: what a stalled one looks like."""

    partition = 3
    flushing_s = 0.0

    def __init__(self) -> None:
        book = Rulebook(PolicySet((DEFAULT_POLICY,)))
        self.processor = PartitionProcessor(Partition(book), "wall", lambda: 0)
        self.flusher = Flusher()

    def take_counts(self) -> tuple[int, int]:
        return 0, 0


class Fleet:
    """The engine, as a monitor sees it."""

    def __init__(self) -> None:
        self.source = Consumer()
        self.runner = Runner()
        self.runners = {3: cast(PartitionRunner, self.runner)}
        self.commits = 0
        self.told_end = 0

    @property
    def consumer(self) -> BatchConsumer:
        return cast(BatchConsumer, self.source)

    async def input_ends(self) -> Mapping[TP, int]:
        return {TP("marketplace.impressions.v1", 3): self.told_end}

    async def commit(self, runners: Mapping[int, Any]) -> None:
        self.commits += 1


@in_loop
async def test_a_stall_fails_liveness_and_progress_mends_it() -> None:
    fleet, health, metrics = Fleet(), Health(), Metrics()
    monitor = Monitor(fleet, metrics, health, SETTINGS, lambda: 0)
    monitor.start()
    try:
        await eventually(lambda: fleet.commits == 1, "positions committed once")
        assert health.live, "no lag is no stall"
        fleet.source.end = 5
        await eventually(lambda: not health.live, "liveness fails")
        (reason,) = health.live_reasons
        assert reason.startswith("partition 3: no progress for ")
        assert "marketplace.orders.v1 5" in reason
        fleet.runner.flusher.durable_positions = [5, 0, 0, 0]
        await eventually(lambda: health.live, "liveness is mended")
        page, _ = metrics.exposition()
        assert b'flagged_products_lag_records{partition="3",topic="marketplace.orders.v1"} 0.0' in page
    finally:
        await monitor.stop()


@in_loop
async def test_announced_records_that_never_come_are_named() -> None:
    fleet, health = Fleet(), Health()
    fleet.runner.processor.queues[1].awaited = 7
    monitor = Monitor(fleet, Metrics(), health, SETTINGS, lambda: 0)
    monitor.start()
    try:
        await eventually(lambda: not health.live, "liveness fails")
        assert "waiting for records of marketplace.cancellations.v1" in health.live_reasons[0]
    finally:
        await monitor.stop()


@in_loop
async def test_a_stall_shows_though_the_fetcher_knows_of_no_records() -> None:
    fleet, health = Fleet(), Health()
    fleet.told_end = 9
    monitor = Monitor(fleet, Metrics(), health, SETTINGS, lambda: 0)
    monitor.start()
    try:
        await eventually(lambda: not health.live, "liveness fails")
        assert "marketplace.impressions.v1 9" in health.live_reasons[0]
    finally:
        await monitor.stop()
    assert health.live, "a partition that is given up is not stalled here any more"

"""When a partition at work writes a cut: at once when it has caught up, gathered while it has a backlog."""

from __future__ import annotations

import asyncio

from streams.codecs.event_lines import InputRecord
from streams.engine.runner import FlushLimits, PartitionRunner
from streams.observability.metrics import Metrics
from tests.core.pipeline import input_batch
from tests.core.scene import T0
from tests.integration.waiting import eventually, in_loop
from tests.unit.engine.test_flush import MemoryLog, Owner, owner_of
from tests.unit.engine.test_processor import cancelled, placed

# Longer than any test waits: whatever is written before was not written because its time had come.
LIMITS = FlushLimits(interval_ms=3_600_000, size_bytes=7_000_000)
MINUTE_MS = 60_000


def runner_of(owner: Owner, failures: list[BaseException], limits: FlushLimits = LIMITS) -> PartitionRunner:
    return PartitionRunner(
        0, owner.processor, owner.flusher, limits, Metrics(),
        pause=lambda _: None, resume=lambda _: None, on_failure=failures.append,
    )  # fmt: skip


def offer(runner: PartitionRunner, *records: InputRecord, end: int) -> None:
    """Fetch records of one topic, whose log ends at `end`."""
    topic = records[0].topic
    runner.offer(topic, input_batch(records, runner.processor.queues[topic].fetched, end))


async def settle() -> None:
    """Let whatever is ready to run do so: the log in memory keeps nobody waiting."""
    for _ in range(20):
        await asyncio.sleep(0)


@in_loop
async def test_a_transition_is_gathered_in_a_backlog_and_goes_out_once_that_is_over() -> None:
    log = MemoryLog()
    owner, failures = await owner_of(log), []
    runner = runner_of(owner, failures)
    runner.start()
    # The third order is in the log, and not fetched yet.
    offer(runner, placed("O1", T0), placed("O2", T0 + MINUTE_MS), end=3)
    offer(runner, cancelled("O1", T0 + 1), end=1)
    await eventually(lambda: owner.processor.positions == [2, 1, 0, 0], "the records at hand")
    await settle()
    assert owner.processor.partition.cut.transitions
    assert log.transitions() == []
    offer(runner, placed("O3", T0 + 2 * MINUTE_MS), end=3)
    await eventually(lambda: log.transitions() == ["P1:1"], "the transition")
    assert await runner.stop()
    assert not failures


@in_loop
async def test_records_that_are_only_announced_are_no_backlog() -> None:
    log = MemoryLog()
    owner, failures = await owner_of(log), []
    runner = runner_of(owner, failures)
    owner.processor.queues[0].awaited = 3
    runner.start()
    offer(runner, placed("O1", T0), placed("O2", T0 + MINUTE_MS), end=2)
    offer(runner, cancelled("O1", T0 + 1), end=1)
    await eventually(lambda: log.transitions() == ["P1:1"], "the transition")
    assert await runner.stop()
    assert not failures


@in_loop
async def test_a_backlog_is_cut_after_some_intervals_all_the_same() -> None:
    log = MemoryLog()
    owner, failures = await owner_of(log), []
    runner = runner_of(owner, failures, FlushLimits(interval_ms=1, size_bytes=7_000_000))
    runner.start()
    offer(runner, placed("O1", T0), placed("O2", T0 + MINUTE_MS), end=3)
    offer(runner, cancelled("O1", T0 + 1), end=1)
    await eventually(lambda: log.transitions() == ["P1:1"], "the transition, though there is a backlog")
    assert owner.processor.positions[0] == 2
    assert await runner.stop()
    assert not failures

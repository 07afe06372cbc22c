"""When a partition at work writes a cut: at once when it has caught up, gathered while it has a backlog."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from streams.codecs.event_lines import InputRecord
from streams.codecs.meta import CLAIM_KEY, epoch_headers
from streams.engine.flush import Fenced
from streams.engine.log_writer import Row
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


async def at_work(limits: FlushLimits = LIMITS) -> tuple[MemoryLog, Owner, PartitionRunner, list[BaseException]]:
    """A runner that has begun, on a log of its own; what makes it fail is in the list."""
    log, failures = MemoryLog(), list[BaseException]()
    owner = await owner_of(log)
    runner = runner_of(owner, failures, limits)
    runner.start()
    return log, owner, runner, failures


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
    log, owner, runner, failures = await at_work()
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
    log, owner, runner, failures = await at_work(FlushLimits(interval_ms=1, size_bytes=7_000_000))
    offer(runner, placed("O1", T0), placed("O2", T0 + MINUTE_MS), end=3)
    offer(runner, cancelled("O1", T0 + 1), end=1)
    await eventually(lambda: log.transitions() == ["P1:1"], "the transition, though there is a backlog")
    assert owner.processor.positions[0] == 2
    assert await runner.stop()
    assert not failures


@in_loop
async def test_a_flush_that_is_asked_for_is_at_once_and_work_goes_on() -> None:
    log, owner, runner, failures = await at_work()
    offer(runner, placed("O1", T0), placed("O2", T0 + MINUTE_MS), end=3)
    offer(runner, cancelled("O1", T0 + 1), end=1)
    await eventually(lambda: owner.processor.positions == [2, 1, 0, 0], "the records at hand")
    assert log.transitions() == []
    await runner.flush()
    assert log.transitions() == ["P1:1"]
    assert owner.flusher.durable_positions == [2, 1, 0, 0]
    offer(runner, placed("O3", T0 + 2 * MINUTE_MS), end=3)
    await eventually(lambda: owner.processor.positions == [3, 1, 0, 0], "work")
    await runner.flush()
    assert owner.flusher.durable_positions == [3, 1, 0, 0]
    await runner.flush()  # with nothing to do
    assert await runner.stop()
    assert not failures


@in_loop
async def test_an_owner_that_nobody_has_followed_goes_on() -> None:
    _, owner, runner, failures = await at_work()
    assert await runner.is_owner()
    offer(runner, placed("O1", T0), end=1)
    await runner.flush()
    assert await runner.is_owner()
    assert owner.flusher.durable_positions == [1, 0, 0, 0]
    assert await runner.stop()
    assert not failures


@in_loop
async def test_an_owner_that_somebody_has_followed_knows_it_and_publishes_nothing_more() -> None:
    log, owner, runner, failures = await at_work()
    offer(runner, placed("O1", T0), placed("O2", T0 + MINUTE_MS), end=3)
    offer(runner, cancelled("O1", T0 + 1), end=1)
    await eventually(lambda: owner.processor.positions == [2, 1, 0, 0], "the records at hand")
    await owner_of(log)
    written = {topic: len(rows) for topic, rows in log.topics.items()}
    assert not await runner.is_owner()
    assert [type(failure) for failure in failures] == [Fenced]
    await runner.flush()
    assert not await runner.stop()
    assert {topic: len(rows) for topic, rows in log.topics.items()} == written


@in_loop
async def test_an_abandoned_runner_drops_what_is_not_durable_and_fails_nobody() -> None:
    log, owner, runner, failures = await at_work()
    offer(runner, placed("O1", T0), end=1)
    await runner.flush()
    offer(runner, placed("O2", T0 + MINUTE_MS), placed("O3", T0 + 2 * MINUTE_MS), end=3)
    await eventually(lambda: owner.processor.positions == [3, 0, 0, 0], "the records at hand")
    heir = await owner_of(log)
    await runner.abandon()
    assert runner.failed
    assert not failures
    assert heir.state.decode_meta().positions == [1, 0, 0, 0]
    offer(runner, placed("O4", T0 + 3 * MINUTE_MS), end=4)
    assert owner.processor.positions == [3, 0, 0, 0], "it takes nothing more in"


class SlowLog(MemoryLog):
    """Appends take until the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int) -> int:
        await self.gate.wait()
        return await super().append(topic, partition, rows, timestamp_ms)


@in_loop
async def test_an_abandoned_runner_waits_for_the_flush_on_its_way_and_tells_nobody_of_its_fate() -> None:
    log = SlowLog()
    owner, failures = await owner_of(log), []
    runner = runner_of(owner, failures)
    runner.start()
    log.gate.clear()
    offer(runner, placed("O1", T0), placed("O2", T0 + MINUTE_MS), end=2)
    offer(runner, cancelled("O1", T0 + 1), end=1)
    await eventually(lambda: runner._flushing is not None, "a flush")
    abandoned = asyncio.create_task(runner.abandon())
    await settle()
    assert not abandoned.done()
    log.topics["changelog"].append((CLAIM_KEY, b"", epoch_headers(2)))
    log.gate.set()
    await abandoned
    assert not failures
    assert log.transitions() == []
    # It landed after the claim and is void: who reads the log goes on from where it was before.
    assert (await owner_of(log)).state.decode_meta().positions == [0, 0, 0, 0]

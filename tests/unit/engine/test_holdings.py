"""What a worker has through assignments: kept as it is, taken over once, let go of at once."""

from __future__ import annotations

import asyncio

import pytest

from streams.engine.holdings import TAKEOVERS_AT_ONCE, Holdings
from streams.engine.runner import PartitionRunner
from tests.integration.waiting import eventually, in_loop
from tests.unit.engine.test_flush import MemoryLog, owner_of
from tests.unit.engine.test_runner import runner_of


class TakeOver:
    """Takes partitions over of a log in memory, each as soon as its gate is open."""

    def __init__(self, *partitions: int) -> None:
        self.gates = {partition: asyncio.Event() for partition in partitions}
        self.logs = {partition: MemoryLog() for partition in partitions}
        self.begun: list[int] = []
        self.errors: dict[int, Exception] = {}
        self.failures: list[BaseException] = []

    async def __call__(self, partition: int) -> PartitionRunner:
        self.begun.append(partition)
        await self.gates[partition].wait()
        if partition in self.errors:
            raise self.errors.pop(partition)
        return runner_of(await owner_of(self.logs[partition]), self.failures)


@in_loop
async def test_a_partition_at_work_is_not_taken_over_again() -> None:
    take = TakeOver(1, 2)
    holdings = Holdings(take)
    take.gates[1].set()
    runner = await holdings.runner(1)
    assert holdings.keep_only([1, 2]) == []
    assert await holdings.runner(1) is runner
    assert take.begun == [1]
    assert await holdings.stop() == {1: runner}


@in_loop
async def test_a_take_over_outlasts_whoever_waits_for_it_and_the_next_assignment() -> None:
    take = TakeOver(1)
    holdings = Holdings(take)
    waiting = asyncio.create_task(holdings.runner(1))
    await eventually(lambda: take.begun == [1], "the take-over")
    waiting.cancel()
    await asyncio.wait([waiting])
    assert holdings.keep_only([1]) == []
    again = asyncio.create_task(holdings.runner(1))
    take.gates[1].set()
    assert await again is holdings.runners[1]
    assert take.begun == [1], "what was restored is not restored again"
    await holdings.stop()


@in_loop
async def test_what_is_done_while_nobody_waits_is_at_work() -> None:
    take = TakeOver(1)
    holdings = Holdings(take)
    waiting = asyncio.create_task(holdings.runner(1))
    await eventually(lambda: take.begun == [1], "the take-over")
    waiting.cancel()
    take.gates[1].set()
    await eventually(lambda: 1 in holdings.runners, "the runner")
    assert take.begun == [1]
    await holdings.stop()


@in_loop
async def test_a_take_over_of_what_is_given_to_another_ends_before_it_has_claimed() -> None:
    take = TakeOver(1)
    holdings = Holdings(take)
    waiting = asyncio.create_task(holdings.runner(1))
    await eventually(lambda: take.begun == [1], "the take-over")
    # In the same turn of the loop in which it may go on.
    take.gates[1].set()
    assert holdings.keep_only([]) == []
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert take.logs[1].topics["changelog"] == []
    # It comes back: taken over anew.
    await holdings.runner(1)
    assert take.begun == [1, 1]
    await holdings.stop()


@in_loop
async def test_what_has_failed_is_tried_anew_at_the_next_assignment() -> None:
    take = TakeOver(1)
    take.errors[1] = ValueError("somebody else's")
    holdings = Holdings(take)
    take.gates[1].set()
    with pytest.raises(ValueError, match="somebody else's"):
        await holdings.runner(1)
    with pytest.raises(ValueError, match="somebody else's"):
        await holdings.runner(1)
    holdings.keep_only([1])
    runner = await holdings.runner(1)
    runner.failed = True
    assert holdings.keep_only([1]) == [1]
    assert await holdings.runner(1) is not runner
    await holdings.stop()


@in_loop
async def test_a_lost_partition_that_comes_back_waits_for_its_last_flush() -> None:
    take = TakeOver(1)
    holdings = Holdings(take)
    take.gates[1].set()
    runner = await holdings.runner(1)
    flush = asyncio.create_task(asyncio.Event().wait())
    runner._flushing = flush  # type: ignore[assignment]
    assert holdings.keep_only([]) == [1]
    back = asyncio.create_task(holdings.runner(1))
    for _ in range(20):
        await asyncio.sleep(0)
    assert take.begun == [1]
    flush.cancel()
    assert await back is not runner
    await holdings.stop()


@in_loop
async def test_only_some_are_taken_over_at_once() -> None:
    partitions = range(TAKEOVERS_AT_ONCE + 2)
    take = TakeOver(*partitions)
    holdings = Holdings(take)
    waiting = [asyncio.create_task(holdings.runner(partition)) for partition in partitions]
    await eventually(lambda: len(take.begun) == TAKEOVERS_AT_ONCE, "the first")
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(take.begun) == TAKEOVERS_AT_ONCE
    for gate in take.gates.values():
        gate.set()
    await asyncio.gather(*waiting)
    assert sorted(holdings.runners) == list(partitions)
    await holdings.stop()
    assert holdings.runners == {}

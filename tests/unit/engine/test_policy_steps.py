"""A policy that takes effect on many products does so in steps, and comes to what it would at one go (SPEC 5)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

import streams.engine.cut as cuts
from streams.codecs.event_lines import InputRecord
from streams.domain.cut import Cut
from streams.domain.events import CANCELLATIONS, ORDERS
from streams.domain.partition import PRODUCTS_AT_ONCE, Partition
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.domain.rulebook import Rulebook
from streams.engine.processor import ClockMode, PartitionProcessor
from tests.core.pipeline import input_batch
from tests.core.scene import HOUR_MS, T0
from tests.integration.waiting import eventually, in_loop
from tests.unit.engine.test_flush import MemoryLog, owner_of
from tests.unit.engine.test_processor import event, placed
from tests.unit.engine.test_runner import offer, runner_of

PRODUCTS = 3 * PRODUCTS_AT_ONCE + 50
EFFECTIVE = T0 + HOUR_MS
LENIENT = replace(DEFAULT_POLICY, metrics=tuple(replace(m, enabled=False) for m in DEFAULT_POLICY.metrics))
# One cancelled line of one is enough.
STRICT = replace(
    DEFAULT_POLICY,
    version="strict",
    effective_from_ms=EFFECTIVE,
    metrics=tuple(replace(m, n_min=1, k_min=1) for m in DEFAULT_POLICY.metrics),
)
BOOK = Rulebook(PolicySet((LENIENT, STRICT)))


def products_placed(at: int) -> list[InputRecord]:
    return [placed("O", at, product_id=f"P{number:04d}") for number in range(PRODUCTS)]


def products_cancelled(at: int) -> list[InputRecord]:
    told = {"order_id": "O", "reason": "out_of_stock"}
    return [event("order.cancelled", at, product_id=f"P{number:04d}", **told) for number in range(PRODUCTS)]


def processor_of(clock_mode: ClockMode, wall_ms: list[int]) -> PartitionProcessor:
    """One that has read a cancelled line of each product, and handed on the cut of that."""
    processor = PartitionProcessor(Partition(BOOK), clock_mode, lambda: wall_ms[0])
    processor.offer(ORDERS, input_batch(products_placed(T0), 0, PRODUCTS))
    processor.offer(CANCELLATIONS, input_batch(products_cancelled(T0 + 1), 0, PRODUCTS))
    assert processor.run(10 * PRODUCTS) == 2 * PRODUCTS
    cut, tally = processor.take()
    assert (len(cut.changed), cut.transitions, tally.dead_letters) == (PRODUCTS, [], [])
    return processor


def at_one_go(to: int) -> Cut:
    """What a partition says that is told to move its clock on, and no more."""
    processor = processor_of("event", [0])
    processor.partition.advance(to)
    return processor.take()[0]


def steps_until_there(processor: PartitionProcessor, *, ticking: bool = False) -> int:
    steps = 0
    while processor.is_advancing:
        steps += 1
        assert processor.run(7) in (0, 1, 7)
        if ticking:
            processor.tick()
    return steps


@pytest.mark.parametrize("clock_mode", ["event", "wall"])
def test_an_event_behind_the_effective_time_is_applied_once_all_products_are_judged(clock_mode: ClockMode) -> None:
    wall_ms = [T0 + 2 * HOUR_MS]
    processor = processor_of(clock_mode, wall_ms)
    after = placed("after", EFFECTIVE + 5, product_id="P0007")
    processor.offer(ORDERS, input_batch([after], PRODUCTS, PRODUCTS + 1))
    assert processor.run(7) == 7, "there is more to do"
    assert processor.is_advancing
    assert processor.queues[ORDERS].position == PRODUCTS, "nothing is applied meanwhile"
    assert steps_until_there(processor) >= PRODUCTS // PRODUCTS_AT_ONCE - 1
    assert processor.queues[ORDERS].position == PRODUCTS + 1
    cut, _ = processor.take()
    expected = at_one_go(EFFECTIVE + 5)
    assert len(expected.transitions) == PRODUCTS
    assert cut.transitions == expected.transitions
    assert processor.partition.clock == EFFECTIVE + 5


def test_a_tick_goes_there_in_steps() -> None:
    wall_ms = [T0 + 2]
    processor = processor_of("wall", wall_ms)
    wall_ms[0] = EFFECTIVE
    processor.tick()
    assert processor.is_advancing
    wall_ms[0] += 9
    assert steps_until_there(processor, ticking=True) >= PRODUCTS // PRODUCTS_AT_ONCE - 1
    assert processor.take()[0].transitions == at_one_go(EFFECTIVE).transitions
    assert processor.partition.clock == EFFECTIVE + 9


@pytest.mark.parametrize("then", ["take", "advance"])
def test_whoever_cannot_wait_gets_there_at_once(then: str) -> None:
    wall_ms = [T0 + 2]
    processor = processor_of("wall", wall_ms)
    wall_ms[0] = EFFECTIVE
    processor.tick()
    assert processor.is_advancing
    if then == "advance":
        processor.advance(EFFECTIVE + HOUR_MS)
    cut, _ = processor.take()
    assert not processor.is_advancing
    assert cut.transitions == at_one_go(EFFECTIVE).transitions
    assert processor.partition.clock == (EFFECTIVE if then == "take" else EFFECTIVE + HOUR_MS)


def test_a_policy_that_concerns_few_takes_effect_within_one_run() -> None:
    processor = PartitionProcessor(Partition(BOOK), "event", lambda: 0)
    records = [placed("O", T0), placed("Q", EFFECTIVE)]
    processor.offer(ORDERS, input_batch(records, 0, 2))
    assert processor.run(10) == 2
    assert not processor.is_advancing


@in_loop
async def test_a_runner_lets_others_have_their_turn_and_cuts_nothing_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "BATCH_BYTES_MAX", 20_000)
    log, failures = MemoryLog(), list[BaseException]()
    owner = await owner_of(log)
    owner.processor = processor_of("event", [0])
    runner = runner_of(owner, failures)
    runner.start()
    before = len(log.batches)
    offer(runner, placed("after", EFFECTIVE + 5, product_id="P0007"), end=PRODUCTS + 1)
    await asyncio.sleep(0)
    turns = 0
    while owner.processor.is_advancing:
        assert len(log.batches) == before
        turns += 1
        await asyncio.sleep(0)
    assert turns > 1
    await eventually(lambda: len(log.transitions()) == PRODUCTS, "the transitions")
    assert await runner.stop()
    assert not failures

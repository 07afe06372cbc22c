"""A task ends, also one that has lost a cancellation."""

from __future__ import annotations

import asyncio

from streams.engine.tasks import end
from tests.integration.waiting import in_loop


@in_loop
async def test_a_task_that_swallows_a_cancellation_ends_all_the_same() -> None:
    swallowed: list[int] = []

    async def loop() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed.append(1)

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    await end([task])
    assert task.cancelled()
    assert swallowed == [1]


@in_loop
async def test_what_a_task_raises_stays_in_it() -> None:
    async def fail() -> None:
        raise ValueError("this")

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await end([task])
    assert isinstance(task.exception(), ValueError)

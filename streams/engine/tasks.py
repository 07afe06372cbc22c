"""Ending tasks for certain, and waiting for several."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar, cast

T = TypeVar("T")

# How long a cancelled task may take before it is cancelled once more, s.
AGAIN_S = 0.2


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until all have ended; what they raise is left in them.

    They are cancelled again and again, for a single cancellation can be lost: up to Python 3.11 `asyncio.wait_for`
    swallows one that comes at the moment its result does, and then a loop goes on, and whoever waits for its end
    waits for ever.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)


async def side_by_side(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What they return; raises what the first of them has raised, once all have ended: nothing goes on unseen."""
    ended = await asyncio.gather(*coroutines, return_exceptions=True)
    for result in ended:
        if isinstance(result, BaseException):
            raise result
    return cast(list[T], ended)

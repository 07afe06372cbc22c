"""Tests that are coroutines, and waiting for a condition."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

#: Generous, for the machine may be slow or asleep; no test waits so long when all is well.
LONG_S = 120.0


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine test in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds; fail after LONG_S."""
    try:
        async with asyncio.timeout(LONG_S):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"waited {LONG_S} s in vain for: {what}")

"""A worker whose clock or network is spoilt while it runs: `python -m tests.chaos.spoilt_worker worker`.

It is the program as users have it, but for what the test says in files, which the environment names:

- `SPOIL_CLOCK`: ms that the wall clock is ahead; read anew each time somebody looks at the clock.
- `SPOIL_FETCH`: while this file exists, a fetch never returns: no answer, no error. So it is when a fetcher hangs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiokafka.consumer.fetcher import Fetcher

import streams.app
from streams.cli import main


def spoilt_clock(told: Path, wall_ms: Callable[[], int]) -> Callable[[], int]:
    """The wall clock, ahead by what the file says."""

    def ahead() -> int:
        return wall_ms() + int(told.read_text() or 0)

    return ahead


def spoil_fetches(told: Path) -> None:
    """Let fetches hang while the file exists."""
    fetch = Fetcher._proc_fetch_request

    async def hang(self: Fetcher, *arguments: Any) -> Any:
        if told.exists():
            await asyncio.Event().wait()
        return await fetch(self, *arguments)

    Fetcher._proc_fetch_request = hang


if __name__ == "__main__":
    if clock := os.environ.get("SPOIL_CLOCK"):
        streams.app.wall_ms = spoilt_clock(Path(clock), streams.app.wall_ms)
    if fetches := os.environ.get("SPOIL_FETCH"):
        spoil_fetches(Path(fetches))
    main()

"""The time of day."""

from __future__ import annotations

import time


def wall_ms() -> int:
    """The wall time in ms since the epoch."""
    return time.time_ns() // 1_000_000

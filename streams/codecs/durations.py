"""Durations as people write them: `"50ms"`, `"90m"`, `"48h"`, `"30d"` (SPEC section 6)."""

from __future__ import annotations

import re

UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

# A century: nothing here lasts longer, and whatever is added to a time stays far below 2**53.
LONGEST_MS = 36_525 * UNIT_MS["d"]

_DURATION = re.compile(r"([0-9]{1,15})(ms|s|m|h|d)", re.ASCII)


def parse_duration(text: str) -> int:
    """The milliseconds of a whole number and one unit: ms, s, m, h or d.

    Raises ValueError for anything else (a sign, a fraction, a blank, two units) and for more than a century.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError('not a duration; write a whole number and a unit (ms, s, m, h, d), such as "90m"')
    duration_ms = int(match[1]) * UNIT_MS[match[2]]
    if duration_ms > LONGEST_MS:
        raise ValueError("a duration of more than a century")
    return duration_ms


def format_duration(duration_ms: int) -> str:
    """The shortest text that `parse_duration` reads back as `duration_ms` (0 or more): 172,800,000 is `2d`.

    Raises ValueError for a negative one.
    """
    if duration_ms < 0:
        raise ValueError("a negative duration")
    if duration_ms == 0:
        return "0s"
    unit = max((unit for unit, unit_ms in UNIT_MS.items() if duration_ms % unit_ms == 0), key=UNIT_MS.__getitem__)
    return f"{duration_ms // UNIT_MS[unit]}{unit}"

"""Epoch milliseconds as RFC 3339 text in UTC, always with three digits below the second (SPEC section 8)."""

from __future__ import annotations

_DAY_MS = 86_400_000


def format_rfc3339(at_ms: int) -> str:
    """`2026-03-02T18:59:30.000Z`. Years beyond 9999 (a broken producer's) are written with all their digits."""
    days, rest = divmod(at_ms, _DAY_MS)
    year, month, day = _civil(days)
    seconds, ms = divmod(rest, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{ms:03d}Z"


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of a day counted from 1970-01-01 (H. Hinnant's algorithm; `datetime` ends in 9999)."""
    days += 719_468
    era, day_of_era = divmod(days, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    return year_of_era + era * 400 + (month <= 2), month, day

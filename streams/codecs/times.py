"""RFC 3339 times to epoch milliseconds (SPEC section 3)."""

from __future__ import annotations

import re
from datetime import date

MINUTE_MS = 60_000
DAY_MS = 86_400_000

# What is remembered of a time's parts: 45 days of minutes, and the thousand milliseconds in several offsets, at some
# 10 MB and 2 MB. A memory that is full is emptied and begins again, so a hostile producer can only make it useless.
_MINUTES_MAX = 65_536
_FRACTIONS_MAX = 16_384
_FRACTION_LENGTH_MAX = 10  # ".123+02:00": longer ones are too many to remember
_NOT_RFC_3339 = "not an RFC 3339 time with offset"

_MINUTE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([01][0-9]|2[0-3]):([0-5][0-9])")
_FRACTION = re.compile(r"(?:\.([0-9]+))?(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))")
_EPOCH_DAY = date(1970, 1, 1).toordinal()

_minutes: dict[str, int] = {}
_seconds: dict[str, int] = {f":{second:02d}": second * 1000 for second in range(60)}
_fractions: dict[str, int] = {}


def time_ms(text: str) -> int:
    """Return the epoch milliseconds of an RFC 3339 time with offset; what is below a millisecond is cut.

    Second 60, a blank for the T, a naive time, a date the calendar lacks and an instant before 1970 raise ValueError.
    """
    # A time is three parts whose readings do not depend on each other, and add up: minute, second, the rest.
    minute, rest = text[:16], text[19:]
    try:
        at = _minutes[minute]
    except KeyError:
        at = _minute_ms(minute)
    try:
        at += _seconds[text[16:19]]
    except KeyError:
        raise ValueError(_NOT_RFC_3339) from None
    try:
        at += _fractions[rest]
    except KeyError:
        at += _fraction_ms(rest)
    if at < 0:
        raise ValueError("before 1970-01-01T00:00:00Z")
    return at


def _minute_ms(text: str) -> int:
    found = _MINUTE.fullmatch(text)
    if found is None:
        raise ValueError(_NOT_RFC_3339)
    year, month, day, hour, minute = map(int, found.groups())
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        raise ValueError("not a date of the calendar") from None
    at = days * DAY_MS + (hour * 60 + minute) * MINUTE_MS
    if len(_minutes) >= _MINUTES_MAX:
        _minutes.clear()
    _minutes[text] = at
    return at


def _fraction_ms(text: str) -> int:
    """Milliseconds of what follows the second: a fraction, and the offset, which counts backwards."""
    found = _FRACTION.fullmatch(text)
    if found is None:
        raise ValueError(_NOT_RFC_3339)
    digits, sign, hours, minutes = found.groups()
    at = int(digits[:3].ljust(3, "0")) if digits else 0
    if sign:
        offset = (int(hours) * 60 + int(minutes)) * MINUTE_MS
        at -= offset if sign == "+" else -offset
    if len(text) <= _FRACTION_LENGTH_MAX:
        if len(_fractions) >= _FRACTIONS_MAX:
            _fractions.clear()
        _fractions[text] = at
    return at

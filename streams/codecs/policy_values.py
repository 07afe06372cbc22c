"""Reads the tables and values of a policy file; what is refused knows its field and line (SPEC section 6)."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

from streams.codecs.durations import format_duration, parse_duration
from streams.codecs.times import time_ms

T = TypeVar("T")
D = TypeVar("D")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_WHOLE = 2**53
_THRESHOLD_DECIMALS = 4
# A ratio takes part in exact products: these bounds keep them exact and small, far beyond what anyone means.
_RATIO_DECIMALS = 30
_LARGEST_RATIO = 1_000_000_000
_LONGEST_URL = 2048
_LONGEST_SHOWN = 60


class Refusal(Exception):
    """Something in the file is wrong: `FIELD: what`, at `line`."""

    def __init__(self, line: int, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.line = line


class Table:
    """A table of the file, which refuses what is wrong with it."""

    def __init__(
        self, values: Mapping[str, Any], path: tuple[str | int, ...], lines: Mapping[tuple[str | int, ...], int]
    ) -> None:
        self._values = values
        self._path = path
        self._lines = lines

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def line(self, key: str | None = None) -> int:
        """The line of a key, or of the table itself where the key is not written."""
        path = self._path if key is None else (*self._path, key)
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def refuse(self, key: str, message: str) -> NoReturn:
        """Raises the Refusal of a key of this table."""
        # As a person would write it in the file: indices are told by the line.
        field = ".".join(str(part) for part in (*self._path, key) if isinstance(part, str))
        raise Refusal(self.line(key), field, message)

    def refuse_unknown(self, known: Sequence[str]) -> None:
        """Raises the Refusal of the first key that isn't known, naming the nearest that is."""
        for key in self._values:
            if key not in known:
                nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
                self.refuse(key, f"unknown; the nearest name is {nearest}")

    def require(self, key: str) -> None:
        """Raises the Refusal of a key that is missing."""
        if key not in self._values:
            self.refuse(key, "is missing")

    def read(self, key: str, reader: Callable[[Any], T], default: D) -> T | D:
        """A value as `reader` understands it, or `default` if it is left out."""
        if key not in self._values:
            return default
        try:
            return reader(self._values[key])
        except ValueError as error:
            self.refuse(key, f"{_shown(self._values[key])} is not valid: {error}")

    def table(self, key: str) -> Table | None:
        """A table under this one, or None if it is left out."""
        values = self._values.get(key, {})
        if not isinstance(values, dict):
            self.refuse(key, f"must be a table, not {_kind(values)}")
        return Table(values, (*self._path, key), self._lines) if key in self._values else None

    def tables(self, key: str) -> list[Table]:
        """The tables `[[key]]`, of which there must be one at least."""
        elements = self._values.get(key, [])
        if not isinstance(elements, list):
            self.refuse(key, f"must be [[{key}]] tables, not {_kind(elements)}")
        if not elements:
            self.refuse(key, f"there is none; write at least one [[{key}]] table")
        for index, values in enumerate(elements):
            if not isinstance(values, dict):
                line = self._lines.get((*self._path, key, index), self.line(key))
                raise Refusal(line, key, f"must be [[{key}]] tables, not {_kind(values)}")
        return [Table(values, (*self._path, key, index), self._lines) for index, values in enumerate(elements)]


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "a single table"
    return "a list" if isinstance(value, list) else _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (list, dict)):
        return _kind(value)
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + "..."


def text(*, least: int, most: int) -> Callable[[object], str]:
    """A string of `least` to `most` characters."""

    def read(value: object) -> str:
        if not isinstance(value, str) or not least <= len(value) <= most:
            raise ValueError(f"give a string of {least} to {most} characters")
        return value

    return read


def url_template(value: object) -> str:
    """A template; braces with anything but our placeholders in them are part of the URL (SPEC 6 names no error)."""
    return text(least=1, most=_LONGEST_URL)(value)


def truth(value: object) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise ValueError("give true or false")
    return value


def whole(*, least: int) -> Callable[[object], int]:
    """An integer of at least `least`; `1.0` is none."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _LARGEST_WHOLE:
            raise ValueError(f"give a whole number, {least} or more")
        return value

    return read


def duration(*, least_ms: int) -> Callable[[object], int]:
    """A duration string, in milliseconds, of at least `least_ms`."""

    def read(value: object) -> int:
        if not isinstance(value, str):
            raise ValueError('give a duration as a string, such as "48h", "30d" or "90m"')
        duration_ms = parse_duration(value)
        if duration_ms < least_ms:
            raise ValueError(f"give {format_duration(least_ms)} or more")
        return duration_ms

    return read


def _number(value: object) -> Decimal:
    """The exact decimal of a TOML number (floats were parsed as decimals)."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or not (number := Decimal(value)).is_finite():
        raise ValueError("give a number")
    return number


def _decimals(number: Decimal) -> int:
    """How many decimals the value needs: 2 for 0.0500."""
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "finite"
    if not any(digits):
        return 0
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    return max(0, -(exponent + zeros))


def decimal(
    *, more_than: int | None = None, at_least: int | None = None, at_most: int = _LARGEST_RATIO
) -> Callable[[object], Decimal]:
    """A number within bounds, exactly as written."""
    lower = f"more than {more_than}" if at_least is None else f"{at_least} or more"
    valid = f"give a number, {lower}, at most {at_most}"

    def read(value: object) -> Decimal:
        try:
            number = _number(value)
        except ValueError:
            raise ValueError(valid) from None
        if (
            (more_than is not None and number <= more_than)
            or (at_least is not None and number < at_least)
            or number > at_most
        ):
            raise ValueError(valid)
        if _decimals(number) > _RATIO_DECIMALS:
            raise ValueError(f"give at most {_RATIO_DECIMALS} decimals")
        return number

    return read


def threshold(value: object) -> Decimal:
    """A rate in (0, 1] with at most 4 decimals."""
    number = decimal(more_than=0, at_most=1)(value)
    if _decimals(number) > _THRESHOLD_DECIMALS:
        raise ValueError(f"a threshold has at most {_THRESHOLD_DECIMALS} decimals")
    return number


def read_time(value: object) -> int:
    """A TOML date-time with offset, or an RFC 3339 string; epoch milliseconds, below a millisecond cut."""
    valid = "give a date-time with offset, such as 2026-03-01T00:00:00Z"
    if isinstance(value, str):
        try:
            return time_ms(value)
        except ValueError:
            raise ValueError(valid) from None
    if not isinstance(value, datetime):
        raise ValueError(valid)
    if value.tzinfo is None:
        raise ValueError(f"it has no offset; {valid}")
    if value < _EPOCH:
        raise ValueError("give a time from 1970 on")
    return (value - _EPOCH) // timedelta(milliseconds=1)

"""How the text of one setting becomes its value, and what is said when it can't.

Each reader takes what TOML or the environment gave (there always text) and returns the value, or raises ValueError
with what would be valid: the words after "give", as in `give a whole number from 1 to 10000`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from streams.codecs.durations import format_duration, parse_duration

Reader: TypeAlias = Callable[[object], Any]

_SIZE = re.compile(r"([0-9]{1,15}) ?(B|kB|KB|MB|KiB|MiB)?", re.ASCII)
_SIZE_BYTES = {None: 1, "B": 1, "kB": 1_000, "KB": 1_000, "MB": 1_000_000, "KiB": 1 << 10, "MiB": 1 << 20}
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", re.ASCII)
_KAFKA_NAME = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_DATABASE_URL = re.compile(r"sqlite:///.{1,1000}|postgresql(\+psycopg)?://[!-~]{1,1000}")
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def text(longest: int = 1024) -> Reader:
    """Any text of 1 to `longest` characters without control characters."""

    def read(given: object) -> str:
        if not isinstance(given, str) or not 0 < len(given) <= longest or not given.isprintable():
            raise ValueError(f"text of 1 to {longest} printable characters")
        return given

    return read


def whole(least: int, most: int) -> Reader:
    """A whole number from `least` to `most`."""

    def read(given: object) -> int:
        valid = f"a whole number from {least} to {most}"
        if isinstance(given, str) and re.fullmatch(r"[0-9]{1,15}", given, re.ASCII):
            given = int(given)
        if not isinstance(given, int) or isinstance(given, bool) or not least <= given <= most:
            raise ValueError(valid)
        return given

    return read


def size(least: int, most: int) -> Reader:
    """Bytes: a whole number, or text with a unit such as `4MB`."""

    def read(given: object) -> int:
        if isinstance(given, str) and (match := _SIZE.fullmatch(given)):
            given = int(match[1]) * _SIZE_BYTES[match[2]]
        if not isinstance(given, int) or isinstance(given, bool) or not least <= given <= most:
            raise ValueError(f'bytes, as a number or like "4MB" (kB, MB, KiB, MiB), from {least} to {most}')
        return given

    return read


def truth(given: object) -> bool:
    """True or false."""
    if isinstance(given, str):
        given = _TRUTH.get(given.lower())
    if not isinstance(given, bool):
        raise ValueError("true or false")
    return given


def choice(*values: str) -> Reader:
    """One of `values`, whatever the case it is written in."""
    known = {value.lower(): value for value in values}

    def read(given: object) -> str:
        value = known.get(given.lower()) if isinstance(given, str) else None
        if value is None:
            raise ValueError("one of " + ", ".join(values))
        return value

    return read


def duration(least_ms: int, most_ms: int, *, divides_ms: int | None = None) -> Reader:
    """Milliseconds, from text such as `90m`; with `divides_ms`, only what goes into it a whole number of times."""
    valid = f'a duration such as "90m" or "1s", from {format_duration(least_ms)} to {format_duration(most_ms)}'
    if divides_ms is not None:
        valid += f", that divides {divides_ms // 3_600_000}h"

    def read(given: object) -> int:
        if not isinstance(given, str):
            raise ValueError(valid)
        try:
            duration_ms = parse_duration(given)
        except ValueError:
            raise ValueError(valid) from None
        if not least_ms <= duration_ms <= most_ms or (divides_ms is not None and divides_ms % duration_ms):
            raise ValueError(valid)
        return duration_ms

    return read


def kafka_name(longest: int) -> Reader:
    """A name that Kafka allows for a topic, of at most `longest` characters."""

    def read(given: object) -> str:
        if (
            not isinstance(given, str)
            or not 0 < len(given) <= longest
            or given in (".", "..")
            or not _KAFKA_NAME.fullmatch(given)
        ):
            raise ValueError(f"1 to {longest} of the characters a-z A-Z 0-9 . _ -")
        return given

    return read


def servers(given: object) -> str:
    """`host:port`, or several of them with commas between (in TOML a list does as well)."""
    parts = given.split(",") if isinstance(given, str) else given
    found: list[str] = []
    for part in parts if isinstance(parts, (list, tuple)) else ():
        match = _HOST_PORT.fullmatch(part.strip()) if isinstance(part, str) else None
        if match is None or not 0 < int(match[2]) < 65536:
            found.clear()
            break
        found.append(match[0])
    if not found:
        raise ValueError('host:port, or several with commas between, such as "kafka-1:9092,kafka-2:9092"')
    return ",".join(found)


def uri_reference(given: object) -> str:
    """A URI reference: printable ASCII without blanks (CloudEvents' `source`)."""
    if not isinstance(given, str) or not re.fullmatch(r"[!-~]{1,1024}", given):
        raise ValueError('a URI or a path such as "/flagged-products", without blanks, of at most 1024 characters')
    return given


def path(given: object) -> Path:
    """A path of the file system."""
    if not isinstance(given, str) or not given or "\0" in given:
        raise ValueError("a path")
    return Path(given).expanduser()


def database_url(given: object) -> str:
    """The URL of a SQLite file or a PostgreSQL database, as SQLAlchemy writes them."""
    valid = 'a URL such as "sqlite:///notify.db" or "postgresql://user:password@host/database"'
    if not isinstance(given, str) or not given.isprintable() or not _DATABASE_URL.fullmatch(given):
        raise ValueError(valid)
    return given

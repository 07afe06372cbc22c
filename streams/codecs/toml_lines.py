"""The line of each key and table of a TOML document, which `tomllib` doesn't tell."""

from __future__ import annotations

import re
import tomllib
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Where a value is: keys, and indices into arrays and arrays of tables."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# The longest delimiter first. A multi-line string may end in up to two quotes of its own before the delimiter.
_STRING = re.compile(
    r'"""(?:[^\\]|\\[\s\S])*?"{3,5}(?!")'
    r"|'''[\s\S]*?'{3,5}(?!')"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def key_lines(source: str) -> dict[Path, int]:
    """The line (from 1) of every key, table header and array element of `source`, which must be valid TOML.

    The line of a table is that of its header, or of the first key that is written under it.
    """
    return _Scanner(source.replace("\r\n", "\n")).scan()


class _Scanner:
    """Walks through a document that `tomllib` has accepted; so it looks only for where things end."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._counted_to = 0
        self._line = 1
        self._lines: dict[Path, int] = {}
        self._array_lengths: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._source):
            line = self._line_here()
            if self._source.startswith("[[", self._at):
                self._at += 2
                table = self._begin_element(self._key(), line)
                self._at += 2
            elif self._source[self._at] == "[":
                self._at += 1
                table = self._resolved((), self._key(), line)
                self._at += 1
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._lines

    def _begin_element(self, key: list[str], line: int) -> Path:
        """`[[a.b]]` begins the next element of the array `a.b`; its path."""
        array = (*self._resolved((), key[:-1], line), key[-1])
        index = self._array_lengths.get(array, 0)
        self._array_lengths[array] = index + 1
        self._lines.setdefault(array, line)
        self._lines[(*array, index)] = line
        return (*array, index)

    def _resolved(self, base: Path, key: list[str], line: int) -> Path:
        """The path that a dotted key means; within an array of tables it goes to the last element."""
        path = base
        for part in key:
            path = (*path, part)
            self._lines.setdefault(path, line)
            if path in self._array_lengths:
                path = (*path, self._array_lengths[path] - 1)
        return path

    def _pair(self, table: Path) -> None:
        line = self._line_here()
        path = self._resolved(table, self._key(), line)
        self._at += 1  # the equals sign
        self._value(path)

    def _key(self) -> list[str]:
        """Reads a dotted key and the space after it."""
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            if (bare := _BARE_KEY.match(self._source, self._at)) is not None:
                parts.append(bare[0])
                self._at = bare.end()
            else:
                quoted = self._skip(_STRING)
                parts.append(tomllib.loads(f"key = {quoted}")["key"])
            self._skip(_SPACE)
            if not self._source.startswith(".", self._at):
                return parts
            self._at += 1

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        opening = self._source[self._at]
        if opening in "\"'":
            self._skip(_STRING)
        elif opening == "[":
            self._elements(path, "]")
        elif opening == "{":
            self._elements(path, "}")
        else:
            self._skip(_SCALAR)

    def _elements(self, path: Path, closing: str) -> None:
        """Reads the elements of an array, or the pairs of an inline table, and what closes it."""
        self._at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self._source[self._at] == closing:
                self._at += 1
                return
            if self._source[self._at] == ",":
                self._at += 1
            elif closing == "}":
                self._pair(path)
            else:
                self._lines[(*path, index)] = self._line_here()
                self._value((*path, index))
                index += 1

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._source, self._at)
        if match is None:
            raise ValueError(f"line {self._line_here()}: not valid TOML")
        self._at = match.end()
        return match[0]

    def _line_here(self) -> int:
        self._line += self._source.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        return self._line

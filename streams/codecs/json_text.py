"""JSON as RFC 8259 has it, with numbers kept as written (SPEC section 3).

Python's own reader is taken where it is right; this module adds what it lets through (NaN, lone surrogates) and what
it cannot do (any depth of nesting, numbers of any length without a cost that grows faster than they do).
"""

from __future__ import annotations

import json
import re
from typing import TypeAlias, Union

from streams.codecs.refusals import Reason, Refused


class IntToken(str):
    """An integer as written: `12`, `-0`."""


class FractionToken(str):
    """A number with a fraction or an exponent as written: `1.50`, `1e400`."""


# A string is a `str` that is neither token; of containers only the top two levels are ever looked into.
JsonValue: TypeAlias = Union[bool, str, IntToken, FractionToken, "list[JsonValue]", "dict[str, JsonValue]", None]

_NOT_JSON = "the value is not JSON"


def _refuse_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is not JSON")


_READER = json.JSONDecoder(parse_int=IntToken, parse_float=FractionToken, parse_constant=_refuse_constant)

# Backslashes stand only inside strings; each alternative takes one escape whole, so the second `\` of `\\` never
# begins one. Group 1 is a surrogate that the first alternative did not find paired.
_ESCAPE = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u([dD][89a-fA-F]..)|\\.")

_TOKEN = re.compile(
    r"""[ \t\n\r]*+(?:
      (?P<punctuation>[\[\]{},:])
    | (?P<string>"(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+")
    | (?P<number>-?(?:0|[1-9][0-9]*+)(?P<fraction>(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?))
    | (?P<word>true|false|null)
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_WORDS: dict[str, JsonValue] = {"true": True, "false": False, "null": None}


def read_json(text: str) -> JsonValue:
    """Parse `text`, lone surrogates and all; of duplicate keys the last wins. Raise `Refused` (`not_json`)."""
    try:
        value: JsonValue = _READER.decode(text)
    except RecursionError:
        value = _parse_nested(text)
    except ValueError:
        raise Refused(Reason.NOT_JSON, _NOT_JSON) from None
    return value


def member_spans(text: str) -> list[tuple[str, int, int]]:
    """Name, start and end of each member of the object in `text`, which is known to be one; as it is written."""
    spans: list[tuple[str, int, int]] = []
    depth = start = end = at = 0
    name: str | None = None
    while (found := _TOKEN.match(text, at)) is not None and found.lastgroup != "end":
        at, mark = found.end(), found["punctuation"]
        if mark in ("}", "]"):
            depth -= 1
        if name is not None and ((mark == "," and depth == 1) or (mark == "}" and depth == 0)):
            spans.append((name, start, end))
            name = None
        elif depth == 1 and name is None and found["string"] is not None:
            name, start = json.loads(found["string"]), found.start("string")
        if mark in ("{", "["):
            depth += 1
        end = at
    return spans


def parse_json(text: str) -> JsonValue:
    """Parse `text`; of duplicate keys the last wins. Raise `Refused` (`not_json`, `lone_surrogate`)."""
    value = read_json(text)
    if has_lone_surrogate(text):
        raise Refused(Reason.LONE_SURROGATE, "the value holds a lone surrogate")
    return value


def has_lone_surrogate(text: str) -> bool:
    """Tell whether a string or a key of the JSON in `text` holds an escaped surrogate that is not one of a pair."""
    if "\\ud" not in text and "\\uD" not in text:
        return False
    return any(found.group(1) for found in _ESCAPE.finditer(text))


def _parse_nested(text: str) -> JsonValue:
    """Parse JSON nested more deeply than the stack allows; the result is that of the usual reader."""
    parser = _NestedParser()
    at = 0
    while True:
        found = _TOKEN.match(text, at)
        if found is None:
            raise Refused(Reason.NOT_JSON, _NOT_JSON)
        at = found.end()
        kind = found.lastgroup
        if kind == "end":
            return parser.result()
        if kind == "punctuation":
            parser.punctuation(found["punctuation"])
        elif kind == "string":
            parser.string(json.loads(found["string"]))
        elif kind == "word":
            parser.scalar(_WORDS[found["word"]])
        else:
            parser.scalar((FractionToken if found["fraction"] else IntToken)(found["number"]))


class _NestedParser:
    """A JSON parser with a stack of its own; `_expected` says which tokens may come next."""

    def __init__(self) -> None:
        self._root: list[JsonValue] = []
        self._stack: list[list[JsonValue] | dict[str, JsonValue]] = []
        self._keys: list[str] = []  # one per open object whose value is being read
        self._expected = "value"

    def punctuation(self, mark: str) -> None:
        if mark in "[{":
            self._open({} if mark == "{" else [])
        elif mark in "]}":
            self._close(mark)
        elif mark == ":":
            self._require("colon")
            self._expected = "value"
        else:
            self._require("comma or end")
            self._expected = "key" if isinstance(self._stack[-1], dict) else "value"

    def string(self, text: str) -> None:
        if self._expected in ("key", "key or end"):
            self._keys.append(text)
            self._expected = "colon"
        else:
            self.scalar(text)

    def scalar(self, value: JsonValue) -> None:
        self._require("value", "value or end")
        self._add(value)
        self._expected = "comma or end" if self._stack else "nothing"

    def result(self) -> JsonValue:
        self._require("nothing")
        return self._root[0]

    def _open(self, container: list[JsonValue] | dict[str, JsonValue]) -> None:
        self._require("value", "value or end")
        self._add(container)
        self._stack.append(container)
        self._expected = "key or end" if isinstance(container, dict) else "value or end"

    def _close(self, mark: str) -> None:
        is_object = mark == "}"
        self._require("comma or end", "key or end" if is_object else "value or end")
        if isinstance(self._stack.pop(), dict) is not is_object:
            raise Refused(Reason.NOT_JSON, _NOT_JSON)
        self._expected = "comma or end" if self._stack else "nothing"

    def _add(self, value: JsonValue) -> None:
        if not self._stack:
            self._root.append(value)
            return
        container = self._stack[-1]
        if isinstance(container, dict):
            container[self._keys.pop()] = value
        else:
            container.append(value)

    def _require(self, *states: str) -> None:
        if self._expected not in states:
            raise Refused(Reason.NOT_JSON, _NOT_JSON)

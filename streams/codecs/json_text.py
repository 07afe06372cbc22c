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

    __slots__ = ()


class FractionToken(str):
    """A number with a fraction or an exponent as written: `1.50`, `1e400`."""

    __slots__ = ()


# A string is a `str` that is neither token; of containers only the top two levels are ever looked into.
JsonValue: TypeAlias = Union[bool, str, IntToken, FractionToken, "list[JsonValue]", "dict[str, JsonValue]", None]

_NOT_JSON = "the value is not JSON"


def _refuse_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is not JSON")


_READER = json.JSONDecoder(parse_int=IntToken, parse_float=FractionToken, parse_constant=_refuse_constant)

# Backslashes stand only inside strings; each alternative takes one escape whole, so the second `\` of `\\` never
# begins one. Group 1 is a surrogate that the first alternative did not find paired.
_ESCAPE = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u([dD][89a-fA-F]..)|\\.")

# Blanks, and group 1: a token. Where none begins all the rest is taken, so that nothing is passed over or tried again.
_TOKEN = re.compile(
    r"""[ \t\n\r]*+(?:(
      [\[\]{},:]
    | "(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+"
    | -?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?
    | true|false|null
    )|(?s:.+))""",
    re.VERBOSE,
)
_BLANKS = " \t\n\r"
_WORDS: dict[str, JsonValue] = {"true": True, "false": False, "null": None}

# What may come next where nested JSON is parsed: a set of these.
_NOTHING, _VALUE, _KEY, _COLON, _COMMA, _END_OF_LIST, _END_OF_OBJECT = 0, 1, 2, 4, 8, 16, 32
# What a token is; all others are values, unless a string is where a key is expected.
_KINDS = {":": _COLON, ",": _COMMA, "]": _END_OF_LIST, "}": _END_OF_OBJECT}


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
    depth = start = end = 0
    name: str | None = None
    for found in _TOKEN.finditer(text.rstrip(_BLANKS)):
        token = found[1]
        if token == "}" or token == "]":
            depth -= 1
        if name is not None and ((token == "," and depth == 1) or (token == "}" and depth == 0)):
            spans.append((name, start, end))
            name = None
        elif depth == 1 and name is None and token[0] == '"':
            name, start = _string(token), found.start(1)
        if token == "{" or token == "[":
            depth += 1
        end = found.end()
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
    """Parse JSON nested more deeply than the stack allows; the result is that of the usual reader.

    A hostile producer chooses how often this runs, so it is one loop over tokens that were found in one go.
    """
    root: list[JsonValue] = []
    into: list[JsonValue] | dict[str, JsonValue] = root
    around: list[list[JsonValue] | dict[str, JsonValue]] = []  # the containers that `into` is in
    key, expected = "", _VALUE
    # Without the blanks at the end, which begin no token, and would be tried again from each of them.
    for token in _TOKEN.findall(text.rstrip(_BLANKS)):
        kind = _KINDS.get(token, _VALUE)
        if kind == _VALUE and expected & _KEY and token[:1] == '"':
            kind = _KEY
        if not expected & kind or not token:
            raise Refused(Reason.NOT_JSON, _NOT_JSON)
        if kind == _VALUE:
            value = _value(token)
            if isinstance(into, dict):
                into[key] = value
            else:
                into.append(value)
            if isinstance(value, (list, dict)):
                around.append(into)
                into = value
                expected = _END_OF_LIST | _VALUE if token == "[" else _END_OF_OBJECT | _KEY
                continue
        elif kind == _KEY:
            key, expected = _string(token), _COLON
            continue
        elif kind == _COLON:
            expected = _VALUE
            continue
        elif kind == _COMMA:
            expected = _KEY if isinstance(into, dict) else _VALUE
            continue
        else:
            into = around.pop()
        # After a value, or the end of one.
        end = _END_OF_OBJECT if isinstance(into, dict) else _END_OF_LIST
        expected = _COMMA | end if around else _NOTHING
    if expected != _NOTHING:
        raise Refused(Reason.NOT_JSON, _NOT_JSON)
    return root[0]


def _value(token: str) -> JsonValue:
    """A scalar, or an empty container that is to be filled."""
    if token == "[":
        return []
    if token == "{":
        return {}
    if token[0] == '"':
        return _string(token)
    if token in _WORDS:
        return _WORDS[token]
    return IntToken(token) if token.removeprefix("-").isdigit() else FractionToken(token)


def _string(token: str) -> str:
    return str(json.loads(token)) if "\\" in token else token[1:-1]

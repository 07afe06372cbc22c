"""What input records are made of: JSON of any depth, lone surrogates and times (SPEC section 3)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.codecs import json_text
from streams.codecs.json_text import has_lone_surrogate, parse_json
from streams.codecs.refusals import Refused
from streams.codecs.times import time_ms

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


def outcome_of(parse: Any, text: str) -> Any:
    try:
        value = parse(text)
    except Refused as refused:
        return refused.reason
    return kinds(value)


def kinds(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: kinds(item) for name, item in value.items()}
    if isinstance(value, list):
        return [kinds(item) for item in value]
    return type(value), value


@given(JSON, st.booleans(), st.integers(0, 200), st.text('{}[]:,"\\ \tu0123eE+-.xn', max_size=3), st.integers(0, 3))
@settings(max_examples=1000, deadline=None)
@example({}, False, 0, "[}", 2)
@example([], False, 0, '{"a":1]', 2)
@example([], False, 1, '{"a"]', 0)
def test_the_reader_of_deep_json_agrees_with_the_usual_one(
    value: Any, escaped: bool, at: int, patch: str, cut: int
) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    for candidate in (text, text[:at] + patch + text[at + cut :]):
        if not has_lone_surrogate(candidate):
            assert outcome_of(json_text._parse_nested, candidate) == outcome_of(parse_json, candidate)


@given(st.integers(0, 253_402_300_799_999), st.integers(-1439, 1439), st.text("0123456789", max_size=6))
def test_times_as_python_writes_them_are_read(at: int, offset: int, more: str) -> None:
    moment = datetime.fromtimestamp(at // 1000, UTC)
    try:
        there = moment.astimezone(timezone(timedelta(minutes=offset)))
    except OverflowError:
        return
    text = there.isoformat()
    assert time_ms(f"{text[:19]}.{at % 1000:03d}{more}{text[19:]}") == at
    assert time_ms(text) == at // 1000 * 1000


@given(
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
)
def test_a_time_is_read_the_same_from_memory(text: str) -> None:
    def once() -> int | str:
        try:
            return time_ms(text)
        except ValueError as error:
            return str(error)

    assert once() == once()


@given(st.text(r"\ud8cDaA0f", max_size=20))
def test_lone_surrogates_are_found_as_python_finds_them(inner: str) -> None:
    try:
        text = json.loads(f'"{inner}"')
    except ValueError:
        return
    lone = any("\ud800" <= character <= "\udfff" for character in text)
    assert has_lone_surrogate(f'"{inner}"') is lone

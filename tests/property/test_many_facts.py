"""A line of very many facts is derived another way than others, and must be no other (SPEC section 4).

The state of a line is told again after every fact, so that a line may not cost more with each fact it has.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.domain import lines
from streams.domain.lines import CANCELLED, EXTENDED, PLACED, PLACED_UNCOUNTED, REVERTED, SHIPPED, Fact, Line
from tests.core.effort import steps_of

KINDS = [PLACED, SHIPPED, *[EXTENDED] * 5, CANCELLED, REVERTED, PLACED_UNCOUNTED]
REASONS = ["out_of_stock", "buyer_request", "other"]
# Few times, so that all that can be equal often is, and chains of extensions are long.
TIMES = st.integers(0, 24)


@st.composite
def fact_lists(draw: st.DrawFn) -> list[Fact]:
    facts: list[Fact] = []
    for number in range(draw(st.integers(1, 14))):
        kind, at = draw(st.sampled_from(KINDS)), draw(TIMES)
        argument: int | str | None = None
        if kind in (PLACED, PLACED_UNCOUNTED, EXTENDED):
            argument = draw(TIMES) if kind != EXTENDED else max(0, at + draw(st.integers(-2, 6)))
        elif kind == CANCELLED:
            argument = draw(st.sampled_from(REASONS))
        facts.append((kind, at, f"e{draw(st.integers(0, 9))}{number}", argument))
    return facts


def state(line: Line) -> tuple[object, ...]:
    names = "placed_at ship_by shipped_at cancelled_at reason counts excused last_fact_at fate"
    return tuple(getattr(line, name) for name in names.split())


def told(facts: list[Fact]) -> list[tuple[object, ...]]:
    """The state of the line after each of its facts."""
    line, states = Line(("O", "1")), []
    for fact in facts:
        assert line.add(fact)
        assert not line.add(fact)
        states.append(state(line))
    return states


@given(facts=fact_lists(), few=st.integers(0, 4))
@settings(max_examples=1500, deadline=None)
def test_the_state_after_each_fact_is_that_of_a_line_of_few_facts(facts: list[Fact], few: int) -> None:
    expected = told(facts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "FEW_FACTS", few)
        assert told(facts) == expected
        # Read from a row in the midst of it, and told the rest.
        line = Line(("O", "1"), facts[:few])
        for fact in facts[few:]:
            line.add(fact)
        assert state(line) == expected[-1]


def hostile(form: str, count: int) -> list[Fact]:
    """Facts none of which a line can pass over."""
    placed: Fact = (PLACED, 0, "p", 10)
    extended: list[Fact] = [(EXTENDED, 10 * n, f"x{n}", 10 * n + 15) for n in range(count)]
    if form == "each extension moves the deadline":
        return [placed, *extended]
    if form == "no extension counts before the last":
        return [placed, *reversed(extended)]
    if form == "placed ever earlier":
        return [(PLACED, count - n, f"p{n}", 10 * n) for n in range(count)] + extended
    if form == "reverted again and again":
        pairs: list[Fact] = []
        for n in range(count // 2):
            pairs += [(CANCELLED, 20 * n, f"c{n}", "other"), (REVERTED, 20 * n + 5, f"r{n}", None), extended[n]]
        return [placed, *pairs]
    mixed: list[Any] = [placed, *extended, *((SHIPPED, count - n, f"s{n}", None) for n in range(count))]
    Random(1).shuffle(mixed)
    return mixed


@pytest.mark.parametrize(
    "form",
    [
        "each extension moves the deadline",
        "no extension counts before the last",
        "placed ever earlier",
        "reverted again and again",
        "mixed",
    ],
)
def test_a_fact_costs_no_more_the_more_there_are(form: str) -> None:
    """Steps are calls and lines of Python, counted: four times the facts are about four times the steps."""
    few, many = (steps_of(lambda count=count: told(hostile(form, count))) for count in (200, 800))
    assert many < 6 * few

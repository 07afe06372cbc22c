"""What the facts of a line add up to, and what a line counts: each case a sentence of SPEC section 4."""

from __future__ import annotations

from itertools import permutations

import pytest

from streams.domain.buckets import (
    ONE_DUE,
    ONE_LATE,
    ONE_OVERDUE,
    ONE_PLACED,
    ONE_SELLER_CANCELLED,
    ONE_STOCK_CANCELLED,
)
from streams.domain.lines import (
    CANCELLED,
    EXTENDED,
    PLACED,
    PLACED_UNCOUNTED,
    REVERTED,
    SHIPPED,
    Fact,
    Line,
)

H = 3_600_000
PLACED_AT = 1_000 * H
SHIP_BY = PLACED_AT + 48 * H
OPEN_LATE = ONE_DUE + ONE_LATE + ONE_OVERDUE


def placed(at: int = PLACED_AT, ship_by: int = SHIP_BY, id_: str = "p") -> Fact:
    return PLACED, at, id_, ship_by


def shipped(at: int, id_: str = "s") -> Fact:
    return SHIPPED, at, id_, None


def extended(at: int, until: int, id_: str = "x") -> Fact:
    return EXTENDED, at, id_, until


def cancelled(at: int, reason: str = "out_of_stock", id_: str = "c") -> Fact:
    return CANCELLED, at, id_, reason


def reverted(at: int, id_: str = "r") -> Fact:
    return REVERTED, at, id_, None


def line_of(*facts: Fact) -> Line:
    """The line of these facts, told one by one; told in any other order it must be the same."""
    line = told(facts)
    for other in permutations(facts):
        assert everything(told(other)) == everything(line)
    assert everything(Line(("O", "1"), facts)) == everything(line)
    return line


def told(facts: tuple[Fact, ...]) -> Line:
    line = Line(("O", "1"))
    for fact in facts:
        assert line.add(fact)
    return line


def everything(line: Line) -> tuple[object, ...]:
    return (
        line.placed_at,
        line.counts,
        line.ship_by,
        line.shipped_at,
        line.cancelled_at,
        line.reason,
        line.fate,
        line.excused,
        line.last_fact_at,
        line.share_of_placed(),
        line.share_once_due(),
        line.forgotten_after(7, 30),
    )


# -- what is known of it


def test_the_placed_with_the_earliest_occurred_at_holds() -> None:
    line = line_of(placed(PLACED_AT + 1, SHIP_BY + 1, "a"), placed(PLACED_AT, SHIP_BY, "b"))
    assert (line.placed_at, line.ship_by) == (PLACED_AT, SHIP_BY)


@pytest.mark.parametrize(
    ("smaller", "larger"), [("a", "b"), ("Z", "a"), ("z", "é"), ("\uffff", "\U00010000"), ("a", "aa")]
)
def test_ties_go_to_the_smaller_event_id_by_its_utf8_bytes(smaller: str, larger: str) -> None:
    assert smaller.encode() < larger.encode()
    assert line_of(placed(ship_by=SHIP_BY, id_=smaller), placed(ship_by=SHIP_BY + 1, id_=larger)).ship_by == SHIP_BY
    tied = line_of(placed(), cancelled(PLACED_AT, "other", smaller), cancelled(PLACED_AT, "out_of_stock", larger))
    assert tied.reason == "other"


def test_a_fact_told_twice_counts_once_and_of_two_contents_the_first_applied() -> None:
    line = told((placed(),))
    assert not line.add(placed())
    assert not line.add(placed(PLACED_AT - 1, SHIP_BY - 1))
    assert not line.add(cancelled(PLACED_AT, id_="p"))
    assert (line.placed_at, line.ship_by, line.fate, len(line.facts)) == (PLACED_AT, SHIP_BY, "open", 1)


def test_a_line_of_very_many_facts_is_no_other() -> None:
    line = told((placed(), *(shipped(PLACED_AT + 100 - number, f"s{number}") for number in range(100))))
    assert line.shipped_at == PLACED_AT + 1
    for number in (0, 15, 16, 99):
        assert not line.add(shipped(PLACED_AT, f"s{number}"))
        assert not Line(("O", "1"), line.facts).add(shipped(PLACED_AT, f"s{number}"))
    assert len(line.facts) == 101
    assert line.add(shipped(PLACED_AT + 2, "later scan"))
    assert (line.shipped_at, line.last_fact_at) == (PLACED_AT + 1, PLACED_AT + 100)
    assert line.add(shipped(PLACED_AT + 500, "latest scan"))
    assert (line.shipped_at, line.last_fact_at) == (PLACED_AT + 1, PLACED_AT + 500)


def test_a_line_not_placed_yet_counts_nothing_until_placed_arrives() -> None:
    unplaced = line_of(cancelled(PLACED_AT + 2 * H), extended(PLACED_AT, SHIP_BY + 1), reverted(PLACED_AT))
    assert (unplaced.placed_at, unplaced.ship_by, unplaced.counts) == (None, None, False)
    assert (unplaced.share_of_placed(), unplaced.share_once_due()) == (0, 0)
    assert unplaced.add(placed())
    assert unplaced.share_of_placed() == ONE_PLACED + ONE_SELLER_CANCELLED + ONE_STOCK_CANCELLED
    assert unplaced.ship_by == SHIP_BY + 1


def test_platform_and_sample_lines_count_in_no_metric_and_the_earliest_placed_says_so() -> None:
    uncounted: Fact = (PLACED_UNCOUNTED, PLACED_AT, "p", SHIP_BY)
    line = line_of(uncounted, cancelled(PLACED_AT + 2 * H))
    assert (line.share_of_placed(), line.share_once_due()) == (0, 0)
    assert not line_of(uncounted).share_once_due()
    assert line_of(uncounted, placed(PLACED_AT - 1, id_="q")).share_of_placed() == ONE_PLACED
    assert line_of(uncounted, placed(PLACED_AT + 1, id_="a")).share_of_placed() == 0


# -- ship_by


@pytest.mark.parametrize(
    ("facts", "ship_by"),
    [
        pytest.param([extended(SHIP_BY - 1, SHIP_BY + 9)], SHIP_BY + 9, id="before the present one"),
        pytest.param([extended(SHIP_BY, SHIP_BY + 9)], SHIP_BY + 9, id="at the present one"),
        pytest.param([extended(SHIP_BY + 1, SHIP_BY + 9)], SHIP_BY, id="after the present one"),
        pytest.param([extended(PLACED_AT, SHIP_BY)], SHIP_BY, id="not later"),
        pytest.param([extended(PLACED_AT, SHIP_BY - 1)], SHIP_BY, id="earlier"),
        pytest.param([extended(PLACED_AT - 5, SHIP_BY + 9)], SHIP_BY + 9, id="occurred before placed"),
        pytest.param(
            [extended(SHIP_BY, SHIP_BY + 9, "b"), extended(SHIP_BY + 9, SHIP_BY + 20, "a")],
            SHIP_BY + 20,
            id="in order of occurred_at, each by the present one",
        ),
        pytest.param(
            [extended(SHIP_BY - 2, SHIP_BY + 20, "b"), extended(SHIP_BY - 1, SHIP_BY + 9, "a")],
            SHIP_BY + 20,
            id="never back",
        ),
        pytest.param(
            [cancelled(PLACED_AT), reverted(SHIP_BY + 5), extended(SHIP_BY + 6, SHIP_BY + 9)],
            SHIP_BY + 9,
            id="after a reversion",
        ),
        pytest.param(
            [cancelled(PLACED_AT), reverted(SHIP_BY + 5), extended(SHIP_BY + 5, SHIP_BY + 9)],
            SHIP_BY,
            id="at the reversion is not after it",
        ),
        pytest.param(
            [cancelled(SHIP_BY + 5), reverted(SHIP_BY + 5), extended(SHIP_BY + 6, SHIP_BY + 9)],
            SHIP_BY + 9,
            id="the reversion has a cancellation at it",
        ),
        pytest.param(
            [cancelled(SHIP_BY + 6), reverted(SHIP_BY + 5), extended(SHIP_BY + 7, SHIP_BY + 9)],
            SHIP_BY,
            id="the reversion has no cancellation at or before it",
        ),
        pytest.param([reverted(PLACED_AT), extended(SHIP_BY + 7, SHIP_BY + 9)], SHIP_BY, id="no cancellation at all"),
        pytest.param(
            [
                cancelled(PLACED_AT),
                reverted(SHIP_BY + 1, "r1"),
                extended(SHIP_BY + 2, SHIP_BY + 9),
                reverted(SHIP_BY + 3),
            ],
            SHIP_BY,
            id="after the latest reversion, not just any",
        ),
        pytest.param(
            [cancelled(PLACED_AT), reverted(SHIP_BY + 1), extended(SHIP_BY + 2, SHIP_BY)],
            SHIP_BY,
            id="after a reversion, but not later",
        ),
    ],
)
def test_an_extension_counts_if_later_and_in_time_or_after_a_reversion(facts: list[Fact], ship_by: int) -> None:
    assert line_of(placed(), *facts).ship_by == ship_by


# -- cancelled, reverted, shipped


def test_shipped_at_is_the_earliest() -> None:
    assert line_of(placed(), shipped(PLACED_AT + 9, "a"), shipped(PLACED_AT + 5, "b")).shipped_at == PLACED_AT + 5


@pytest.mark.parametrize(
    ("facts", "at", "reason"),
    [
        ([cancelled(9, "other", "a"), cancelled(5, "out_of_stock", "b")], 5, "out_of_stock"),
        ([cancelled(5, "other"), reverted(5)], None, None),
        ([cancelled(5, "other"), reverted(4)], 5, "other"),
        ([cancelled(5, "other", "a"), reverted(6), cancelled(7, "out_of_stock", "b")], 7, "out_of_stock"),
        ([cancelled(5, "other", "a"), reverted(7), cancelled(7, "out_of_stock", "b")], None, None),
        ([cancelled(5, id_="a"), reverted(4, "r1"), reverted(6, "r2")], None, None),
        ([cancelled(5, id_="a"), reverted(6), cancelled(8, "other", "b"), cancelled(7, "other", "d")], 7, "other"),
    ],
)
def test_cancelled_at_is_the_earliest_later_than_every_reversion(
    facts: list[Fact], at: int | None, reason: str | None
) -> None:
    moved = [(kind, PLACED_AT + when, id_, argument) for kind, when, id_, argument in facts]
    line = line_of(placed(), *moved)
    assert (line.cancelled_at, line.reason) == (None if at is None else PLACED_AT + at, reason)


@pytest.mark.parametrize(
    ("facts", "fate"),
    [
        ([], "open"),
        ([shipped(PLACED_AT + 5)], "shipped"),
        ([cancelled(PLACED_AT + 5)], "cancelled"),
        ([cancelled(PLACED_AT + 5), shipped(PLACED_AT + 6)], "cancelled"),
        ([cancelled(PLACED_AT + 5), shipped(PLACED_AT + 5)], "shipped"),
        ([cancelled(PLACED_AT + 6), shipped(PLACED_AT + 5)], "shipped"),
        ([cancelled(PLACED_AT + 5), reverted(PLACED_AT + 6)], "open"),
        ([cancelled(PLACED_AT + 5), reverted(PLACED_AT + 6), shipped(PLACED_AT + 7)], "shipped"),
    ],
)
def test_fate(facts: list[Fact], fate: str) -> None:
    assert line_of(placed(), *facts).fate == fate


# -- excused


@pytest.mark.parametrize(
    ("facts", "excused"),
    [
        pytest.param([], False, id="not reverted"),
        pytest.param([reverted(PLACED_AT)], False, id="no cancellation"),
        pytest.param([cancelled(PLACED_AT), reverted(PLACED_AT)], True, id="reverted"),
        pytest.param([cancelled(PLACED_AT + 1), reverted(PLACED_AT)], False, id="cancelled after the reversion"),
        pytest.param(
            [cancelled(PLACED_AT, id_="a"), reverted(PLACED_AT + 1), cancelled(PLACED_AT + 2, id_="b")],
            False,
            id="one of its cancellations stands",
        ),
        pytest.param([cancelled(PLACED_AT), reverted(PLACED_AT), shipped(SHIP_BY)], False, id="shipped at ship_by"),
        pytest.param([cancelled(PLACED_AT), reverted(PLACED_AT), shipped(SHIP_BY + 1)], True, id="shipped later"),
        pytest.param(
            [cancelled(PLACED_AT), reverted(PLACED_AT + 5), extended(PLACED_AT + 6, SHIP_BY + 1)],
            False,
            id="an extension counted that is later than the reversion",
        ),
        pytest.param(
            [cancelled(PLACED_AT), reverted(PLACED_AT + 5), extended(PLACED_AT + 5, SHIP_BY + 1)],
            True,
            id="an extension at the reversion",
        ),
        pytest.param(
            [cancelled(PLACED_AT), reverted(PLACED_AT + 5), extended(PLACED_AT + 6, SHIP_BY)],
            True,
            id="an extension after it that did not count",
        ),
        pytest.param(
            [cancelled(PLACED_AT), reverted(PLACED_AT + 5), extended(PLACED_AT + 4, SHIP_BY + 1)],
            True,
            id="an extension before it",
        ),
    ],
)
def test_an_excused_line_is_not_due_late_or_overdue(facts: list[Fact], excused: bool) -> None:
    line = line_of(placed(), *facts)
    assert line.excused is excused
    if excused:
        assert line.share_once_due() == 0


# -- what it counts


@pytest.mark.parametrize("reason", ["buyer_request", "payment_failed"])
@pytest.mark.parametrize(("after", "counts"), [(0, False), (H, False), (H + 1, True), (-1, True)])
def test_placed_counts_but_for_a_buyers_cancellation_within_the_hold(reason: str, after: int, counts: bool) -> None:
    line = line_of(placed(), cancelled(PLACED_AT + after, reason))
    assert line.share_of_placed() == (ONE_PLACED if counts else 0)


def test_a_buyers_cancellation_that_is_not_the_fate_holds_nothing_back() -> None:
    assert line_of(placed(), cancelled(PLACED_AT + 5, "buyer_request"), shipped(PLACED_AT + 5)).share_of_placed() == (
        ONE_PLACED
    )
    assert line_of(placed(), cancelled(PLACED_AT + 5, "buyer_request"), reverted(PLACED_AT + 5)).share_of_placed() == (
        ONE_PLACED
    )


@pytest.mark.parametrize(
    ("reason", "more"),
    [
        ("out_of_stock", ONE_STOCK_CANCELLED + ONE_SELLER_CANCELLED),
        ("pricing_error", ONE_SELLER_CANCELLED),
        ("unable_to_ship", ONE_SELLER_CANCELLED),
        ("late_auto_cancel", ONE_SELLER_CANCELLED),
        ("carrier_fault", 0),
        ("other", 0),
    ],
)
def test_stock_cancelled_and_seller_cancelled_by_reason(reason: str, more: int) -> None:
    for after in (0, 5, 2 * H):
        assert line_of(placed(), cancelled(PLACED_AT + after, reason)).share_of_placed() == ONE_PLACED + more
    # Not when the fate is another.
    assert line_of(placed(), cancelled(PLACED_AT + 5, reason), shipped(PLACED_AT + 5)).share_of_placed() == ONE_PLACED


@pytest.mark.parametrize(
    ("facts", "share"),
    [
        pytest.param([], OPEN_LATE, id="open"),
        pytest.param([shipped(SHIP_BY)], ONE_DUE, id="shipped at ship_by"),
        pytest.param([shipped(SHIP_BY + 1)], ONE_DUE + ONE_LATE, id="shipped after it"),
        pytest.param([cancelled(SHIP_BY)], 0, id="cancelled at ship_by"),
        pytest.param([cancelled(SHIP_BY + 1)], ONE_DUE + ONE_LATE, id="cancelled after it"),
        pytest.param([cancelled(SHIP_BY - 1), shipped(SHIP_BY)], 0, id="cancelled, then shipped in time"),
        pytest.param([cancelled(SHIP_BY), shipped(SHIP_BY)], ONE_DUE, id="shipped and cancelled at once"),
        pytest.param([cancelled(SHIP_BY + 2), shipped(SHIP_BY + 1)], ONE_DUE + ONE_LATE, id="shipped late"),
        pytest.param([cancelled(SHIP_BY), reverted(SHIP_BY)], 0, id="excused"),
        pytest.param([cancelled(SHIP_BY), reverted(SHIP_BY), shipped(SHIP_BY)], ONE_DUE, id="reverted, in time"),
    ],
)
def test_due_late_and_overdue_once_the_clock_has_passed_ship_by(facts: list[Fact], share: int) -> None:
    assert line_of(placed(), *facts).share_once_due() == share


# -- forgetting


@pytest.mark.parametrize(
    ("facts", "after"),
    [
        pytest.param([placed(), shipped(SHIP_BY - 1)], SHIP_BY + 7, id="shipped in time: ship_by is the last"),
        pytest.param([placed(), shipped(SHIP_BY), extended(SHIP_BY + 3, 0)], SHIP_BY + 10, id="a fact is the last"),
        pytest.param([placed(), shipped(SHIP_BY + 1)], SHIP_BY + 31, id="shipped late counts in a numerator"),
        pytest.param([placed()], SHIP_BY + 30, id="open"),
        pytest.param([placed(), cancelled(PLACED_AT)], SHIP_BY + 30, id="cancelled"),
        pytest.param([cancelled(PLACED_AT)], PLACED_AT + 30, id="not placed"),
        pytest.param([shipped(PLACED_AT)], PLACED_AT + 7, id="shipped, but not placed, counts nowhere"),
        pytest.param(
            [placed(), cancelled(PLACED_AT), reverted(PLACED_AT), shipped(SHIP_BY + 1)],
            SHIP_BY + 8,
            id="excused, shipped late, counts nowhere",
        ),
        pytest.param(
            [(PLACED_UNCOUNTED, PLACED_AT, "p", SHIP_BY), shipped(SHIP_BY + 1)],
            SHIP_BY + 8,
            id="uncounted, shipped late",
        ),
    ],
)
def test_a_line_is_forgotten_after_its_last(facts: list[Fact], after: int) -> None:
    # Allowed lateness 7, longest window and one bucket 30, both in ms here.
    assert line_of(*facts).forgotten_after(7, 30) == after

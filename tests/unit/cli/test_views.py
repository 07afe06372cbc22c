from __future__ import annotations

import pytest

from streams.cli.views import percent, shown, shown_time, why
from streams.codecs.output_views import decode_snapshot, decode_transition
from tests.unit.cli.examples import reason, snapshot, snapshot_value, transition


def test_a_transition_says_all_that_was_published() -> None:
    view = transition("at_risk", "impacted", product_id="Ü 1", sequence=7)
    assert (view.event_id, view.product_id, view.seller_id, view.sequence) == ("Ü 1:7", "Ü 1", "S1", 7)
    assert (view.previous_status, view.current_status, view.cause) == ("at_risk", "impacted", "threshold_breach")
    assert view.reasons[0].evidence[0].order_id == "O0"
    assert view.previous_reasons[0].level == "at_risk"


def test_a_snapshot_says_all_that_was_published() -> None:
    view = snapshot("P9", "at_risk")
    assert (view.product_id, view.current_status, view.policy_version) == ("P9", "at_risk", "us-2026-03")
    assert len(view.metrics) == 5
    assert view.impressions[0].count == 100


@pytest.mark.parametrize("value", [b"", b"null", b"[]", b"{}", b"\xff", b'{"event_id":1}', snapshot_value()])
def test_what_is_no_transition_is_none(value: bytes) -> None:
    assert decode_transition(value) is None


def test_what_is_no_snapshot_is_none() -> None:
    assert decode_snapshot(b'{"product_id":"P1"}') is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "-"),
        ("P1", "P1"),
        ("家電 é", "家電 é"),
        ("a\x1b[31mred\n", "a\\x1b[31mred\\n"),
        ("\u202eabc", "\\u202eabc"),
        ("\udcff", "\\udcff"),
    ],
)
def test_ids_cannot_write_to_the_terminal(text: str | None, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.0, "0 %"), (0.0725, "7.25 %"), (0.125, "12.5 %"), (0.1, "10 %"), (1.0, "100 %")]
)
def test_percent(fraction: float, expected: str) -> None:
    assert percent(fraction) == expected


def test_a_time_is_shown_to_the_second() -> None:
    assert shown_time("2026-03-02T18:59:30.123Z") == "2026-03-02 18:59:30"


def test_why() -> None:
    one, other = reason(), reason("late_dispatch_rate")
    message = "5 of 40 lines due are unshipped past their ship-by time"
    assert why(transition("clear", "at_risk", reasons=(one,))) == message
    assert why(transition("clear", "at_risk", reasons=(one, other))) == f"{message} (and 1 more reason)"
    assert why(transition("clear", "at_risk", reasons=(one, other, other))) == f"{message} (and 2 more reasons)"
    assert why(transition("at_risk", "resolved")) == "no longer flagged for unshipped_overdue_rate"
    assert why(transition("resolved", "clear")) == "no reason has come up again"

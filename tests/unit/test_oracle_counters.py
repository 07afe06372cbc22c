"""What the oracle counts, forgets and reads in which order, by hand from the contract."""

from __future__ import annotations

from tests.oracle import Oracle, Record
from tests.oracle.histories import (
    DAY,
    FAULT,
    FEES,
    HOUR,
    LATE,
    MINUTE,
    OVERDUE,
    STOCK,
    T0,
    History,
    numbers,
    summary,
    values,
)


def test_high_fees_are_compared_exactly_and_never_severe() -> None:
    history = History()
    for i in range(3):
        history.fee(T0 + i * MINUTE, "3.61", order=None if i == 1 else f"O{i}")
    for i in range(3, 10):
        history.fee(T0 + i * MINUTE, "3.6")
    oracle = history.run(until="2026-03-13T00:00:00Z")
    # The seven days of grace end at 03-09T00:09, but the window lets the fees go at 03-09T00:00.
    assert summary(oracle) == [
        (1, "2026-03-02T00:09:00.000Z", "clear -> at_risk", "threshold_breach", f"{FEES} at_risk"),
        (2, "2026-03-12T00:00:00.000Z", "at_risk -> resolved", "window_expired", ""),
    ]
    reason = values(oracle)[0]["reasons"][0]
    assert (reason["numerator"], reason["denominator"], reason["rate"]) == (3, 10, 0.3)
    assert reason["lower_bound"] == 0.1538
    assert reason["message"] == "3 of 10 shipping fees were above the tariff"
    assert reason["evidence_total"] == 2
    assert reason["evidence"] == [
        {"order_id": "O2", "line_id": None, "at": "2026-03-02T00:02:00.000Z"},
        {"order_id": "O0", "line_id": None, "at": "2026-03-02T00:00:00.000Z"},
    ]


def test_repeats_count_once_and_the_first_content_counts() -> None:
    history = History()
    history.placed("O1", T0, event_id="x")
    history.placed("O1", T0, event_id="x", sample=True, region="EU")
    history.fee(T0, "9", event_id="f")
    history.fee(T0 + MINUTE, "1", event_id="f")
    history.placed("O2", T0 + MINUTE, event_id="x")
    oracle = history.run()
    assert numbers(oracle)[STOCK] == (0, 2)
    assert numbers(oracle)[FEES] == (1, 1)


def test_what_counts_as_placed_and_by_whose_fault() -> None:
    history = History()
    for i, (after, reason) in enumerate(
        [
            (HOUR, "buyer_request"),  # within the hold: never placed
            (HOUR + 1, "payment_failed"),
            (1, "out_of_stock"),
            (2, "late_auto_cancel"),
            (3, "carrier_fault"),
            (4, "something_new"),
        ]
    ):
        history.placed(f"O{i}", T0)
        history.cancelled(f"O{i}", T0 + after, reason)
    history.placed("platform", T0, fulfilled_by="platform")
    history.cancelled("platform", T0 + 5)
    history.cancelled("unplaced", T0 + 6)
    oracle = history.run()
    assert numbers(oracle)[STOCK] == (1, 5)
    assert numbers(oracle)[FAULT] == (2, 5)


def test_late_events_are_dropped_and_the_limit_is_not_late() -> None:
    history = History()
    history.placed("now", T0)
    history.placed("limit", T0 - 7 * DAY, timestamp=T0)
    history.placed("late", T0 - 7 * DAY - 1, timestamp=T0)
    oracle = history.run()
    assert numbers(oracle)[STOCK] == (0, 2)
    assert oracle.late_count == 1


def test_deadlines_extensions_and_excuses() -> None:
    due = T0 + DAY
    history = History()
    for order in ("plain", "extended", "too-late", "not-later", "reverted", "reverted-extended", "cancelled-late"):
        history.placed(order, T0, ship_by=due)
    history.extended("extended", due, due + DAY)  # at the deadline: counts
    history.extended("too-late", due + 1, due + 2 * DAY)
    history.extended("not-later", T0 + 1, due)
    for order in ("reverted", "reverted-extended"):
        history.cancelled(order, T0 + HOUR)
        history.reverted(order, due + HOUR)
    history.extended("reverted-extended", due + 2 * HOUR, due + 3 * HOUR)
    history.cancelled("cancelled-late", due + 1, "unable_to_ship")
    at = [numbers(history.run(until=until)) for until in ("2026-03-03T02:30:00Z", "2026-03-03T12:00:00Z")]
    # Before 03:00: plain, too-late, not-later open and past; cancelled-late late and due; "reverted" is excused.
    assert (at[0][OVERDUE], at[0][LATE]) == ((3, 4), (4, 4))
    # At 03:00 the deadline won by the extension passes.
    assert (at[1][OVERDUE], at[1][LATE]) == ((4, 5), (5, 5))
    late = numbers(history.run(until="2026-03-04T00:00:00.001Z"))
    assert (late[OVERDUE], late[LATE]) == ((5, 6), (6, 6))


def test_shipped_before_cancelled_is_shipped_and_a_tie_too() -> None:
    history = History()
    for order, shipped, cancelled in (("a", 10, 20), ("b", 10, 10), ("c", 20, 10)):
        history.placed(order, T0)
        history.shipped(order, T0 + shipped, timestamp=T0 + HOUR)
        history.cancelled(order, T0 + cancelled, timestamp=T0 + HOUR)
    assert numbers(history.run())[STOCK] == (1, 3)


def test_a_forgotten_line_keeps_its_counts_and_begins_anew() -> None:
    history = History()
    history.placed("O1", T0, ship_by=T0 + HOUR)
    history.shipped("O1", T0 + HOUR)
    # Forgotten when T0 + 1 h is more than 7 d behind; a day later the same id is a new line.
    history.placed("O1", T0 + 8 * DAY, ship_by=T0 + 9 * DAY)
    history.cancelled("O1", T0 + 8 * DAY + HOUR)
    oracle = history.run()
    assert numbers(oracle)[STOCK] == (1, 2)
    assert numbers(oracle)[LATE] == (0, 1)


def test_heads_are_read_by_timestamp_then_topic() -> None:
    """A cancellation written before its order is read first; the flag comes with the last placed, and not before."""
    history = History()
    for i in range(3):
        history.cancelled(f"O{i:02d}", T0 + HOUR, timestamp=T0 + HOUR)
    for i in range(20):
        history.placed(f"O{i:02d}", T0 + i * MINUTE, timestamp=T0 + HOUR + 1)
    (only,) = values(history.run())
    assert only["effective_at"] == "2026-03-02T01:00:00.000Z"
    assert only["reasons"][0]["denominator"] == 20


def test_products_due_at_the_same_ms_go_in_order_of_their_bytes() -> None:
    logs: list[list[Record]] = [[], [], [], []]
    for product_id in ("Pb", "Pa", "é", "z"):
        history = History(product_id)
        for i in range(10):
            history.placed(f"O{i}", T0, ship_by=T0 + DAY)
        logs[0] += history.logs[0]
    oracle = Oracle()
    oracle.run(logs, T0 + 2 * DAY)
    assert [value["product_id"] for value in values(oracle)] == ["Pa", "Pb", "z", "é"]

"""The oracle's transitions under the default policy, by hand from the contract."""

from __future__ import annotations

from typing import Any

from tests.oracle.histories import (
    DAY,
    FAULT,
    HOUR,
    LATE,
    MINUTE,
    OVERDUE,
    SECOND,
    STOCK,
    T0,
    History,
    ms,
    numbers,
    summary,
    values,
)


def stock_reason(metric: str, text: str, level: str, primary: bool, window: tuple[str, str]) -> dict[str, Any]:
    return {
        "metric": metric,
        "level": level,
        "primary": primary,
        "since": "2026-03-02T01:02:00.000Z",
        "numerator": 3,
        "denominator": 20,
        "rate": 0.15,
        "lower_bound": 0.0747,
        "at_risk_threshold": 0.025,
        "impacted_threshold": 0.1,
        "exit_threshold": {"at_risk": 0.02, "impacted": 0.08}[level],
        "window_from": window[0],
        "window_to": window[1],
        "message": f"3 of 20 lines placed were cancelled {text}",
        "evidence": [
            {"order_id": "O03", "line_id": "1", "at": "2026-03-02T01:02:00.000Z"},
            {"order_id": "O02", "line_id": "1", "at": "2026-03-02T01:01:00.000Z"},
            {"order_id": "O01", "line_id": "1", "at": "2026-03-02T01:00:00.000Z"},
        ],
        "evidence_total": 3,
        "review_url": None,
        "documentation_url": None,
    }


BOTH_AT_RISK = f"{STOCK} at_risk, {FAULT} at_risk"
BOTH_IMPACTED = f"{STOCK} impacted, {FAULT} impacted"


def test_out_of_stock_makes_at_risk_and_the_grace_impacted() -> None:
    history = History()
    history.three_of_twenty_cancelled()
    first, second = values(history.run(until="2026-03-05T00:00:00Z"))
    window = ("2026-01-31T06:00:00.000Z", "2026-03-02T01:02:00.000Z")
    assert first == {
        "event_id": "P1:1",
        "type": "flagged-products.flag-status-changed.v1",
        "product_id": "P1",
        "seller_id": "S1",
        "region": "US",
        "category": None,
        "sequence": 1,
        "change": "status_changed",
        "previous_status": "clear",
        "current_status": "at_risk",
        "cause": "threshold_breach",
        "effective_at": "2026-03-02T01:02:00.000Z",
        "policy_version": "default",
        "relapse_count": 0,
        "reasons": [
            stock_reason(STOCK, "as out of stock", "at_risk", True, window),
            stock_reason(FAULT, "by the seller's fault", "at_risk", False, window),
        ],
        "previous_reasons": [],
    }
    window = ("2026-02-02T06:00:00.000Z", "2026-03-04T01:02:00.000Z")
    assert second == first | {
        "event_id": "P1:2",
        "sequence": 2,
        "previous_status": "at_risk",
        "current_status": "impacted",
        "effective_at": "2026-03-04T01:02:00.000Z",
        "reasons": [
            stock_reason(STOCK, "as out of stock", "impacted", True, window),
            stock_reason(FAULT, "by the seller's fault", "impacted", False, window),
        ],
        "previous_reasons": [{"metric": STOCK, "level": "at_risk"}, {"metric": FAULT, "level": "at_risk"}],
    }


def test_the_bytes_of_a_resolved_transition() -> None:
    history = History('P"é')
    history.three_of_twenty_cancelled()
    history.reverted("O01", T0 + 2 * HOUR)
    assert history.run().transitions[1].decode() == (
        '{"event_id":"P\\"é:2","type":"flagged-products.flag-status-changed.v1","product_id":"P\\"é",'
        '"seller_id":"S1","region":"US","category":null,"sequence":2,"change":"status_changed",'
        '"previous_status":"at_risk","current_status":"resolved","cause":"correction",'
        '"effective_at":"2026-03-02T02:00:00.000Z","policy_version":"default","relapse_count":0,"reasons":[],'
        '"previous_reasons":[{"metric":"out_of_stock_cancellation_rate","level":"at_risk"},'
        '{"metric":"seller_fault_cancellation_rate","level":"at_risk"}]}'
    )


def test_an_emptied_window_brings_it_back_in_two_steps_then_clear_then_gone() -> None:
    history = History()
    for i in range(1, 21):
        history.placed(f"O{i:02d}", T0 + i * MINUTE, ship_by=T0 + 10 * DAY)
    for i in range(3):
        history.cancelled(f"O{i + 1:02d}", T0 + HOUR + i * MINUTE)
    for i in range(4, 21):
        history.shipped(f"O{i:02d}", T0 + DAY + i * MINUTE)
    oracle = history.run(until="2026-04-22T00:00:00Z")
    # The bucket of 2026-03-02T00:00 leaves the 30 d window on 2026-04-01T00:00.
    assert summary(oracle) == [
        (1, "2026-03-02T01:02:00.000Z", "clear -> at_risk", "threshold_breach", BOTH_AT_RISK),
        (2, "2026-03-04T01:02:00.000Z", "at_risk -> impacted", "threshold_breach", BOTH_IMPACTED),
        (3, "2026-04-04T00:00:00.000Z", "impacted -> at_risk", "window_expired", BOTH_AT_RISK),
        (4, "2026-04-07T00:00:00.000Z", "at_risk -> resolved", "window_expired", ""),
        (5, "2026-04-21T00:00:00.000Z", "resolved -> clear", "resolved_expired", ""),
    ]
    third = values(oracle)[2]["reasons"][0]
    assert (third["numerator"], third["denominator"], third["rate"], third["lower_bound"]) == (0, 0, 0.0, 0.0)
    assert (third["evidence"], third["evidence_total"]) == ([], 0)
    assert oracle.rates() == {}

    # The sequence goes on after the deletion; nothing else does.
    again = History()
    again.logs, again.count = history.logs, 1000
    for i in range(20):
        again.placed(f"N{i:02d}", ms("2026-05-01T00:00:00Z") + i * MINUTE, region="EU")
    for i in range(3):
        again.cancelled(f"N{i:02d}", ms("2026-05-01T01:00:00Z") + i * MINUTE)
    last = values(again.run())[-1]
    assert (last["event_id"], last["previous_status"], last["relapse_count"]) == ("P1:6", "clear", 0)


def recovering() -> History:
    """Impacted on 03-04T01:02; then 131 good orders from 02:00 on, one a second: n goes from 20 to 151.

    3/n falls below 0.08 at n = 38 (the 18th, 02:00:18) and below 0.02 at n = 151 (the 131st).
    """
    history = History()
    history.three_of_twenty_cancelled()
    for i in range(1, 132):
        history.placed(f"G{i:03d}", T0 + 2 * DAY + 2 * HOUR + i * SECOND)
    return history


def test_good_orders_bring_it_back_in_two_steps() -> None:
    assert summary(recovering().run(until="2026-03-24T02:00:18Z"))[2:] == [
        (3, "2026-03-07T02:00:18.000Z", "impacted -> at_risk", "recovered", BOTH_AT_RISK),
        (4, "2026-03-10T02:00:18.000Z", "at_risk -> resolved", "recovered", ""),
        (5, "2026-03-24T02:00:18.000Z", "resolved -> clear", "resolved_expired", ""),
    ]


def test_flagged_again_while_resolved_is_a_relapse() -> None:
    history = recovering()
    # 4 of 151 is 0.0265, at_risk; its grace never starts, for 0.0265 < 0.10.
    history.cancelled("G001", ms("2026-03-11T00:00:00Z"))
    oracle = history.run(until="2026-03-12T00:00:00Z")
    assert summary(oracle)[4:] == [
        (5, "2026-03-11T00:00:00.000Z", "resolved -> at_risk", "threshold_breach", BOTH_AT_RISK),
    ]
    assert [value["relapse_count"] for value in values(oracle)] == [0, 0, 0, 0, 1]
    reason = values(oracle)[4]["reasons"][0]
    assert reason["since"] == "2026-03-11T00:00:00.000Z"
    assert reason["rate"] == 0.0265


def test_nothing_rises_by_good_orders_ageing_out() -> None:
    """3 of 150 is 0.02, no breach; when the first 120 leave the window 3 of 30 would be 0.1, but that is not fresh.
    The next fault is."""
    history = History()
    for i in range(120):
        history.placed(f"A{i:03d}", T0 + i * SECOND)
    for i in range(30):
        history.placed(f"B{i:03d}", T0 + 3 * DAY + i * SECOND)
    for i in range(3):
        history.cancelled(f"B{i:03d}", T0 + 3 * DAY + HOUR + i * SECOND)
    history.cancelled("B003", ms("2026-04-02T00:00:00Z"))
    oracle = history.run()
    assert summary(oracle) == [
        (1, "2026-04-02T00:00:00.000Z", "clear -> at_risk", "threshold_breach", BOTH_AT_RISK),
    ]
    assert numbers(oracle)[STOCK] == (4, 30)


def test_a_correction_takes_impacted_to_resolved_in_one_transition() -> None:
    history = History()
    history.three_of_twenty_cancelled()
    history.reverted("O02", ms("2026-03-05T00:00:00Z"))
    assert summary(history.run())[2:] == [
        (3, "2026-03-05T00:00:00.000Z", "impacted -> resolved", "correction", ""),
    ]


def test_severe_overdue_goes_from_clear_to_impacted_at_once() -> None:
    history = History()
    ship_by = T0 + 2 * DAY
    for i in range(10):
        history.placed(f"O{i}", T0 + i * MINUTE, ship_by=ship_by)
    (only,) = values(history.run(until="2026-03-05T00:00:00Z"))
    assert (only["previous_status"], only["current_status"]) == ("clear", "impacted")
    assert only["cause"] == "threshold_breach"
    assert only["effective_at"] == "2026-03-04T00:00:00.001Z"
    # late_dispatch_rate has 10 of 10 as well, but needs 20.
    assert only["reasons"] == [
        {
            "metric": OVERDUE,
            "level": "impacted",
            "primary": True,
            "since": "2026-03-04T00:00:00.001Z",
            "numerator": 10,
            "denominator": 10,
            "rate": 1.0,
            "lower_bound": 0.8589,
            "at_risk_threshold": 0.04,
            "impacted_threshold": 0.1,
            "exit_threshold": 0.08,
            "window_from": "2026-02-25T06:00:00.000Z",
            "window_to": "2026-03-04T00:00:00.001Z",
            "message": "10 of 10 lines due are unshipped past their ship-by time",
            "evidence": [{"order_id": f"O{i}", "line_id": "1", "at": "2026-03-04T00:00:00.000Z"} for i in range(10)],
            "evidence_total": 10,
            "review_url": None,
            "documentation_url": None,
        }
    ]


def test_severe_needs_ten_and_skips_the_grace() -> None:
    history = History()
    history.twenty_placed()
    for i in range(10):
        history.cancelled(f"O{i + 1:02d}", T0 + HOUR + i * MINUTE)
    assert summary(history.run()) == [
        (1, "2026-03-02T01:02:00.000Z", "clear -> at_risk", "threshold_breach", BOTH_AT_RISK),
        (2, "2026-03-02T01:09:00.000Z", "at_risk -> impacted", "threshold_breach", BOTH_IMPACTED),
    ]


def test_overdue_recovers_when_shipped_but_stays_late() -> None:
    """20 lines due, 3 not shipped: overdue and late 3 of 20; shipped a day later, only overdue falls."""
    history = History()
    for i in range(20):
        history.placed(f"O{i:02d}", T0 + i * MINUTE, ship_by=T0 + DAY)
    for i in range(3, 20):
        history.shipped(f"O{i:02d}", T0 + HOUR + i * MINUTE)
    for i in range(3):
        history.shipped(f"O{i:02d}", T0 + 2 * DAY + i * MINUTE)
    oracle = history.run(until="2026-03-07T00:00:00Z")
    # Both at 0.15 of 0.04: a tie, in the table's order. The gate of overdue shuts when the first of the three ships,
    # at 03-04T00:00, and dwell ends 3 d later. Late has held above 0.10 for 48 h on 03-05.
    assert summary(oracle) == [
        (
            *(1, "2026-03-03T00:00:00.001Z", "clear -> at_risk", "threshold_breach"),
            f"{OVERDUE} at_risk, {LATE} at_risk",
        ),
        (
            *(2, "2026-03-05T00:00:00.001Z", "at_risk -> impacted", "threshold_breach"),
            f"{LATE} impacted, {OVERDUE} at_risk",
        ),
        (3, "2026-03-07T00:00:00.000Z", "impacted -> impacted", "recovered", f"{LATE} impacted"),
    ]
    assert values(oracle)[1]["reasons"][1]["numerator"] == 0
    assert (numbers(oracle)[OVERDUE], numbers(oracle)[LATE]) == ((0, 20), (3, 20))

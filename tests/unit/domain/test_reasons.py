"""Reasons, evidence and snapshots (SPEC sections 7 and 8)."""

from __future__ import annotations

from typing import Any

import pytest

from streams.domain.counters import IMPRESSIONS_MAX
from streams.domain.policy import METRICS
from streams.domain.reasons import reasons_of, snapshot_of
from streams.domain.transitions import Evidence, Reason, Snapshot
from tests.core.scene import BUCKET_MS, DAY_MS, FAULT, FEES, HOUR_MS, LATE, OVERDUE, STOCK, T0, Scene, policy

QUICK: dict[str, Any] = {"n_min": 1, "k_min": 1, "impacted": "1", "at_risk": "0.0001"}


def quick(only: str = STOCK, **metrics: dict[str, Any]) -> Scene:
    return Scene(policy(only=only, metrics={only: QUICK | metrics.get(only, {})}))


def all_quick(**settings: Any) -> Scene:
    return Scene(policy(metrics=dict.fromkeys(METRICS, QUICK), **settings))


def reasons(scene: Scene) -> tuple[Reason, ...]:
    return reasons_of(scene.product(), scene.partition.book, scene.clock)


def snapshot(scene: Scene) -> Snapshot:
    return snapshot_of(scene.product(), scene.partition.book, scene.clock)


# -- order


def test_impacted_comes_before_at_risk_then_by_rate_over_threshold_then_by_the_table() -> None:
    metrics = {
        STOCK: QUICK | {"at_risk": "0.01"},
        FAULT: QUICK | {"at_risk": "0.01"},
        OVERDUE: QUICK | {"impacted": "0.5", "grace_ms": 0},
        LATE: QUICK | {"at_risk": "0.001"},
        FEES: {"enabled": False},
    }
    scene = Scene(policy(metrics=metrics))
    for order in ("a", "b", "c", "d"):
        scene.placed(order, T0, ship_by=T0 + HOUR_MS)
    scene.cancelled("a", T0 + 1)
    scene.cancelled("b", T0 + 1)
    scene.until(T0 + DAY_MS)
    assert [(reason.metric, reason.level, reason.primary) for reason in reasons(scene)] == [
        (OVERDUE, "impacted", True),  # 2 of 2
        (LATE, "at_risk", False),  # 1000 times its threshold
        (STOCK, "at_risk", False),  # 50 times; as FAULT, which comes later in the table
        (FAULT, "at_risk", False),
    ]


def test_ratios_are_compared_exactly() -> None:
    """1/3 over 0.3333 is a little more than 1/4 over 0.25, whatever doubles make of it."""
    metrics = {
        STOCK: QUICK | {"at_risk": "0.25"},
        FAULT: QUICK | {"at_risk": "0.25"},
        LATE: QUICK | {"at_risk": "0.3333"},
        OVERDUE: {"enabled": False},
    }
    scene = Scene(policy(metrics=metrics))
    for order in ("a", "b", "c"):
        scene.placed(order, T0, ship_by=T0 + HOUR_MS)
    scene.placed("d", T0)
    scene.cancelled("d", T0)
    scene.shipped("a", T0 + 1)
    scene.shipped("b", T0 + 1)
    scene.until(T0 + DAY_MS)
    assert [reason.metric for reason in reasons(scene)] == [LATE, STOCK, FAULT]


# -- numbers


def test_every_number_of_a_reason() -> None:
    urls = {
        "review_url": "https://r/{product_id}?s={seller_id}&g={region}",
        "documentation_url": "https://d/{product_id}/{what}",
    }
    scene = Scene(policy(only=STOCK, metrics={STOCK: {"n_min": 3, "k_min": 1, "grace_ms": 0} | urls}))
    for order in ("a", "b", "c"):
        scene.placed(order, T0 + 5, seller_id="S 1", region="U&S", product_id="P/1")
    scene.cancelled("b", T0 + BUCKET_MS + 7, product_id="P/1")
    (told,) = scene.transitions
    assert told.reasons == (
        Reason(
            metric=STOCK,
            level="impacted",
            primary=True,
            since=T0 + BUCKET_MS + 7,
            numerator=1,
            denominator=3,
            rate=0.3333,
            lower_bound=0.1058,
            at_risk_threshold=0.025,
            impacted_threshold=0.1,
            exit_threshold=0.08,
            window_from=T0 + BUCKET_MS - 30 * DAY_MS + BUCKET_MS,
            window_to=T0 + BUCKET_MS + 7,
            message="1 of 3 lines placed were cancelled as out of stock",
            evidence=(Evidence("b", "1", T0 + BUCKET_MS + 7),),
            evidence_total=1,
            review_url="https://r/P%2F1?s=S%201&g=U%26S",
            documentation_url="https://d/P%2F1/{what}",
        ),
    )


def test_the_message_of_each_metric() -> None:
    scene = all_quick()
    scene.placed("a", T0, ship_by=T0 + HOUR_MS)
    scene.placed("b", T0)
    scene.cancelled("b", T0)
    scene.fee(T0)
    scene.fee(T0, "1")
    scene.until(T0 + DAY_MS)
    assert {reason.metric: reason.message for reason in reasons(scene)} == {
        STOCK: "1 of 2 lines placed were cancelled as out of stock",
        FAULT: "1 of 2 lines placed were cancelled by the seller's fault",
        OVERDUE: "1 of 1 lines due are unshipped past their ship-by time",
        LATE: "1 of 1 lines due were dispatched late or not at all",
        FEES: "1 of 2 shipping fees were above the tariff",
    }


def test_with_n_0_rate_and_bound_are_0() -> None:
    scene = quick()
    scene.placed("a", T0)
    scene.cancelled("a", T0)
    scene.until(T0 + 30 * DAY_MS)
    (reason,) = reasons(scene)
    assert (reason.numerator, reason.denominator, reason.rate, reason.lower_bound) == (0, 0, 0.0, 0.0)
    assert (reason.evidence, reason.evidence_total) == ((), 0)


# -- evidence


def test_evidence_is_the_latest_20_first_and_the_total_is_before_the_cut() -> None:
    scene = quick()
    for number in range(25):
        scene.placed(f"O{number:02d}", T0)
        scene.cancelled(f"O{number:02d}", T0 + 100 - number)
    (reason,) = reasons(scene)
    assert [item.order_id for item in reason.evidence] == [f"O{number:02d}" for number in range(20)]
    assert reason.evidence[0] == Evidence("O00", "1", T0 + 100)
    assert (reason.evidence_total, reason.numerator) == (25, 25)


def test_ties_of_evidence_go_by_the_bytes_of_order_id_and_line_id() -> None:
    scene = quick()
    for order, line in (("é", "1"), ("z", "2"), ("z", "10"), ("Z", "1"), ("\U00010000", "1"), ("\uffff", "1")):
        scene.placed(order, T0, line_id=line)
    for order, line in list(scene.product().lines):
        scene.cancelled(order, T0 + 5, line_id=line)
    (reason,) = reasons(scene)
    assert [(item.order_id, item.line_id) for item in reason.evidence] == [
        ("Z", "1"),
        ("z", "10"),
        ("z", "2"),
        ("é", "1"),
        ("\uffff", "1"),
        ("\U00010000", "1"),
    ]


@pytest.mark.parametrize(
    ("metric", "at"), [(STOCK, T0 + 7), (FAULT, T0 + 7), (OVERDUE, T0 + HOUR_MS), (LATE, T0 + HOUR_MS)]
)
def test_at_is_cancelled_at_or_ship_by(metric: str, at: int) -> None:
    scene = quick(metric)
    scene.placed("a", T0, ship_by=T0 + HOUR_MS)
    if metric in (STOCK, FAULT):
        scene.cancelled("a", T0 + 7)
    scene.until(T0 + DAY_MS)
    assert reasons(scene)[0].evidence == (Evidence("a", "1", at),)


def test_only_lines_that_count_in_k_within_the_window_are_evidence() -> None:
    scene = quick(OVERDUE)
    scene.placed("old", T0, ship_by=T0 + HOUR_MS)
    scene.placed("new", T0, ship_by=T0 + 8 * DAY_MS)
    scene.placed("shipped late", T0, ship_by=T0 + 8 * DAY_MS)
    scene.placed("not due", T0, ship_by=T0 + 80 * DAY_MS)
    scene.until(T0 + 8 * DAY_MS + 1)
    scene.shipped("shipped late", T0 + 8 * DAY_MS + 1)
    (reason,) = reasons(scene)
    assert [item.order_id for item in reason.evidence] == ["new"]
    assert (reason.evidence_total, reason.numerator) == (1, 1)


def test_evidence_of_fees_is_the_high_ones_that_carry_an_order_id() -> None:
    scene = quick(FEES)
    scene.fee(T0, order_id="b")
    scene.fee(T0, order_id="a")
    scene.fee(T0 + 1, order_id="c")
    scene.fee(T0 + 2)
    scene.fee(T0 + 3, "1", order_id="low")
    (reason,) = reasons(scene)
    assert reason.evidence == (Evidence("c", None, T0 + 1), Evidence("a", None, T0), Evidence("b", None, T0))
    assert (reason.numerator, reason.denominator, reason.evidence_total) == (4, 5, 3)
    scene.fee(T0 + 7 * DAY_MS, order_id="later")
    assert [item.order_id for item in reasons(scene)[0].evidence] == ["later"]


# -- snapshots


def test_a_snapshot_has_all_five_metrics_with_their_numbers_and_levels() -> None:
    scene = all_quick()
    scene.placed("a", T0, ship_by=T0 + HOUR_MS)
    scene.placed("b", T0, ship_by=T0 + DAY_MS)
    scene.until(T0 + 2 * HOUR_MS)
    told = snapshot(scene)
    assert [(one.metric, one.numerator, one.denominator, one.level) for one in told.metrics] == [
        (STOCK, 0, 2, "none"),
        (FAULT, 0, 2, "none"),
        (OVERDUE, 1, 1, "at_risk"),
        (LATE, 1, 1, "at_risk"),
        (FEES, 0, 0, "none"),
    ]
    assert [one.rate for one in told.metrics] == [0.0, 0.0, 1.0, 1.0, 0.0]
    assert all(0 <= one.lower_bound <= one.rate for one in told.metrics)
    assert (told.sequence, told.current_status, told.effective_at) == (1, "at_risk", T0 + HOUR_MS + 1)
    assert (told.updated_at, told.policy_version) == (T0 + 2 * HOUR_MS, "test")
    assert (told.seller_id, told.region, told.category, told.relapse_count) == ("S1", "US", None, 0)


def test_impressions_are_one_total_per_utc_day_of_the_last_28() -> None:
    scene = quick()
    scene.impressions(T0 - 6 * DAY_MS, 1)
    for after, count in ((0, 2), (BUCKET_MS, 3), (DAY_MS - 1, 4), (DAY_MS, 5)):
        scene.impressions(T0 + after, count)
    now = T0 + 21 * DAY_MS
    scene.impressions(now, 6)
    scene.placed("a", now)
    scene.cancelled("a", now)
    assert snapshot(scene).impressions == (
        (T0 - 6 * DAY_MS, 1),
        (T0, 9),
        (T0 + DAY_MS, 5),
        (now, 6),
    )
    scene.until(now + DAY_MS)
    assert snapshot(scene).impressions == ((T0, 9), (T0 + DAY_MS, 5), (now, 6))


def test_a_days_impressions_never_outgrow_what_an_output_can_hold() -> None:
    scene = quick()
    scene.placed("a", T0)
    scene.cancelled("a", T0)
    for bucket in range(4):
        scene.impressions(T0 + bucket * BUCKET_MS, 1)
        scene.product().impressions[T0 // BUCKET_MS + bucket] = IMPRESSIONS_MAX
    assert snapshot(scene).impressions == ((T0, IMPRESSIONS_MAX),)

"""Lateness, the clock, what is due and in which order, forgetting, deletion, snapshots (SPEC sections 4, 5 and 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streams.domain.partition import Partition
from streams.domain.policy import DEFAULT_POLICY, MINUTE_MS, PolicySet
from streams.domain.rulebook import Rulebook
from tests.core.scene import BUCKET_MS, DAY_MS, FAULT, HOUR_MS, LATE, OVERDUE, STOCK, T0, Scene, policy

LATENESS = 7 * DAY_MS
RETENTION = 30 * DAY_MS + BUCKET_MS
QUICK: dict[str, Any] = {"n_min": 1, "k_min": 1, "impacted": "1", "at_risk": "0.0001"}


def quick(only: str = STOCK, **settings: Any) -> Scene:
    return Scene(policy(only=only, metrics={only: QUICK}, **settings))


def snapshots(scene: Scene) -> list[str]:
    """The products whose snapshot has been asked for since this was last asked."""
    return list(scene.partition.take_cut().snapshots)


# -- lateness


@pytest.mark.parametrize(("behind", "outcome"), [(0, "applied"), (LATENESS, "applied"), (LATENESS + 1, "late")])
def test_late_is_more_than_allowed_lateness_behind_the_clock(behind: int, outcome: str) -> None:
    at = T0 - behind
    tell: tuple[Callable[[Scene], str], ...] = (
        lambda scene: scene.placed("O", at),
        lambda scene: scene.shipped("O", at),
        lambda scene: scene.cancelled("O", at),
        lambda scene: scene.reverted("O", at),
        lambda scene: scene.extended("O", at, at + DAY_MS),
        lambda scene: scene.fee(at),
        lambda scene: scene.impressions(at, 5),
    )
    for one in tell:
        scene = Scene()
        scene.until(T0)
        assert one(scene) == outcome
        assert ("P1" in scene.partition.products) is (outcome == "applied")


def test_a_late_event_moves_no_clock_and_evaluates_nothing() -> None:
    scene = quick()
    scene.placed("O", T0)
    assert scene.cancelled("O", T0 - LATENESS - 1) == "late"
    assert (scene.clock, scene.transitions) == (T0, [])
    assert scene.partition.take_cut().changed == {"P1": None}


def test_allowed_lateness_is_a_setting() -> None:
    scene = Scene(allowed_lateness_ms=HOUR_MS)
    scene.until(T0)
    assert scene.placed("O", T0 - HOUR_MS) == "applied"
    assert scene.placed("O", T0 - HOUR_MS - 1) == "late"


# -- the clock


def test_the_first_accepted_record_sets_the_clock_and_it_never_goes_back() -> None:
    partition = Partition(Rulebook(PolicySet((DEFAULT_POLICY,))))
    assert partition.clock is None
    partition.advance(T0)
    assert partition.clock == T0
    partition.advance(T0 - 5)
    assert partition.clock == T0


def test_repeats_move_the_clock_too() -> None:
    scene = Scene()
    scene.placed("O", T0, event_id="e")
    assert scene.placed("O", T0 + 5, event_id="e") == "repeat"
    assert scene.clock == T0 + 5


def test_a_repeat_changes_nothing() -> None:
    scene = quick()
    scene.placed("O", T0, event_id="e")
    scene.partition.take_cut()
    assert scene.cancelled("O", T0, event_id="e") == "repeat"
    assert scene.transitions == []
    assert scene.counted() == {"placed": 1}


# -- what is due


def test_all_that_is_due_happens_before_the_record_in_order_of_time() -> None:
    """A line comes due, a grace ends and a record arrives: three evaluations, at three times."""
    scene = Scene(policy(only=OVERDUE, metrics={OVERDUE: {"n_min": 2, "k_min": 2, "grace_ms": HOUR_MS}}))
    scene.placed("a", T0, ship_by=T0 + 10)
    scene.placed("b", T0, ship_by=T0 + 20)
    scene.shipped("a", T0 + 3 * HOUR_MS, product_id="other")
    assert scene.story() == [
        (21, "clear -> at_risk", "threshold_breach"),
        (21 + HOUR_MS, "at_risk -> impacted", "threshold_breach"),
    ]


def test_products_due_at_the_same_ms_go_in_order_of_their_ids_bytes() -> None:
    scene = quick(OVERDUE)
    for product_id in ("z", "é", "Z", "a", "\U00010000", "\uffff", "aa"):
        scene.placed("O", T0, ship_by=T0 + 5, product_id=product_id)
    scene.placed("O", T0, ship_by=T0 + 4, product_id="zz")
    scene.until(T0 + DAY_MS)
    assert [told.product_id for told in scene.transitions] == ["zz", "Z", "a", "aa", "z", "é", "\uffff", "\U00010000"]


def test_all_that_is_due_for_one_product_at_one_ms_makes_one_evaluation() -> None:
    metrics = {OVERDUE: {"n_min": 3, "k_min": 3}, LATE: {"n_min": 3, "k_min": 3}}
    scene = Scene(policy(metrics=metrics))
    for number in range(4):
        scene.placed(f"O{number}", T0, ship_by=T0 + BUCKET_MS - 1)  # due on a boundary
    scene.until(T0 + DAY_MS)
    (only,) = scene.transitions
    assert (only.effective_at, len(only.reasons)) == (T0 + BUCKET_MS, 2)
    assert {reason.numerator for reason in only.reasons} == {4}


def test_what_is_due_at_the_clock_of_the_record_comes_before_it() -> None:
    scene = quick(OVERDUE)
    scene.placed("a", T0, ship_by=T0 + 10)
    scene.shipped("a", T0 + 11)
    assert [told.effective_at - T0 for told in scene.transitions] == [11]
    scene = quick(OVERDUE)
    scene.placed("a", T0, ship_by=T0 + 10)
    scene.shipped("a", T0 + 10)
    scene.until(T0 + DAY_MS)
    assert scene.transitions == []


def test_an_effective_from_comes_for_all_products_in_order_with_what_else_is_due() -> None:
    takes_effect = T0 + 5
    scene = Scene(
        policy("old", only=STOCK), policy("new", takes_effect, only=OVERDUE, metrics={OVERDUE: QUICK, STOCK: QUICK})
    )
    for product_id in ("b", "a"):
        scene.placed("O", T0, ship_by=takes_effect - 1, product_id=product_id)
    scene.until(takes_effect)
    assert [(told.product_id, told.cause) for told in scene.transitions] == [
        ("a", "policy_changed"),
        ("b", "policy_changed"),
    ]


def test_several_effective_times_within_one_step_of_the_clock() -> None:
    metrics = {STOCK: QUICK}
    policies = [policy(f"v{number}", T0 + number * HOUR_MS, only=STOCK, metrics=metrics) for number in range(1, 4)]
    scene = Scene(*policies, policy("off", T0 + 2 * HOUR_MS, only=LATE, region="US"))
    scene.placed("O", T0)
    scene.cancelled("O", T0)
    scene.until(T0 + DAY_MS)
    assert [(told.effective_at - T0, told.policy_version) for told in scene.transitions] == [
        (HOUR_MS, "v1"),
        (2 * HOUR_MS, "off"),
    ]


# -- forgetting


def lines(scene: Scene) -> set[str]:
    return {order_id for order_id, _ in scene.product().lines}


@pytest.mark.parametrize(
    ("told", "kept_for"),
    [
        pytest.param({"shipped": HOUR_MS}, LATENESS, id="shipped in time"),
        pytest.param({"shipped": 2 * DAY_MS + 1}, RETENTION + 1, id="shipped late: counts in a numerator"),
        pytest.param({"cancelled": HOUR_MS}, RETENTION, id="cancelled"),
        pytest.param({}, RETENTION, id="open"),
    ],
)
def test_a_line_is_forgotten_when_all_of_it_is_behind_the_clock(told: dict[str, int], kept_for: int) -> None:
    ship_by = T0 + 2 * DAY_MS
    scene = Scene()
    scene.impressions(T0, 0)  # so that the product stays
    scene.placed("O", T0, ship_by=ship_by)
    for what, after in told.items():
        getattr(scene, what)("O", T0 + after)
    scene.until(ship_by + kept_for)
    assert lines(scene) == {"O"}
    scene.until(ship_by + kept_for + 1)
    assert "P1" not in scene.partition.products or lines(scene) == set()


def test_a_later_fact_keeps_a_line_longer() -> None:
    scene = Scene()
    scene.placed("O", T0, ship_by=T0 + HOUR_MS)
    scene.shipped("O", T0)
    scene.shipped("O", T0 + DAY_MS)
    scene.until(T0 + DAY_MS + LATENESS)
    assert lines(scene) == {"O"}
    scene.until(T0 + DAY_MS + LATENESS + 1)
    assert lines(scene) == set()


def test_a_forgotten_lines_counts_stay_and_its_id_begins_anew() -> None:
    scene = Scene()
    scene.placed("O", T0, ship_by=T0 + HOUR_MS, event_id="e")
    scene.shipped("O", T0)
    scene.until(T0 + HOUR_MS + LATENESS + 1)
    assert lines(scene) == set()
    assert scene.counted() == {"placed": 1, "due": 1}
    assert scene.placed("O", scene.clock, event_id="e") == "applied"
    assert scene.counted() == {"placed": 2, "due": 1}


# -- deletion


def test_a_product_with_nothing_left_is_deleted_where_its_sequence_is_0() -> None:
    scene = Scene()
    scene.placed("O", T0, ship_by=T0 + DAY_MS)
    scene.partition.take_cut()
    gone = T0 + DAY_MS + RETENTION + 1
    scene.until(gone - 1)
    assert "P1" in scene.partition.products
    scene.until(gone)
    assert scene.partition.products == {}
    assert scene.partition.take_cut().changed == {"P1": None}
    assert sum(scene.partition.statuses) == 0


def test_else_its_sequence_alone_is_kept_for_ever() -> None:
    scene = quick()
    scene.placed("O", T0, region="US", category="toys")
    scene.cancelled("O", T0)
    scene.until(T0 + 400 * DAY_MS)
    product = scene.product()
    assert product.is_empty
    assert (product.sequence, product.region_name, product.seller_id) == (5, None, None)
    assert scene.partition.statuses == [1, 0, 0, 0]
    scene.placed("O", scene.clock)
    scene.cancelled("O", scene.clock)
    assert scene.transitions[-1].sequence == 6


def test_impressions_alone_keep_a_product_until_their_bucket_is_dropped() -> None:
    scene = Scene()
    scene.impressions(T0, 0)
    scene.until(T0 + 30 * DAY_MS - 1)
    assert "P1" in scene.partition.products
    scene.until(T0 + 30 * DAY_MS)
    assert scene.partition.products == {}


def test_a_product_that_is_resolved_is_not_deleted() -> None:
    scene = quick(resolved_for_ms=100 * DAY_MS)
    scene.placed("O", T0)
    scene.cancelled("O", T0)
    scene.until(T0 + 95 * DAY_MS)
    assert not scene.product().is_empty
    assert scene.product().status == 3


# -- snapshots


def test_a_snapshot_at_each_transition_and_when_numbers_change_at_most_once_a_minute() -> None:
    scene = quick()
    scene.placed("O", T0)
    assert snapshots(scene) == []  # not flagged
    scene.cancelled("O", T0 + 1)
    assert snapshots(scene) == ["P1"]
    scene.placed("a", T0 + 2)
    scene.placed("b", T0 + MINUTE_MS)
    assert snapshots(scene) == []
    # What is pending is written as soon as the minute is over, with nothing told.
    scene.until(T0 + 1 + MINUTE_MS - 1)
    assert snapshots(scene) == []
    scene.until(T0 + 1 + MINUTE_MS)
    assert snapshots(scene) == ["P1"]
    scene.until(T0 + HOUR_MS)
    assert snapshots(scene) == []
    # Long after the last one it is written at once.
    scene.placed("c", T0 + HOUR_MS)
    assert snapshots(scene) == ["P1"]
    scene.placed("d", T0 + HOUR_MS + MINUTE_MS)
    assert snapshots(scene) == ["P1"]


def test_a_transition_is_a_snapshot_whenever_the_last_one_was_and_what_was_pending_is_done() -> None:
    scene = Scene(policy(metrics={STOCK: QUICK, FAULT: QUICK}))
    scene.placed("a", T0)
    scene.cancelled("a", T0, "pricing_error")
    scene.placed("b", T0 + 1)
    assert snapshots(scene) == ["P1"]
    scene.cancelled("b", T0 + 2)
    assert len(scene.transitions) == 2
    assert snapshots(scene) == ["P1"]
    scene.until(T0 + HOUR_MS)
    assert snapshots(scene) == []


def test_numbers_change_by_time_as_well() -> None:
    scene = quick()
    scene.placed("bad", T0)
    scene.cancelled("bad", T0)
    scene.placed("good", T0, ship_by=T0 + 5)
    scene.until(T0 + MINUTE_MS)
    snapshots(scene)
    scene.until(T0 + 30 * DAY_MS)  # the bucket of both leaves the window
    assert snapshots(scene) == ["P1"]


def test_numbers_of_a_resolved_product_are_kept_up_to_date_too() -> None:
    scene = quick(dwell_ms=0, resolved_for_ms=100 * DAY_MS)
    scene.placed("bad", T0)
    scene.placed("good", T0, ship_by=T0 + DAY_MS)
    scene.cancelled("bad", T0 + 1)
    scene.reverted("bad", T0 + 2)
    assert scene.transitions[-1].current_status == "resolved"
    snapshots(scene)
    # A line comes due; its bucket leaves the window of 7 days; those of 30 days let both buckets go.
    for change in (T0 + DAY_MS + 1, T0 + 8 * DAY_MS, T0 + 30 * DAY_MS, T0 + 31 * DAY_MS):
        scene.until(change - 1)
        snapshots(scene)
        scene.until(change)
        assert snapshots(scene) == ["P1"]


def test_an_event_that_changes_no_number_is_no_reason_for_a_snapshot() -> None:
    scene = quick()
    scene.placed("bad", T0)
    scene.cancelled("bad", T0)
    snapshots(scene)
    scene.shipped("unknown", T0 + HOUR_MS)
    scene.placed("platform", T0 + HOUR_MS, fulfilled_by="platform")
    assert snapshots(scene) == []
    scene.impressions(T0 + HOUR_MS, 5)
    assert snapshots(scene) == ["P1"]


def test_a_tombstone_is_asked_for_at_clear() -> None:
    scene = quick()
    scene.placed("O", T0)
    scene.cancelled("O", T0)
    scene.until(T0 + 40 * DAY_MS)
    snapshots(scene)
    scene.until(T0 + 60 * DAY_MS)
    assert scene.transitions[-1].current_status == "clear"
    assert snapshots(scene) == ["P1"]
    assert scene.partition.cut.snapshots == {}


# -- what is in a cut


def test_a_cut_names_what_changed_in_order_of_first_change() -> None:
    scene = Scene()
    for product_id in ("b", "a", "b"):
        scene.placed(f"O{scene.count}", T0, product_id=product_id)
    cut = scene.partition.take_cut()
    assert (list(cut.changed), cut.is_empty) == (["b", "a"], False)
    assert scene.partition.take_cut().is_empty


def test_statuses_count_products() -> None:
    scene = quick()
    for product_id in ("a", "b", "c"):
        scene.placed("O", T0, product_id=product_id)
    scene.cancelled("O", T0, product_id="b")
    assert scene.partition.statuses == [2, 1, 0, 0]
    scene.until(T0 + 36 * DAY_MS)
    assert scene.partition.statuses[3] == 1

"""Policies that come and go, and the causes in their order: each test a sentence of SPEC sections 6 and 7."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.core.scene import BUCKET_MS, DAY_MS, FAULT, HOUR_MS, LATE, OVERDUE, STOCK, T0, Scene, policy
from tests.unit.domain.flagged import (
    DWELL,
    FLAGGED_AT,
    GRACE,
    QUICK,
    RESOLVED_FOR,
    flagged,
    resolved_quickly,
    since,
)

# -- policies


def test_a_disabled_metric_is_at_none_at_once_and_policy_changed_is_the_cause() -> None:
    off = T0 + 5 * DAY_MS + 3
    scene = flagged(policy("on", only=STOCK), policy("off", off, only=LATE))
    scene.until(off)
    assert scene.story()[2:] == [(since(off), "impacted -> resolved", "policy_changed")]
    assert scene.transitions[-1].policy_version == "off"


def test_a_metric_that_fell_because_it_is_disabled_by_another_selection() -> None:
    """The region changes to one whose policy, long in force, has no such metric."""
    scene = flagged(policy("all", only=STOCK), policy("de", 1, only=LATE, region="DE"))
    scene.placed("other", FLAGGED_AT + 1, region="DE")
    assert scene.story()[1:] == [(since(FLAGGED_AT + 1), "at_risk -> resolved", "policy_changed")]
    assert [told.policy_version for told in scene.transitions] == ["all", "de"]


def test_a_change_of_category_selects_another_policy_too() -> None:
    lenient = {STOCK: {"at_risk": "0.5", "impacted": "0.9"}}
    scene = flagged(policy("all", only=STOCK), policy("toys", 1, only=STOCK, category="toys", metrics=lenient))
    scene.placed("other", FLAGGED_AT + 1, category="toys")
    assert len(scene.transitions) == 1
    scene.until(FLAGGED_AT + 1 + DWELL)
    assert scene.story()[1:] == [(since(FLAGGED_AT + 1 + DWELL), "at_risk -> resolved", "recovered")]
    assert scene.transitions[-1].policy_version == "toys"


def test_a_category_is_more_specific_than_a_region_and_both_together_most() -> None:
    for left_out, expected in ((None, "both"), ("both", "category"), ("category", "region"), ("region", "all")):
        names = ["both", "category", "region", "all"]
        names = names[names.index(left_out) + 1 :] if left_out else names
        selectors: dict[str, dict[str, Any]] = {
            "both": {"region": "US", "category": "toys"},
            "category": {"category": "toys"},
            "region": {"region": "US"},
            "all": {},
        }
        scene = Scene(*(policy(name, index, only=STOCK, **selectors[name]) for index, name in enumerate(names)))
        scene.many_placed(range(20), category="toys")
        scene.many_cancelled(range(3), FLAGGED_AT)
        assert [one.policy_version for one in scene.transitions] == [expected]


def test_a_new_policys_dwell_serves_for_what_has_held_already() -> None:
    quicker = T0 + DAY_MS
    scene = flagged(policy("slow", only=STOCK), policy("quick", quicker, only=STOCK, dwell_ms=12 * HOUR_MS))
    scene.many_placed(range(100, 290), FLAGGED_AT + 1)
    scene.until(quicker - 1)
    assert len(scene.transitions) == 1
    scene.until(quicker)
    assert scene.story()[1:] == [(DAY_MS, "at_risk -> resolved", "policy_changed")]


def test_a_new_policys_resolved_for_serves_for_who_is_resolved_already() -> None:
    quicker = T0 + DAY_MS
    metrics = {STOCK: QUICK | {"impacted": "1"}}
    old = policy("slow", only=STOCK, metrics=metrics)
    scene = Scene(old, policy("quick", quicker, only=STOCK, metrics=metrics, resolved_for_ms=HOUR_MS))
    scene.many_placed(range(4))
    scene.cancelled("O000", T0 + 5)
    scene.reverted("O000", T0 + 7)
    scene.until(quicker)
    assert scene.story()[2:] == [(DAY_MS, "resolved -> clear", "policy_changed")]


def test_with_no_policy_in_force_gates_are_shut_the_default_serves_and_the_version_is_null() -> None:
    scene = Scene(policy("us", only=STOCK, region="US", dwell_ms=0))
    scene.many_placed(range(25))
    scene.many_cancelled(range(3), FLAGGED_AT)
    moved = FLAGGED_AT + 1
    scene.placed("other", moved, region="DE")
    assert len(scene.transitions) == 1
    scene.until(moved + DWELL - 1)  # the default's dwell
    assert len(scene.transitions) == 1
    scene.until(moved + DWELL + RESOLVED_FOR)
    assert scene.story()[1:] == [
        (since(moved + DWELL), "at_risk -> resolved", "recovered"),
        (since(moved + DWELL + RESOLVED_FOR), "resolved -> clear", "resolved_expired"),
    ]
    assert [told.policy_version for told in scene.transitions] == ["us", None, None]


def test_before_the_first_effective_from_nobody_is_flagged_and_then_at_that_ms() -> None:
    first = T0 + DAY_MS + 11
    scene = flagged(policy("first", first, only=STOCK))
    scene.until(first - 1)
    assert scene.transitions == []
    scene.until(first)
    assert scene.story() == [(since(first), "clear -> at_risk", "policy_changed")]
    # breach_impacted holds since then.
    scene.until(first + GRACE)
    assert scene.story()[1:] == [(since(first + GRACE), "at_risk -> impacted", "threshold_breach")]


# -- causes, in order


def test_threshold_breach_comes_before_correction() -> None:
    """A reversion that comes late makes a later cancellation count: one metric falls by it, another rises."""
    metrics = {STOCK: QUICK | {"impacted": "1", "at_risk": "0.2"}, LATE: {"n_min": 1, "k_min": 1, "impacted": "1"}}
    scene = Scene(policy(metrics=metrics | {name: {"enabled": False} for name in (FAULT, OVERDUE)}))
    due = T0 + HOUR_MS
    scene.many_placed(range(4), ship_by=due)
    for number in range(1, 4):
        scene.shipped(f"O00{number}", T0 + 1)
    scene.cancelled("O000", T0 + 5)
    scene.cancelled("O000", due + 5, "other")
    assert scene.levels() == [(5, {STOCK: "at_risk"})]
    scene.reverted("O000", due)
    assert scene.levels()[1:] == [(HOUR_MS + 5, {LATE: "at_risk"})]
    assert scene.transitions[-1].cause == "threshold_breach"


def test_correction_is_the_cause_only_if_a_metric_that_fell_was_corrected() -> None:
    """A reversion makes a line count as placed again, so that one rate falls; the k it lowers is another metric's."""
    metrics = {STOCK: QUICK | {"impacted": "1", "at_risk": "0.25"}}
    scene = Scene(policy(dwell_ms=0, metrics=metrics | {name: {"enabled": False} for name in (FAULT, OVERDUE)}))
    scene.many_placed(range(5))
    scene.placed("held", T0, ship_by=T0)
    scene.cancelled("held", T0 + 1, "buyer_request")  # within the hold, and past its ship_by
    scene.cancelled("O000", T0 + 2)
    scene.cancelled("O001", T0 + 2)
    assert (scene.numbers(STOCK), scene.numbers(LATE)) == ((2, 5), (1, 1))
    scene.many_placed(range(10, 15), T0 + 3)  # 2 of 10 is 0.8 x 0.25: not below it
    assert scene.levels() == [(2, {STOCK: "at_risk"})]
    scene.reverted("held", T0 + 4)
    assert (scene.numbers(STOCK), scene.numbers(LATE)) == ((2, 11), (0, 0))
    assert scene.story()[1:] == [(4, "at_risk -> resolved", "recovered")]


def test_policy_changed_comes_before_threshold_breach_and_resolved_expired() -> None:
    scene, at = resolved_quickly()
    assert at == T0 + 7
    takes_effect = at + RESOLVED_FOR
    later = policy("new", takes_effect, only=STOCK, metrics={STOCK: QUICK | {"impacted": "1"}})
    first = policy("old", only=STOCK, dwell_ms=0, metrics={STOCK: QUICK | {"impacted": "1"}})
    scene = Scene(first, later)
    scene.many_placed(range(4))
    scene.cancelled("O000", T0 + 5)
    scene.reverted("O000", at)
    scene.until(takes_effect)
    assert scene.story()[2:] == [(since(takes_effect), "resolved -> clear", "policy_changed")]


def test_the_policys_effective_from_is_the_cause_of_records_at_that_ms_too() -> None:
    takes_effect = T0 + HOUR_MS
    scene = Scene(policy("old", only=STOCK), policy("new", takes_effect, only=STOCK))
    scene.many_placed(range(20))
    scene.many_cancelled(range(3), takes_effect)
    assert scene.story() == [(HOUR_MS, "clear -> at_risk", "policy_changed")]


@pytest.mark.parametrize(("kept", "cause"), [(19, "window_expired"), (20, "recovered")])
def test_window_expired_when_every_fallen_metric_has_n_below_n_min(kept: int, cause: str) -> None:
    scene = flagged()
    scene.many_placed(range(100, 100 + kept), T0 + 10 * DAY_MS)
    scene.until(T0 + 40 * DAY_MS)
    assert [told.cause for told in scene.transitions if told.current_status == "resolved"] == [cause]


def test_recovered_when_one_of_several_fallen_metrics_has_n_enough() -> None:
    metrics: dict[str, dict[str, Any]] = {FAULT: {"n_min": 5}, LATE: {"enabled": False}, OVERDUE: {"enabled": False}}
    scene = Scene(policy(metrics=metrics))
    scene.many_placed(range(20))
    scene.many_cancelled(range(3), FLAGGED_AT)
    scene.many_placed(range(100, 110), T0 + 10 * DAY_MS)
    scene.until(T0 + 40 * DAY_MS)
    assert [told.cause for told in scene.transitions][-2:] == ["recovered", "recovered"]
    assert scene.transitions[-1].current_status == "resolved"


def test_a_held_exit_is_judged_at_boundaries_when_buckets_leave() -> None:
    """The window lets the bad bucket go on a boundary: the exit holds from there, to the ms."""
    scene = flagged()
    scene.many_placed(range(100, 117), T0 + 10 * DAY_MS)  # 3 of 37: not below 0.08
    gone = T0 + 30 * DAY_MS
    assert gone % BUCKET_MS == 0
    scene.until(gone + 2 * DWELL)
    assert scene.story()[-2:] == [
        (since(gone + DWELL), "impacted -> at_risk", "window_expired"),
        (since(gone + 2 * DWELL), "at_risk -> resolved", "window_expired"),
    ]


def test_exit_ratio_is_exact() -> None:
    scene = Scene(policy(only=STOCK, dwell_ms=0, metrics={STOCK: {"grace_ms": 0}}))
    scene.many_placed(range(50))
    scene.many_cancelled(range(8), T0 + 1)
    assert scene.transitions[-1].current_status == "impacted"
    scene.many_placed(range(100, 150), T0 + 2)  # 8 of 100 is 0.8 x 0.10
    assert scene.transitions[-1].current_status == "impacted"
    scene.many_placed([150], T0 + 3)
    assert scene.story()[-1] == (3, "impacted -> at_risk", "recovered")
    assert scene.transitions[-1].reasons[0].exit_threshold == float(Decimal("0.02"))

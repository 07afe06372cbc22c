"""From rates to levels, status and transitions: each test a sentence of SPEC section 7."""

from __future__ import annotations

from tests.core.scene import DAY_MS, FAULT, HOUR_MS, LATE, OVERDUE, STOCK, T0, Scene, policy
from tests.unit.domain.flagged import (
    DWELL,
    FLAGGED_AT,
    GRACE,
    QUICK,
    RESOLVED_FOR,
    flagged,
    quick_scene,
    resolved_quickly,
    since,
)

# -- levels and status


def test_at_risk_at_once_and_impacted_when_grace_ends_to_the_millisecond() -> None:
    scene = flagged()
    assert scene.story() == [(since(FLAGGED_AT), "clear -> at_risk", "threshold_breach")]
    scene.until(FLAGGED_AT + GRACE - 1)
    assert len(scene.transitions) == 1
    scene.until(FLAGGED_AT + GRACE)
    assert scene.story()[1:] == [(since(FLAGGED_AT + GRACE), "at_risk -> impacted", "threshold_breach")]
    assert [told.reasons[0].since for told in scene.transitions] == [FLAGGED_AT, FLAGGED_AT]


def test_back_in_two_steps_each_when_its_dwell_ends_to_the_millisecond() -> None:
    scene = flagged()
    good_at = FLAGGED_AT + GRACE + 3
    scene.until(good_at)
    scene.many_placed(range(100, 290), good_at)  # 3 of 210: below 0.8 x 0.025
    steps = [good_at + DWELL, good_at + 2 * DWELL]
    for step, (move, levels) in zip(
        steps, [("impacted -> at_risk", {STOCK: "at_risk"}), ("at_risk -> resolved", {})], strict=True
    ):
        count = len(scene.transitions)
        scene.until(step - 1)
        assert len(scene.transitions) == count
        scene.until(step)
        assert scene.story()[count:] == [(since(step), move, "recovered")]
        assert scene.levels()[-1][1] == levels


def test_severe_is_impacted_at_once() -> None:
    scene = Scene(policy(only=STOCK))
    scene.many_placed(range(40))
    scene.many_cancelled(range(11), T0 + 5)
    assert scene.numbers(STOCK) == (11, 40)
    assert scene.transitions[-1].current_status == "at_risk"
    scene.many_cancelled([11], T0 + 5)  # 12 of 40 is 3.0 x 0.10
    assert scene.story()[-1] == (5, "at_risk -> impacted", "threshold_breach")
    assert not Scene(policy(only=STOCK, metrics={STOCK: {"severe": False}})).transitions


def test_the_status_is_the_worst_level() -> None:
    scene = Scene(policy(metrics={OVERDUE: {"enabled": False}, LATE: {"enabled": False}, FAULT: {"grace_ms": 0}}))
    scene.many_placed(range(20))
    scene.many_cancelled(range(3), T0 + 5)
    assert scene.levels() == [(5, {FAULT: "impacted", STOCK: "at_risk"})]
    assert scene.transitions[0].current_status == "impacted"


def test_reasons_changed_when_the_set_of_metric_and_level_changes_at_the_same_status() -> None:
    scene = Scene(policy(metrics={OVERDUE: {"enabled": False}, LATE: {"enabled": False}}))
    scene.many_placed(range(20))
    scene.many_cancelled(range(3), T0 + 5, "pricing_error")
    scene.many_cancelled(range(3, 6), T0 + 6)
    first, second = scene.transitions
    assert (first.change, second.change) == ("status_changed", "reasons_changed")
    assert (second.previous_status, second.current_status, second.cause) == ("at_risk", "at_risk", "threshold_breach")
    assert first.previous_reasons == ()
    assert second.previous_reasons == ((FAULT, "at_risk"),)


def test_numbers_alone_make_no_transition() -> None:
    scene = flagged()
    scene.many_cancelled([3], FLAGGED_AT + 1)
    scene.many_placed([50], FLAGGED_AT + 2)
    assert len(scene.transitions) == 1


def test_an_evaluation_emits_at_most_one_transition_and_sequence_counts_from_1_without_gaps() -> None:
    scene = quick_scene(dwell_ms=0)
    scene.many_placed(range(4))
    scene.many_cancelled(range(4), T0 + 1)
    scene.many_placed(range(10, 300), T0 + 2)
    scene.many_cancelled(range(10, 30), T0 + 3)
    assert len(scene.transitions) > 3
    assert [told.sequence for told in scene.transitions] == list(range(1, len(scene.transitions) + 1))
    # Several may carry the same effective_at, from evaluations of several records.
    assert [told.effective_at for told in scene.transitions].count(T0 + 1) > 1


def test_with_no_dwell_two_steps_down_are_one_transition() -> None:
    scene = Scene(policy(only=STOCK, dwell_ms=0, metrics={STOCK: QUICK}))
    scene.many_placed(range(4))
    scene.many_cancelled([0], T0 + 1)
    assert scene.story() == [(1, "clear -> impacted", "threshold_breach")]
    scene.until(T0 + 30 * DAY_MS)
    assert scene.story()[1:] == [(30 * DAY_MS, "impacted -> resolved", "window_expired")]


# -- nothing rises by good orders ageing out of the window


def aged(bad: int, good: int) -> Scene:
    """`good` placed at T0, 20 ten days later, `bad` of which were cancelled; now the good ones have aged out."""
    scene = Scene(policy(only=STOCK))
    scene.many_placed(range(1000, 1000 + good))
    scene.many_placed(range(20), T0 + 10 * DAY_MS)
    scene.many_cancelled(range(bad), T0 + 10 * DAY_MS + 1)
    scene.until(T0 + 30 * DAY_MS)
    return scene


def test_none_to_at_risk_happens_only_at_a_fresh_evaluation() -> None:
    scene = aged(bad=3, good=110)
    assert scene.numbers(STOCK) == (3, 20)
    now = scene.clock
    scene.many_placed([50], now)  # n is higher, but the gate was open
    scene.shipped("O050", now + 1)
    scene.until(now + 20 * HOUR_MS)
    assert scene.transitions == []
    scene.cancelled("O003", now + 20 * HOUR_MS)  # k is higher
    assert scene.story() == [(since(now) + 20 * HOUR_MS, "clear -> at_risk", "threshold_breach")]


def test_n_higher_with_the_gate_shut_before_is_fresh() -> None:
    scene = Scene(policy(only=STOCK))
    scene.many_placed(range(19))
    scene.many_cancelled(range(3), T0 + 1)
    assert scene.transitions == []
    scene.many_placed([19], T0 + 2)
    assert scene.story() == [(2, "clear -> at_risk", "threshold_breach")]


def test_the_effective_from_of_the_policy_selected_is_fresh() -> None:
    takes_effect = T0 + 30 * DAY_MS + 5
    for newer, expected in (
        (policy("new", takes_effect, only=STOCK), [(since(takes_effect), "clear -> at_risk", "policy_changed")]),
        (policy("elsewhere", takes_effect, only=STOCK, region="DE"), []),
    ):
        scene = Scene(policy("old", only=STOCK), newer)
        scene.many_placed(range(1000, 1110))
        scene.many_placed(range(20), T0 + 10 * DAY_MS)
        scene.many_cancelled(range(3), T0 + 10 * DAY_MS + 1)
        scene.until(takes_effect)
        assert scene.story() == expected


def test_breach_impacted_begins_to_hold_only_at_a_fresh_evaluation() -> None:
    scene = aged(bad=3, good=100)  # 3 of 120 is 0.025
    assert [move for _, move, _ in scene.story()] == ["clear -> at_risk"]
    assert scene.numbers(STOCK) == (3, 20)
    now = scene.clock
    scene.until(now + GRACE + HOUR_MS)
    assert len(scene.transitions) == 1
    fresh_at = scene.clock
    scene.cancelled("O003", fresh_at)
    scene.until(fresh_at + GRACE - 1)
    assert len(scene.transitions) == 1
    scene.until(fresh_at + GRACE)
    assert scene.story()[1:] == [(since(fresh_at + GRACE), "at_risk -> impacted", "threshold_breach")]


def test_the_severe_step_happens_only_at_a_fresh_evaluation() -> None:
    scene = aged(bad=10, good=300)
    assert scene.numbers(STOCK) == (10, 20)
    assert [move for _, move, _ in scene.story()] == ["clear -> at_risk"]
    scene.cancelled("O010", scene.clock + 1)
    assert scene.story()[1:] == [(30 * DAY_MS + 1, "at_risk -> impacted", "threshold_breach")]


# -- correction


def test_a_correction_takes_every_step_down_that_is_true_at_once() -> None:
    scene = flagged()
    scene.until(FLAGGED_AT + GRACE)
    now = scene.clock + 5
    assert scene.reverted("O000", now) == "applied"
    assert scene.story()[2:] == [(since(now), "impacted -> resolved", "correction")]


def test_a_correction_takes_one_step_where_only_one_is_true() -> None:
    scene = Scene(policy(only=STOCK))
    scene.many_placed(range(40))
    scene.many_cancelled(range(4), T0 + 1)
    scene.until(T0 + 1 + GRACE)
    scene.reverted("O000", scene.clock)  # 3 of 40 is 0.075: below 0.08, and far above 0.02
    assert scene.story()[-1] == (1 + GRACE, "impacted -> at_risk", "correction")
    scene.until(scene.clock + 20 * DAY_MS)
    assert scene.transitions[-1].current_status == "at_risk"


def test_a_reversion_that_lowers_no_k_corrects_nothing() -> None:
    scene = flagged()
    scene.cancelled("O010", FLAGGED_AT + 1, "buyer_request")
    scene.many_placed(range(100, 290), FLAGGED_AT + 1)  # below the exit: only dwell is to come
    scene.reverted("O010", FLAGGED_AT + 2)
    assert len(scene.transitions) == 1
    # At the same evaluation the other metric's k is not lowered either.
    both = Scene(policy(metrics={LATE: {"enabled": False}, OVERDUE: {"enabled": False}}))
    both.many_placed(range(20))
    both.many_cancelled(range(3), T0 + 1)
    both.cancelled("O003", T0 + 2, "pricing_error")
    both.many_placed(range(100, 290), T0 + 3)
    both.reverted("O003", T0 + 4)
    assert both.levels()[-1] == (4, {STOCK: "at_risk"})
    assert both.transitions[-1].cause == "correction"


def test_another_event_that_lowers_k_is_no_correction() -> None:
    scene = flagged()
    scene.shipped("O000", T0 + 5)  # shipped before it was cancelled
    assert scene.numbers(STOCK) == (2, 20)
    assert len(scene.transitions) == 1
    scene.until(FLAGGED_AT + DWELL)
    assert scene.story()[1:] == [(since(FLAGGED_AT + DWELL), "at_risk -> resolved", "recovered")]


# -- resolved, clear, relapse


def test_clear_at_the_ms_resolved_for_ends() -> None:
    scene, at = resolved_quickly()
    scene.until(at + RESOLVED_FOR - 1)
    assert len(scene.transitions) == 2
    scene.until(at + RESOLVED_FOR)
    assert scene.story()[2:] == [(since(at + RESOLVED_FOR), "resolved -> clear", "resolved_expired")]
    assert scene.transitions[-1].reasons == ()


def test_flagged_again_while_resolved_is_a_relapse_and_clear_takes_the_count_to_0() -> None:
    scene, at = resolved_quickly()
    counts = []
    for number in (1, 2):
        scene.cancelled(f"O00{number}", at + 10 * number)
        counts.append((scene.transitions[-1].current_status, scene.transitions[-1].relapse_count))
        scene.reverted(f"O00{number}", at + 10 * number + 1)
        counts.append((scene.transitions[-1].current_status, scene.transitions[-1].relapse_count))
    assert counts == [("at_risk", 1), ("resolved", 1), ("at_risk", 2), ("resolved", 2)]
    # resolved_for begins anew with each.
    scene.until(at + 21 + RESOLVED_FOR - 1)
    assert scene.transitions[-1].current_status == "resolved"
    scene.until(at + 21 + RESOLVED_FOR)
    assert (scene.transitions[-1].current_status, scene.transitions[-1].relapse_count) == ("clear", 0)
    scene.cancelled("O003", scene.clock + 1)
    assert scene.story()[-1][1] == "clear -> at_risk"
    assert scene.transitions[-1].relapse_count == 0


def test_an_evaluation_that_raises_a_level_as_resolved_for_ends_does_not_clear() -> None:
    end = T0 + 7 + 14 * DAY_MS
    for ship_by, expected in ((end - 1, ["resolved -> at_risk"]), (end, ["resolved -> clear", "clear -> at_risk"])):
        # `late_dispatch_rate` with a line that comes due at exactly that ms, or one later.
        metrics = {STOCK: QUICK | {"impacted": "1"}, LATE: {"n_min": 1, "k_min": 1, "impacted": "1"}}
        scene = Scene(policy(dwell_ms=0, metrics=metrics | {name: {"enabled": False} for name in (FAULT, OVERDUE)}))
        scene.many_placed(range(4), ship_by=ship_by)
        for number in range(1, 4):
            scene.shipped(f"O00{number}", T0 + 1)
        scene.cancelled("O000", T0 + 5)
        scene.reverted("O000", T0 + 7)
        scene.placed("late", T0 + 7, ship_by=ship_by)
        scene.until(end + 1)
        assert [move for _, move, _ in scene.story()[2:]] == expected
        assert scene.transitions[-1].relapse_count == (1 if ship_by == end - 1 else 0)

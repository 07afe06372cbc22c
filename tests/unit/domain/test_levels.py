"""How one metric rises and falls: each case a sentence of SPEC section 7."""

from __future__ import annotations

from decimal import Decimal

import pytest

from streams.domain.levels import AT_RISK, IMPACTED, NONE, MetricState
from streams.domain.policy import METRICS
from streams.domain.rules import MetricRule, make_plan
from tests.core.scene import BUCKET_MS, STOCK, policy

GRACE, DWELL = 100, 50
# Of 10 or fewer: at risk from 1/4, impacted from 1/2, severe from 3/4 with k >= 4; exits are below 0.2 and 0.4.
# With z = 0 the bound is the rate, which is above at_risk wherever it reaches impacted.
QUIET, LOW, MIDDLE, HIGH, EXTREME = (1, 10), (2, 10), (3, 10), (5, 10), (8, 10)


def rule(**fields: object) -> MetricRule:
    metric = {"n_min": 4, "k_min": 2, "at_risk": "0.25", "impacted": "0.5", "grace_ms": GRACE} | fields
    made = policy(wilson_z=0.0, severe_ratio=Decimal("1.5"), severe_k_min=4, metrics={STOCK: metric})
    return make_plan(made, BUCKET_MS).rules[METRICS.index(STOCK)]


class Play:
    """A metric's state, evaluated at one time after another."""

    def __init__(self, **fields: object) -> None:
        self.rule = rule(**fields)
        self.dwell = DWELL
        self.state = MetricState()

    def at(self, now: int, numbers: tuple[int, int], *, fresh: bool = False, corrected: bool = False) -> int:
        self.state.settle(self.rule, *numbers, now, self.dwell, fresh, corrected)
        return self.state.level

    @property
    def due(self) -> int | None:
        return self.state.next_due(self.rule, self.dwell)


# -- rising


def test_none_to_at_risk_when_breach_at_risk_at_a_fresh_evaluation() -> None:
    play = Play()
    assert play.at(0, QUIET, fresh=True) == NONE
    assert play.at(1, LOW, fresh=True) == NONE
    assert play.at(2, MIDDLE) == NONE
    assert play.at(3, MIDDLE, fresh=True) == AT_RISK
    assert play.state.since == 3


def test_at_risk_to_impacted_when_breach_impacted_has_held_for_grace() -> None:
    play = Play()
    assert play.at(0, HIGH, fresh=True) == AT_RISK
    assert play.due == GRACE
    assert play.at(GRACE - 1, HIGH) == AT_RISK
    # The step by grace happens at any evaluation, fresh or not.
    assert play.at(GRACE, HIGH) == IMPACTED
    assert play.state.since == 0
    assert play.due is None


def test_breach_impacted_begins_to_hold_only_at_a_fresh_evaluation() -> None:
    play = Play()
    assert play.at(0, MIDDLE, fresh=True) == AT_RISK
    assert play.at(10, HIGH) == AT_RISK
    assert play.due is None
    assert play.at(10 + GRACE, HIGH) == AT_RISK
    assert play.at(200, HIGH, fresh=True) == AT_RISK
    assert play.due == 200 + GRACE
    assert play.at(250, HIGH) == AT_RISK
    assert play.at(200 + GRACE, HIGH) == IMPACTED


def test_a_condition_holds_without_a_break_or_begins_anew() -> None:
    play = Play()
    assert play.at(0, HIGH, fresh=True) == AT_RISK
    assert play.at(60, MIDDLE) == AT_RISK
    assert play.due is None
    assert play.at(70, HIGH, fresh=True) == AT_RISK
    assert play.at(GRACE, HIGH) == AT_RISK
    assert play.at(70 + GRACE, HIGH) == IMPACTED


def test_with_no_grace_it_rises_two_steps_at_once() -> None:
    assert Play(grace_ms=0).at(5, HIGH, fresh=True) == IMPACTED
    assert Play(grace_ms=0).at(5, HIGH) == NONE


def test_severe_needs_no_grace_but_a_fresh_evaluation() -> None:
    assert Play().at(0, EXTREME, fresh=True) == IMPACTED
    play = Play()
    assert play.at(0, MIDDLE, fresh=True) == AT_RISK
    assert play.at(1, EXTREME) == AT_RISK
    assert play.at(2, EXTREME, fresh=True) == IMPACTED
    assert Play(severe=False).at(0, EXTREME, fresh=True) == AT_RISK


# -- falling


def test_at_risk_to_none_when_exit_at_risk_has_held_for_dwell() -> None:
    play = Play()
    play.at(0, MIDDLE, fresh=True)
    assert play.at(10, LOW) == AT_RISK  # 0.2 is 0.8 x 0.25: not below it
    assert play.due is None
    assert play.at(20, QUIET) == AT_RISK
    assert play.due == 20 + DWELL
    assert play.at(20 + DWELL - 1, QUIET) == AT_RISK
    assert play.at(20 + DWELL, QUIET) == NONE
    assert play.due is None


def test_impacted_comes_back_in_two_steps() -> None:
    play = Play(grace_ms=0)
    play.at(0, HIGH, fresh=True)
    assert play.at(10, (4, 10)) == IMPACTED  # 0.4 is 0.8 x 0.5
    assert play.due is None
    assert play.at(20, QUIET) == IMPACTED
    assert play.at(20 + DWELL - 1, QUIET) == IMPACTED
    assert play.at(20 + DWELL, QUIET) == AT_RISK
    assert play.state.since == 0
    # exit_at_risk is tracked from entering at_risk at the earliest, though it has been true all the while.
    assert play.due == 20 + 2 * DWELL
    assert play.at(20 + 2 * DWELL - 1, QUIET) == AT_RISK
    assert play.at(20 + 2 * DWELL, QUIET) == NONE


def test_an_exit_is_interrupted_by_a_single_evaluation() -> None:
    play = Play()
    play.at(0, MIDDLE, fresh=True)
    play.at(10, QUIET)
    assert play.at(30, LOW) == AT_RISK
    assert play.at(40, QUIET) == AT_RISK
    assert play.at(10 + DWELL, QUIET) == AT_RISK
    assert play.at(40 + DWELL, QUIET) == NONE


def test_with_no_dwell_it_falls_two_steps_at_once() -> None:
    play = Play(grace_ms=0)
    play.dwell = 0
    assert play.at(0, HIGH, fresh=True) == IMPACTED
    assert play.at(1, QUIET) == NONE


def test_a_shut_gate_is_an_exit() -> None:
    play = Play()
    play.at(0, MIDDLE, fresh=True)
    assert play.at(1, (3, 3)) == AT_RISK
    assert play.at(1 + DWELL, (3, 3)) == NONE


def test_after_coming_back_to_at_risk_grace_begins_anew_and_only_at_a_fresh_evaluation() -> None:
    play = Play()
    play.dwell = 10
    play.at(0, HIGH, fresh=True)
    assert play.at(GRACE, HIGH) == IMPACTED
    play.at(GRACE + 1, MIDDLE)
    assert play.at(GRACE + 11, MIDDLE) == AT_RISK
    assert play.at(GRACE + 12, HIGH) == AT_RISK
    assert play.due is None
    assert play.at(500, HIGH, fresh=True) == AT_RISK
    assert play.at(500 + GRACE, HIGH) == IMPACTED


# -- rising and falling at once


def test_a_step_up_comes_before_a_step_down() -> None:
    """With exit ratio 1 and bounds near the threshold both may hold; none of it is lost in a loop without end."""
    play = Play(grace_ms=0)
    play.dwell = 0
    assert play.at(0, HIGH, fresh=True) == IMPACTED
    assert play.at(1, (3, 10)) == AT_RISK


def test_since_is_when_it_last_rose_from_none() -> None:
    play = Play()
    play.dwell = 0
    play.at(5, MIDDLE, fresh=True)
    assert play.at(6, QUIET) == NONE
    assert play.at(9, MIDDLE, fresh=True) == AT_RISK
    assert play.state.since == 9


# -- correction and disabling


def test_a_correction_counts_each_true_exit_as_held_for_dwell() -> None:
    play = Play(grace_ms=0)
    play.at(0, HIGH, fresh=True)
    assert play.at(1, QUIET, corrected=True) == NONE
    play = Play(grace_ms=0)
    play.at(0, HIGH, fresh=True)
    assert play.at(1, MIDDLE, corrected=True) == AT_RISK
    assert play.at(2, LOW, corrected=True) == AT_RISK
    assert play.at(3, LOW, corrected=False) == AT_RISK


def test_a_correction_hurries_no_grace() -> None:
    play = Play()
    play.at(0, HIGH, fresh=True)
    assert play.at(1, HIGH, corrected=True) == AT_RISK


@pytest.mark.parametrize("numbers", [QUIET, EXTREME])
def test_a_disabled_metric_is_at_none_at_once(numbers: tuple[int, int]) -> None:
    play = Play(grace_ms=0)
    play.at(0, HIGH, fresh=True)
    play.rule = rule(enabled=False)
    assert play.at(1, numbers, fresh=True) == NONE
    assert play.due is None
    play.rule = rule()
    assert play.at(2, numbers) == NONE


def test_what_is_due_next_is_the_earlier_of_grace_and_dwell() -> None:
    # impacted lies so close to at_risk that breach_impacted and exit_at_risk cannot both hold with ratio 1; with two
    # metrics they can. Here one state holds both, as after a change of policy.
    play = Play()
    play.at(0, HIGH, fresh=True)
    play.state.exit_since = 40
    assert play.due == min(GRACE, 40 + DWELL)
    play.state.exit_since = 70
    assert play.due == GRACE

"""Gate, rates, bounds, breaches and exits of one metric: exact decimals, one order of operations (SPEC 6 and 7)."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from streams.domain.buckets import pack
from streams.domain.policy import DAY_MS, DEFAULT_POLICY, METRICS
from streams.domain.rules import METRIC_COUNTERS, MetricRule, make_plan, rounded, rounded_rate, wilson_lower
from tests.core.scene import BUCKET_MS, FEES, LATE, OVERDUE, STOCK, policy


def rule(metric: str = STOCK, severe_k_min: int = 10, wilson_z: float = 1.2816, **fields: object) -> MetricRule:
    made = policy(metrics={metric: fields}, severe_k_min=severe_k_min, wilson_z=wilson_z)
    return make_plan(made, BUCKET_MS).rules[METRICS.index(metric)]


# -- numbers


@pytest.mark.parametrize(
    ("k", "n", "z", "bound"),
    [
        # Bits of the contract's order of operations; other orders, equal in algebra, end in others.
        (3, 20, 1.2816, "0x1.31da4c00f758bp-4"),
        (5, 40, 1.2816, "0x1.28d0c4a618dd3p-4"),
        (11, 37, 1.2816, "0x1.b0b780be4e52ap-3"),
        (17, 251, 1.2816, "0x1.9a4aed74c1a59p-5"),
        (0, 20, 1.2816, "0x1.d924a5a701a2dp-58"),
        (20, 20, 1.2816, "0x1.d924a5a701a2cp-1"),
        (7, 9, 0.5, "0x1.672c947897ea6p-1"),
        (3, 20, 0.0, "0x1.3333333333333p-3"),
    ],
)
def test_wilsons_lower_bound_in_ieee_doubles(k: int, n: int, z: float, bound: str) -> None:
    assert wilson_lower(k, n, z).hex() == bound


def test_with_n_0_rate_and_bound_are_0() -> None:
    assert (rounded_rate(0, 0), wilson_lower(0, 0, 1.2816)) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("k", "n", "rate"),
    [
        (1, 3, 0.3333),
        (2, 3, 0.6667),
        (1, 20_000, 0.0),
        (3, 20_000, 0.0002),
        (1, 32, 0.0312),
        (3, 32, 0.0938),
        (1, 1, 1.0),
    ],
)
def test_a_rate_is_the_exact_fraction_rounded_half_even(k: int, n: int, rate: float) -> None:
    assert rounded_rate(k, n) == rate


def test_rounding_takes_the_exact_value_of_a_double_and_never_gives_minus_zero() -> None:
    assert rounded(0.00015) == 0.0001  # the double lies below the half
    assert rounded(Fraction(15, 100_000)) == 0.0002
    assert str(rounded(-1e-17)) == "0.0"


# -- conditions


@pytest.mark.parametrize(
    ("k", "n", "gate"), [(3, 20, True), (2, 20, False), (3, 19, False), (0, 500, False), (500, 500, True)]
)
def test_gate_is_n_min_and_k_min(k: int, n: int, gate: bool) -> None:
    assert rule().gate(k, n) is gate
    assert rule(at_risk="0.0001").breaches_at_risk(k, n) is gate
    assert rule(at_risk="0.0001").exits_at_risk(k, n) is not gate
    assert rule(at_risk="0.0001", impacted="0.0001").exits_impacted(k, n) is not gate


@pytest.mark.parametrize(("k", "n", "breach"), [(3, 120, True), (3, 121, False), (25, 1000, True), (25, 1001, False)])
def test_breach_at_risk_is_the_exact_rate_at_or_above_the_decimal(k: int, n: int, breach: bool) -> None:
    assert rule().breaches_at_risk(k, n) is breach


def test_thresholds_compare_as_the_decimals_they_are_written_as() -> None:
    # 0.07 as a double is above 7/100, and 0.29 below: neither must matter.
    assert rule(at_risk="0.07", impacted="1").breaches_at_risk(7, 100)
    assert rule(at_risk="0.29", impacted="1").breaches_at_risk(29, 100)
    assert not rule(at_risk="0.2901", impacted="1").breaches_at_risk(29, 100)


def test_breach_impacted_needs_gate_rate_and_a_bound_above_at_risk() -> None:
    lenient = rule(at_risk="0.0001", impacted="0.15")
    assert lenient.breaches_impacted(3, 20)
    assert not lenient.breaches_impacted(3, 21)
    assert not lenient.breaches_impacted(2, 10)
    # The bound of 3 of 20 is 0.0747...: strictly above at_risk.
    assert rule(at_risk="0.0746", impacted="0.15").breaches_impacted(3, 20)
    assert not rule(at_risk="0.0748", impacted="0.15").breaches_impacted(3, 20)


def test_the_bounds_double_must_be_above_at_risk_and_not_equal() -> None:
    # With z = 0 the bound is the rate itself: 1/4 is the double 0.25, exactly.
    at_the_bound = rule(n_min=1, k_min=1, at_risk="0.25", impacted="0.25", wilson_z=0.0)
    assert not at_the_bound.breaches_impacted(1, 4)
    assert at_the_bound.breaches_impacted(2, 4)
    # The double of 1/10 is above the decimal 0.1.
    assert rule(n_min=1, k_min=1, at_risk="0.1", impacted="0.1", wilson_z=0.0).breaches_impacted(1, 10)


@pytest.mark.parametrize(
    ("k", "n", "fields", "severe"),
    [
        (12, 40, {}, True),  # 0.3 is 3.0 x 0.10
        (12, 41, {}, False),
        (9, 20, {}, False),  # k below severe_k_min
        (12, 40, {"severe": False}, False),
        (10, 19, {}, False),  # gate
        (12, 12, {"n_min": 1, "at_risk": "0.5", "impacted": "0.95"}, False),  # 3.0 x 0.95 is never reached
    ],
)
def test_severe(k: int, n: int, fields: dict[str, object], severe: bool) -> None:
    assert rule(**fields).is_severe(k, n) is severe  # type: ignore[arg-type]


def test_severe_needs_breach_impacted_too() -> None:
    wide = rule(severe_k_min=1, wilson_z=5.0, at_risk="0.1", impacted="0.1", n_min=1)
    assert not wide.breaches_impacted(3, 6)
    assert not wide.is_severe(3, 6)
    assert rule(severe_k_min=1, wilson_z=0.5, at_risk="0.1", impacted="0.1", n_min=1).is_severe(3, 6)


@pytest.mark.parametrize(("k", "n", "exits"), [(8, 100, False), (8, 101, True), (79, 1000, True), (80, 1000, False)])
def test_exit_impacted_is_below_exit_ratio_times_the_threshold(k: int, n: int, exits: bool) -> None:
    assert rule().exits_impacted(k, n) is exits  # 0.8 x 0.10 is 0.08, exactly


@pytest.mark.parametrize(("k", "n", "exits"), [(4, 200, False), (4, 201, True)])
def test_exit_at_risk_likewise(k: int, n: int, exits: bool) -> None:
    assert rule().exits_at_risk(k, n) is exits  # 0.8 x 0.025 is 0.02


def test_a_ratio_of_more_digits_than_a_double_has_compares_exactly() -> None:
    # 1/3 and both of these are one and the same double.
    for ratio, exits in (("0.33333333333333331", False), ("0.33333333333333334", True)):
        made = policy(exit_ratio=Decimal(ratio), metrics={STOCK: {"impacted": "1", "n_min": 3, "k_min": 1}})
        assert make_plan(made, BUCKET_MS).rules[0].exits_impacted(1, 3) is exits


# -- plans


def test_numerators_and_denominators_are_those_of_the_table() -> None:
    plan = make_plan(DEFAULT_POLICY, BUCKET_MS)
    totals = [pack((10, 1, 2, 20, 3, 4, 30, 5)), pack((110, 101, 102, 120, 103, 104, 130, 105))]
    assert [rule.counts(totals) for rule in plan.rules] == [(101, 110), (102, 110), (4, 20), (103, 120), (5, 30)]
    assert len(METRIC_COUNTERS) == len(METRICS)


def test_with_no_policy_in_force_every_gate_is_shut_and_the_defaults_other_settings_serve() -> None:
    plan = make_plan(None, BUCKET_MS)
    assert (plan.in_force, plan.effective_from_ms, plan.policy) == (None, None, DEFAULT_POLICY)
    assert not any(rule.gate(10**6, 10**6) for rule in plan.rules)
    assert plan.windows == (28, 120)
    assert all(rule.exits_at_risk(10**6, 10**6) and rule.exits_impacted(10**6, 10**6) for rule in plan.rules)


def test_windows_are_in_buckets_and_shared() -> None:
    windows = {STOCK: {"window_ms": BUCKET_MS}, OVERDUE: {"window_ms": DAY_MS}, FEES: {"window_ms": DAY_MS}}
    plan = make_plan(policy(metrics=windows), BUCKET_MS)
    assert plan.windows == (1, 4, 120)
    assert [plan.windows[rule.window] for rule in plan.rules] == [1, 120, 4, 120, 4]


def test_ratios_of_the_policy_reach_every_rule() -> None:
    plan = make_plan(policy(exit_ratio=Decimal("0.5"), severe_ratio=Decimal(2)), BUCKET_MS)
    late = plan.rules[METRICS.index(LATE)]
    assert (late.exit_at_risk, late.exit_impacted) == (Fraction(2, 100), Fraction(5, 100))
    assert late.severe_from == Fraction(2, 10)

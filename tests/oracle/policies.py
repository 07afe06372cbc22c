"""Policies and the table of metrics (SPEC section 6)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True)
class MetricRules:
    """One metric under one policy. Windows and graces in ms, thresholds as the exact fractions of their decimals."""

    name: str
    numerator: str
    denominator: str
    window_ms: int
    n_min: int
    k_min: int
    at_risk: Fraction
    impacted: Fraction
    grace_ms: int
    severe: bool = True
    enabled: bool = True
    review_url: str | None = None
    documentation_url: str | None = None


@dataclass(frozen=True)
class Policy:
    """One `[[policy]]`. `version` and `effective_from_ms` are None only in `NO_POLICY`."""

    version: str | None
    effective_from_ms: int | None
    region: str | None
    category: str | None
    exit_ratio: Fraction
    dwell_ms: int
    resolved_for_ms: int
    severe_ratio: Fraction
    severe_k_min: int
    wilson_z: float
    high_fee_ratio: Fraction
    metrics: tuple[MetricRules, ...]

    @property
    def in_force(self) -> bool:
        """Whether this is a policy at all: False for `NO_POLICY`, under which every gate is shut."""
        return self.version is not None


def _rules(
    name: str, k: str, n: str, window_d: int, n_min: int, at_risk: str, impacted: str, grace_h: int, severe: bool = True
) -> MetricRules:
    return MetricRules(
        name=name,
        numerator=k,
        denominator=n,
        window_ms=window_d * DAY_MS,
        n_min=n_min,
        k_min=3,
        at_risk=Fraction(at_risk),
        impacted=Fraction(impacted),
        grace_ms=grace_h * HOUR_MS,
        severe=severe,
    )


DEFAULT_METRICS = (
    _rules("out_of_stock_cancellation_rate", "stock_cancelled", "placed", 30, 20, "0.025", "0.10", 48),
    _rules("seller_fault_cancellation_rate", "seller_cancelled", "placed", 30, 20, "0.025", "0.10", 48),
    _rules("unshipped_overdue_rate", "overdue", "due", 7, 10, "0.04", "0.10", 48),
    _rules("late_dispatch_rate", "late", "due", 30, 20, "0.04", "0.10", 48),
    _rules("high_shipping_fee_rate", "high_fees", "fees", 7, 10, "0.10", "0.30", 7 * 24, severe=False),
)
METRIC_NAMES = tuple(rules.name for rules in DEFAULT_METRICS)

DEFAULT_POLICY = Policy(
    version="default",
    effective_from_ms=0,
    region=None,
    category=None,
    exit_ratio=Fraction("0.8"),
    dwell_ms=3 * DAY_MS,
    resolved_for_ms=14 * DAY_MS,
    severe_ratio=Fraction("3.0"),
    severe_k_min=10,
    wilson_z=1.2816,
    high_fee_ratio=Fraction("1.2"),
    metrics=DEFAULT_METRICS,
)
NO_POLICY = replace(DEFAULT_POLICY, version=None, effective_from_ms=None)

_FRACTIONS = {"exit_ratio", "severe_ratio", "high_fee_ratio", "at_risk", "impacted"}
_METRIC_KEYS = {
    *("window_ms", "n_min", "k_min", "at_risk", "impacted", "grace_ms"),
    *("severe", "enabled", "review_url", "documentation_url"),
}
_POLICY_KEYS = {
    *("version", "region", "category", "exit_ratio", "dwell_ms", "resolved_for_ms"),
    *("severe_ratio", "severe_k_min", "wilson_z", "high_fee_ratio"),
}


def _overrides(given: dict[str, Any], known: set[str]) -> dict[str, Any]:
    unknown = set(given) - known
    if unknown:
        raise ValueError(f"unknown policy keys {sorted(unknown)}; known are {sorted(known)}")
    return {
        key: Fraction(value) if key in _FRACTIONS else float(value) if key == "wilson_z" else value
        for key, value in given.items()
    }


def policy_from(given: dict[str, Any]) -> Policy:
    """A policy from a dict that mirrors its TOML table: `effective_from`, `dwell_ms`, `resolved_for_ms`, `window_ms`
    and `grace_ms` as int ms, thresholds and ratios as Decimal. What is left out takes the default (SPEC section 6).

    Raises ValueError on an unknown key or metric, so that a misspelt test does not pass by accident.
    """
    metrics = given.get("metrics", {})
    if unknown := set(metrics) - set(METRIC_NAMES):
        raise ValueError(f"unknown metrics {sorted(unknown)}")
    plain = {key: value for key, value in given.items() if key not in ("metrics", "effective_from")}
    return replace(
        DEFAULT_POLICY,
        effective_from_ms=given["effective_from"],
        metrics=tuple(
            replace(rules, **_overrides(metrics.get(rules.name, {}), _METRIC_KEYS)) for rules in DEFAULT_METRICS
        ),
        **_overrides(plain, _POLICY_KEYS),
    )


def policies_from(given: list[dict[str, Any]] | None) -> list[Policy]:
    """All policies of a file; without one, the default alone (SPEC section 6)."""
    return [DEFAULT_POLICY] if given is None else [policy_from(one) for one in given]


def select(policies: list[Policy], clock_ms: int, region: str | None, category: str | None) -> Policy:
    """The policy for a product of this region and category: of those in force and matching, the most specific
    selector, then the latest effective_from; `NO_POLICY` when there is none (SPEC section 6)."""
    best = NO_POLICY
    best_rank = (-1, -1)
    for policy in policies:
        assert policy.effective_from_ms is not None
        if policy.effective_from_ms > clock_ms:
            continue
        if policy.region is not None and policy.region != region:
            continue
        if policy.category is not None and policy.category != category:
            continue
        # region+category 3, category 2, region 1, none 0
        specificity = 2 * (policy.category is not None) + (policy.region is not None)
        rank = (specificity, policy.effective_from_ms)
        if rank > best_rank:
            best, best_rank = policy, rank
    return best


def longest_window_ms(policies: list[Policy]) -> int:
    """The longest window of any policy, at least 28 days (SPEC section 4)."""
    return max(28 * DAY_MS, *(rules.window_ms for policy in policies for rules in policy.metrics))

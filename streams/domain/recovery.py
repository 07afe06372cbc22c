"""What it takes for a metric to recover: how many orders to ship, how many good ones more, or how long to wait.

Not part of the contract, but derived from it alone (SPEC sections 4, 6 and 7): a level falls once its exit condition
has held for `dwell`, and the condition is `not (gate and rate >= exit_ratio x threshold)`. All counts and times are
exact for what is known from outside, and promise no more than that: each says what is enough if nothing more goes
wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from streams.domain.policy import UNSHIPPED_OVERDUE_RATE, MetricPolicy, Policy


@dataclass(frozen=True, slots=True)
class Standing:
    """A metric that has a level, as it is published: `level` is `at_risk` or `impacted`.

    `evidence_at` are the times of its evidence, the latest first, of `evidence_total` in all; `clock` in ms.
    """

    metric: str
    level: str
    numerator: int
    denominator: int
    exit_threshold: Decimal
    evidence_at: Sequence[int]
    evidence_total: int
    clock: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """What it takes for a metric to fall by one level, to `next_level`. None is: not known, or not a way.

    Its rate has to be below `below_rate` (or its counts too small to tell) for `dwell_ms`. It is now: `is_below`. Each
    of these is enough to bring it there, while no more goes wrong: to ship `settle_orders` of the overdue orders; or
    `good_orders` more orders (or fees) with which nothing is wrong. Without either, the level has fallen `at_latest`
    (ms), the dwelling included: by then the bad ones have left the window.
    """

    next_level: str
    below_rate: Decimal
    is_below: bool
    settle_orders: int | None
    good_orders: int | None
    at_latest: int | None
    dwell_ms: int | None


def recovery_of(standing: Standing, policy: Policy | None, rule: MetricPolicy | None, bucket_ms: int) -> Recovery:
    """How a metric recovers. `policy` is the one it is judged by and `rule` its row for the metric, None if unknown."""
    k, n = standing.numerator, standing.denominator
    exit_rate = standing.exit_threshold
    if policy is not None and rule is not None:
        exit_rate = policy.exit_ratio * (rule.impacted if standing.level == "impacted" else rule.at_risk)
    n_min, k_min = (rule.n_min, rule.k_min) if rule is not None else (1, 1)
    # The most bad ones of n that are not too many: too few for the gate, or a rate below that of the exit.
    tolerated = max(k_min - 1, ceil(Fraction(exit_rate) * n) - 1)
    is_below = n < n_min or k <= tolerated
    return Recovery(
        next_level="at_risk" if standing.level == "impacted" else "none",
        below_rate=exit_rate,
        is_below=is_below,
        settle_orders=_settle(standing, is_below, tolerated),
        good_orders=_good_orders(k, n, is_below, exit_rate),
        at_latest=None if policy is None or rule is None else _gate_shut(standing, rule, bucket_ms) + policy.dwell_ms,
        dwell_ms=None if policy is None else policy.dwell_ms,
    )


def _good_orders(k: int, n: int, is_below: bool, exit_rate: Decimal) -> int | None:
    """As published, a rate is rounded: below one that became 0 no good order brings it."""
    if is_below:
        return 0
    return floor(k / Fraction(exit_rate)) + 1 - n if exit_rate else None


def _settle(standing: Standing, is_below: bool, tolerated: int) -> int | None:
    """Only what is overdue can still be settled: it stays due, and counts in the numerator no more."""
    if standing.metric != UNSHIPPED_OVERDUE_RATE:
        return None
    return 0 if is_below else standing.numerator - tolerated


def _gate_shut(standing: Standing, rule: MetricPolicy, bucket_ms: int) -> int:
    """When fewer than k_min of those that count now are left in the window, at the latest.

    Evidence counts in the bucket of its time, or in an earlier one (a cancelled line in that of its placing). So all
    but the latest k_min - 1 are gone when the next one is. What is not in the evidence is no later than the clock.
    """
    last = standing.clock
    if standing.evidence_total >= standing.numerator and rule.k_min <= len(standing.evidence_at):
        last = standing.evidence_at[rule.k_min - 1]
    return last // bucket_ms * bucket_ms + rule.window_ms

"""A policy made ready to judge by: every threshold as a pair of integers, every window as a number of buckets.

Nothing here rounds. A rate k/n is compared with a decimal threshold a/b as k*b against a*n (SPEC sections 6 and 7).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import sqrt

from streams.domain.buckets import FIELD_MASK, SHIFT
from streams.domain.policy import DEFAULT_POLICY, METRICS, MetricPolicy, Policy

# Numerator and denominator of each metric, in the order of METRICS (SPEC 6).
METRIC_COUNTERS = (
    ("stock_cancelled", "placed"),
    ("seller_cancelled", "placed"),
    ("overdue", "due"),
    ("late", "due"),
    ("high_fees", "fees"),
)
MESSAGES = (
    "{k} of {n} lines placed were cancelled as out of stock",
    "{k} of {n} lines placed were cancelled by the seller's fault",
    "{k} of {n} lines due are unshipped past their ship-by time",
    "{k} of {n} lines due were dispatched late or not at all",
    "{k} of {n} shipping fees were above the tariff",
)
# Indices into a rule's `pairs`.
_AT_RISK, _IMPACTED, _EXIT_AT_RISK, _EXIT_IMPACTED, _SEVERE = range(5)
UNREACHABLE = 1 << 62  # a minimum that no count has: the gate is shut


def wilson_lower(k: int, n: int, z: float) -> float:
    """Wilson's lower bound of k/n in IEEE doubles, in SPEC 7's order of operations; 0.0 with n = 0."""
    if n == 0:
        return 0.0
    p = k / n
    return (p + z * z / (2 * n) - z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)


def rounded_rate(k: int, n: int) -> float:
    """k/n, rounded half-even to four places from the exact fraction; 0.0 with n = 0 (SPEC 6)."""
    if n == 0:
        return 0.0
    return _rounded(k, n)


def rounded(value: float | Fraction) -> float:
    """The exact value of a double or fraction, rounded half-even to four places (SPEC 6); never -0.0."""
    return _rounded(*value.as_integer_ratio())


def _rounded(numerator: int, denominator: int) -> float:
    # In integers: a Fraction would look for common divisors at each step.
    whole, rest = divmod(numerator * 10_000, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and whole % 2):
        whole += 1
    return whole / 10_000


@dataclass(frozen=True, slots=True)
class MetricRule:
    """One metric of one policy. `window` is the index of its window in the plan's `windows`."""

    index: int
    policy: MetricPolicy
    wilson_z: float
    window: int
    k_shift: int
    n_shift: int
    k_min: int
    n_min: int
    at_risk: Fraction
    impacted: Fraction
    exit_at_risk: Fraction
    exit_impacted: Fraction
    severe_from: Fraction
    severe_k_min: int
    # (numerator, denominator) of the five thresholds above, in that order: a Fraction's own are slow to get at.
    pairs: tuple[tuple[int, int], ...] = field(repr=False)

    def counts(self, totals: list[int]) -> tuple[int, int]:
        """k and n, from the packed totals of the plan's windows."""
        total = totals[self.window]
        return (total >> self.k_shift) & FIELD_MASK, (total >> self.n_shift) & FIELD_MASK

    def gate(self, k: int, n: int) -> bool:
        """Whether there is enough to judge by (SPEC 7)."""
        return n >= self.n_min and k >= self.k_min

    def _reaches(self, k: int, n: int, threshold: int) -> bool:
        if n < self.n_min or k < self.k_min:
            return False
        numerator, denominator = self.pairs[threshold]
        return k * denominator >= numerator * n

    def breaches_at_risk(self, k: int, n: int) -> bool:
        """`breach_at_risk` (SPEC 7)."""
        return self._reaches(k, n, _AT_RISK)

    def breaches_impacted(self, k: int, n: int) -> bool:
        """`breach_impacted` (SPEC 7): the bound's double is compared by its exact value."""
        return self._reaches(k, n, _IMPACTED) and wilson_lower(k, n, self.wilson_z) > self.policy.at_risk

    def is_severe(self, k: int, n: int) -> bool:
        """`severe` (SPEC 7)."""
        return (
            self.policy.severe
            and k >= self.severe_k_min
            and self._reaches(k, n, _SEVERE)
            and self.breaches_impacted(k, n)
        )

    def exits_impacted(self, k: int, n: int) -> bool:
        """`exit_impacted` (SPEC 7)."""
        return not self._reaches(k, n, _EXIT_IMPACTED)

    def exits_at_risk(self, k: int, n: int) -> bool:
        """`exit_at_risk` (SPEC 7)."""
        return not self._reaches(k, n, _EXIT_AT_RISK)


@dataclass(frozen=True, slots=True)
class Sieve:
    """Of an enabled rule, what tells that a product without levels is far from it: see `streams.domain.outlook`.

    `numerator`, `denominator`: of its threshold for at_risk. `counts_late_lines`: its k rises as lines come due.
    """

    window: int
    k_shift: int
    n_shift: int
    k_min: int
    n_min: int
    numerator: int
    denominator: int
    counts_late_lines: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What a product is judged by: the rules of the policy in force for it, or none in force (then all gates shut).

    `windows` are the distinct window lengths in buckets. `in_force` is None if no policy is: the default's other
    settings serve (SPEC 6).
    """

    policy: Policy
    in_force: Policy | None
    windows: tuple[int, ...]
    rules: tuple[MetricRule, ...]
    # Of the enabled rules: what a product without levels is sifted by; a mask of all numerators; and the least k_min,
    # of all and of those that count late lines.
    sieve: tuple[Sieve, ...] = field(repr=False)
    numerators: int = field(repr=False)
    least_k_min: int = field(repr=False)
    least_late_k_min: int = field(repr=False)

    @property
    def effective_from_ms(self) -> int | None:
        """When the policy took effect, None if none is in force."""
        return None if self.in_force is None else self.in_force.effective_from_ms


def make_plan(in_force: Policy | None, bucket_ms: int) -> Plan:
    """Makes a policy (None: none is in force) ready for buckets of `bucket_ms`."""
    policy = DEFAULT_POLICY if in_force is None else in_force
    windows = tuple(sorted({metric.window_ms // bucket_ms for metric in policy.metrics}))
    rules = []
    for index, metric in enumerate(policy.metrics):
        numerator, denominator = METRIC_COUNTERS[index]
        at_risk, impacted = Fraction(metric.at_risk), Fraction(metric.impacted)
        exit_ratio, severe_from = Fraction(policy.exit_ratio), Fraction(policy.severe_ratio) * impacted
        thresholds = (at_risk, impacted, exit_ratio * at_risk, exit_ratio * impacted, severe_from)
        rules.append(
            MetricRule(
                index=index,
                policy=metric,
                wilson_z=policy.wilson_z,
                window=windows.index(metric.window_ms // bucket_ms),
                k_shift=SHIFT[numerator],
                n_shift=SHIFT[denominator],
                k_min=UNREACHABLE if in_force is None else metric.k_min,
                n_min=UNREACHABLE if in_force is None else metric.n_min,
                at_risk=at_risk,
                impacted=impacted,
                exit_at_risk=thresholds[_EXIT_AT_RISK],
                exit_impacted=thresholds[_EXIT_IMPACTED],
                severe_from=severe_from,
                severe_k_min=policy.severe_k_min,
                pairs=tuple(threshold.as_integer_ratio() for threshold in thresholds),
            )
        )
    assert len(rules) == len(METRICS)
    sieve = tuple(_sieve(rule) for rule in rules if rule.policy.enabled)
    return Plan(
        policy,
        in_force,
        windows,
        tuple(rules),
        sieve,
        numerators=sum(FIELD_MASK << k_shift for k_shift in {rule.k_shift for rule in sieve}),
        least_k_min=min((rule.k_min for rule in sieve), default=UNREACHABLE),
        least_late_k_min=min((rule.k_min for rule in sieve if rule.counts_late_lines), default=UNREACHABLE),
    )


def _sieve(rule: MetricRule) -> Sieve:
    numerator, denominator = rule.pairs[_AT_RISK]
    return Sieve(
        rule.window,
        rule.k_shift,
        rule.n_shift,
        rule.k_min,
        rule.n_min,
        numerator,
        denominator,
        METRIC_COUNTERS[rule.index][0] in ("overdue", "late"),
    )

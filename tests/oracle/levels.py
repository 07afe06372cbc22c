"""From numbers to levels, status and cause (SPEC section 7)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from tests.oracle.policies import METRIC_NAMES, MetricRules, Policy

RANK = {"none": 0, "at_risk": 1, "impacted": 2}
# Which conditions lead away from which level.
WATCHED = {"none": (), "at_risk": ("breach_impacted", "exit_at_risk"), "impacted": ("exit_impacted",)}


@dataclass(frozen=True)
class Numbers:
    """One metric at one evaluation."""

    k: int
    n: int
    gate: bool
    rate: Fraction
    lower: float


@dataclass
class Track:
    """What one metric remembers from one evaluation to the next. `held` says since when each condition has held."""

    level: str = "none"
    since_ms: int = 0
    held: dict[str, int] = field(default_factory=dict)
    k: int = 0
    n: int = 0
    gate: bool = False


@dataclass
class Standing:
    """Where a product stands."""

    status: str = "clear"
    relapse_count: int = 0
    resolved_since_ms: int = 0
    tracks: dict[str, Track] = field(default_factory=lambda: {name: Track() for name in METRIC_NAMES})

    def levels(self) -> list[tuple[str, str]]:
        """The (metric, level) pairs above none, in the table's order."""
        return [(name, self.tracks[name].level) for name in METRIC_NAMES if self.tracks[name].level != "none"]


@dataclass(frozen=True)
class Outcome:
    """What one evaluation did. `cause` is None when neither the status nor the set of levels changed."""

    previous_status: str
    previous_levels: list[tuple[str, str]]
    numbers: dict[str, Numbers]
    cause: str | None


def wilson_lower(k: int, n: int, z: float) -> float:
    """Wilson's lower bound in IEEE doubles, in the contract's order of operations; 0.0 for n = 0."""
    if n == 0:
        return 0.0
    p = k / n
    return (p + z * z / (2 * n) - z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)


def numbers_of(rules: MetricRules, policy: Policy, k: int, n: int) -> Numbers:
    """Gate, rate and bound of one metric under the policy selected."""
    gate = policy.in_force and n >= rules.n_min and k >= rules.k_min
    return Numbers(k, n, gate, Fraction(k, n) if n else Fraction(0), wilson_lower(k, n, policy.wilson_z))


def conditions(rules: MetricRules, policy: Policy, now: Numbers) -> dict[str, bool]:
    """The five conditions of one metric, compared exactly."""
    breach_impacted = now.gate and now.rate >= rules.impacted and Fraction(now.lower) > rules.at_risk
    return {
        "breach_at_risk": now.gate and now.rate >= rules.at_risk,
        "breach_impacted": breach_impacted,
        "severe": breach_impacted
        and rules.severe
        and now.rate >= policy.severe_ratio * rules.impacted
        and now.k >= policy.severe_k_min,
        "exit_impacted": not (now.gate and now.rate >= policy.exit_ratio * rules.impacted),
        "exit_at_risk": not (now.gate and now.rate >= policy.exit_ratio * rules.at_risk),
    }


def step_metric(
    track: Track, rules: MetricRules, policy: Policy, now: Numbers, clock_ms: int, fresh: bool, corrected: bool
) -> None:
    """Re-apply the rules of one metric until nothing changes."""
    if not rules.enabled:
        track.level, track.held = "none", {}
        return
    true = conditions(rules, policy, now)
    while True:
        held: dict[str, int] = {}
        for name in WATCHED[track.level]:
            if true[name] and name in track.held:
                held[name] = track.held[name]
            elif true[name] and (fresh or name != "breach_impacted"):
                held[name] = clock_ms
        track.held = held

        def has_held(name: str, for_ms: int) -> bool:
            return name in track.held and clock_ms - track.held[name] >= for_ms

        dwell_ms = 0 if corrected else policy.dwell_ms
        before = track.level
        if track.level == "none" and fresh and true["breach_at_risk"]:
            track.level, track.since_ms = "at_risk", clock_ms
        elif track.level == "at_risk" and ((fresh and true["severe"]) or has_held("breach_impacted", rules.grace_ms)):
            track.level = "impacted"
        elif track.level == "at_risk" and has_held("exit_at_risk", dwell_ms):
            track.level = "none"
        elif track.level == "impacted" and has_held("exit_impacted", dwell_ms):
            track.level = "at_risk"
        if track.level == before:
            return
        # Conditions are tracked from entering a level at the earliest.
        track.held = {}


def evaluate(
    standing: Standing, policy: Policy, counts: dict[str, tuple[int, int]], clock_ms: int, reversion: bool
) -> Outcome:
    """One evaluation of one product at `clock_ms`; `reversion` if it is that of an `order.cancellation_reverted`.

    Changes `standing` and says what happened.
    """
    previous_status, previous_levels = standing.status, standing.levels()
    changes_policy = policy.in_force and policy.effective_from_ms == clock_ms
    numbers: dict[str, Numbers] = {}
    lowered: set[str] = set()
    for rules in policy.metrics:
        track = standing.tracks[rules.name]
        now = numbers_of(rules, policy, *counts[rules.name])
        fresh = changes_policy or now.k > track.k or (now.n > track.n and not track.gate)
        corrected = reversion and now.k < track.k
        if corrected:
            lowered.add(rules.name)
        step_metric(track, rules, policy, now, clock_ms, fresh, corrected)
        track.k, track.n, track.gate = now.k, now.n, now.gate
        numbers[rules.name] = now
    step_status(standing, policy, clock_ms)

    levels = standing.levels()
    if standing.status == previous_status and levels == previous_levels:
        return Outcome(previous_status, previous_levels, numbers, None)
    old, new = dict(previous_levels), dict(levels)
    rules_of = {rules.name: rules for rules in policy.metrics}
    risen = [name for name in new if RANK[new[name]] > RANK[old.get(name, "none")]]
    fallen = [name for name in old if RANK[old[name]] > RANK[new.get(name, "none")]]
    if changes_policy or any(not rules_of[name].enabled for name in fallen):
        cause = "policy_changed"
    elif risen:
        cause = "threshold_breach"
    elif lowered.intersection(fallen):
        cause = "correction"
    elif previous_status == "resolved" and standing.status == "clear":
        cause = "resolved_expired"
    elif all(numbers[name].n < rules_of[name].n_min for name in fallen):
        cause = "window_expired"
    else:
        cause = "recovered"
    return Outcome(previous_status, previous_levels, numbers, cause)


def step_status(standing: Standing, policy: Policy, clock_ms: int) -> None:
    """The product's status from its levels, and the count of relapses."""
    levels = [level for _, level in standing.levels()]
    if levels:
        if standing.status == "resolved":
            standing.relapse_count += 1
        standing.status = max(levels, key=lambda level: RANK[level])
    elif standing.status in ("at_risk", "impacted"):
        standing.status, standing.resolved_since_ms = "resolved", clock_ms
    elif standing.status == "resolved" and clock_ms >= standing.resolved_since_ms + policy.resolved_for_ms:
        standing.status, standing.relapse_count = "clear", 0


def timers(standing: Standing, policy: Policy) -> list[int]:
    """When each grace, dwell or resolved_for that is running ends (ms), under the policy selected now."""
    ends = []
    for rules in policy.metrics:
        for name, since_ms in standing.tracks[rules.name].held.items():
            ends.append(since_ms + (rules.grace_ms if name == "breach_impacted" else policy.dwell_ms))
    if standing.status == "resolved":
        ends.append(standing.resolved_since_ms + policy.resolved_for_ms)
    return ends

"""The level of one metric of one product, and the rules by which it rises and falls (SPEC section 7)."""

from __future__ import annotations

from streams.domain.rules import MetricRule

NONE, AT_RISK, IMPACTED = range(3)
LEVEL_NAMES = ("none", "at_risk", "impacted")


class MetricState:
    """A metric's level and the conditions that lead away from it; times in ms, None while a condition is not held.

    `since`: when it last rose from none. `breach_since`: breach_impacted holds, tracked at at_risk.
    `exit_since`: the exit condition of the present level holds.
    """

    __slots__ = ("breach_since", "exit_since", "level", "since")

    def __init__(self) -> None:
        self.level = NONE
        self.since: int | None = None
        self.breach_since: int | None = None
        self.exit_since: int | None = None

    def _enter(self, level: int) -> None:
        # Conditions are tracked only while at the level they lead away from, from entering it at the earliest.
        self.level = level
        self.breach_since = self.exit_since = None

    def settle(self, rule: MetricRule, k: int, n: int, now: int, dwell_ms: int, fresh: bool, corrected: bool) -> None:
        """Apply the rules of SPEC 7 until nothing changes.

        `fresh` as SPEC 7 defines it; `corrected`: this evaluation is that of a reversion which lowered k,
        so that exit conditions count as held for dwell.
        """
        if not rule.policy.enabled:
            self._enter(NONE)
            return
        while True:
            before = self.level
            if before == NONE:
                if fresh and rule.breaches_at_risk(k, n):
                    self._enter(AT_RISK)
                    self.since = now
            elif before == AT_RISK:
                self._settle_at_risk(rule, k, n, now, dwell_ms, fresh, corrected)
            else:
                self.exit_since = _held_since(self.exit_since, rule.exits_impacted(k, n), now)
                if _held(self.exit_since, now, dwell_ms, corrected):
                    self._enter(AT_RISK)
            if self.level == before:
                return

    def _settle_at_risk(
        self, rule: MetricRule, k: int, n: int, now: int, dwell_ms: int, fresh: bool, corrected: bool
    ) -> None:
        breach = rule.breaches_impacted(k, n)
        if not breach:
            self.breach_since = None
        elif self.breach_since is None and fresh:
            self.breach_since = now
        self.exit_since = _held_since(self.exit_since, rule.exits_at_risk(k, n), now)
        if (fresh and breach and rule.is_severe(k, n)) or _held(self.breach_since, now, rule.policy.grace_ms, False):
            self._enter(IMPACTED)
        elif _held(self.exit_since, now, dwell_ms, corrected):
            self._enter(NONE)

    def next_due(self, rule: MetricRule, dwell_ms: int) -> int | None:
        """When a held condition has been held long enough, or None."""
        ends = []
        if self.exit_since is not None:
            ends.append(self.exit_since + dwell_ms)
        if self.breach_since is not None:
            ends.append(self.breach_since + rule.policy.grace_ms)
        return min(ends, default=None)


def _held_since(since: int | None, holds: bool, now: int) -> int | None:
    if not holds:
        return None
    return now if since is None else since


def _held(since: int | None, now: int, duration_ms: int, at_once: bool) -> bool:
    return since is not None and (at_once or now - since >= duration_ms)

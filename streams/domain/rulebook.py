"""What all products of a partition share: the policies, the bucket width and how long things are kept."""

from __future__ import annotations

from hashlib import sha256

from streams.domain.policy import DAY_MS, HOUR_MS, PolicySet
from streams.domain.rules import Plan, make_plan

BUCKET_MS = 6 * HOUR_MS
ALLOWED_LATENESS_MS = 7 * DAY_MS


class Rulebook:
    """The policies and settings a product is kept and judged by (SPEC sections 4 and 6).

    `bucket_ms`: width B of a bucket. `allowed_lateness_ms`: an event further behind the clock is late.
    `held_buckets`: how many buckets are held, the present one included; `retention_ms`: the longest window and one
    bucket, after which a line without any later fact is forgotten. `recent_ms`: an event no further behind the clock is
    neither late nor of a bucket that is dropped. `idle_ms`: so long what is due of a product and can't matter may wait.
    """

    __slots__ = (
        "_digest",
        "_plans",
        "allowed_lateness_ms",
        "bucket_ms",
        "held_buckets",
        "idle_ms",
        "policies",
        "recent_ms",
        "retention_ms",
    )

    def __init__(
        self,
        policies: PolicySet,
        bucket_ms: int = BUCKET_MS,
        allowed_lateness_ms: int = ALLOWED_LATENESS_MS,
    ) -> None:
        # The choice of a policy is cached for one clock, and each partition has its own: so has it its own set.
        self.policies = PolicySet(policies.policies)
        self.bucket_ms = bucket_ms
        self.allowed_lateness_ms = allowed_lateness_ms
        self.held_buckets = -(-policies.longest_window_ms // bucket_ms)
        self.retention_ms = policies.longest_window_ms + bucket_ms
        self.recent_ms = min(allowed_lateness_ms, (self.held_buckets - 1) * bucket_ms)
        self.idle_ms = bucket_ms // 6
        self._plans: dict[int, Plan] = {}
        self._digest: int | None = None

    @property
    def digest(self) -> int:
        """Tells these rules from others: a whole number of 63 bits, never 0, the same in every process."""
        if self._digest is None:
            rules = repr((self.policies.policies, self.bucket_ms, self.allowed_lateness_ms))
            self._digest = int.from_bytes(sha256(rules.encode()).digest()[:8], "big") >> 1 or 1
        return self._digest

    def plan(self, region: str | None, category: str | None, clock_ms: int) -> Plan:
        """What a product of this region and category is judged by at this clock; the same object for one policy."""
        policy = self.policies.select(region, category, clock_ms)
        # By identity: hashing a policy of nested values for every lookup would cost more than the choice.
        plan = self._plans.get(id(policy))
        if plan is None:
            plan = self._plans[id(policy)] = make_plan(policy, self.bucket_ms)
        return plan

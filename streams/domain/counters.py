"""The counters of a product: per bucket, and summed over the windows of its plan (SPEC section 4)."""

from __future__ import annotations

from streams.domain.buckets import window_total
from streams.domain.rules import Plan

# What a row and an output can hold; only a hostile producer gets there, and it must not stop anything.
IMPRESSIONS_MAX = 2**60


class Counters:
    """What is counted per bucket; buckets are numbered floor(t / B).

    `buckets`: packed counters of each bucket that has any. `held_from`: the first bucket not dropped.
    `last_bucket`: the one the windows end with. `totals`: packed sums over the windows of `plan`.
    `impressions`: counts per bucket. `seen`: the bucket of each event_id of an event without a line.
    `high_fees`: (occurred_at, bucket, order_id) of high fees that name an order.
    """

    __slots__ = ("buckets", "held_from", "high_fees", "impressions", "last_bucket", "plan", "seen", "totals")

    def __init__(self, plan: Plan, last_bucket: int, held_buckets: int) -> None:
        self.plan = plan
        self.last_bucket = last_bucket
        self.held_from = last_bucket - held_buckets + 1
        self.buckets: dict[int, int] = {}
        self.impressions: dict[int, int] = {}
        self.seen: dict[str, int] = {}
        self.high_fees: list[tuple[int, int, str]] = []
        self.totals: list[int] = [0] * len(plan.windows)

    def add(self, bucket: int, packed: int) -> None:
        """Add packed counts (or a difference of such) to a bucket; what is dropped stays dropped."""
        if bucket < self.held_from:
            return
        value = self.buckets.get(bucket, 0) + packed
        if value:
            self.buckets[bucket] = value
        else:
            del self.buckets[bucket]
        last = self.last_bucket
        if bucket <= last:
            for i, length in enumerate(self.plan.windows):
                if bucket > last - length:
                    self.totals[i] += packed

    def tell_once(self, event_id: str, bucket: int) -> bool:
        """Remember an event without a line for as long as its bucket is held; False if it was told before."""
        if event_id in self.seen:
            return False
        self.seen[event_id] = bucket
        return True

    def add_impressions(self, event_id: str, bucket: int, count: int) -> bool:
        """Add impressions to a bucket, unless they were told before."""
        if not self.tell_once(event_id, bucket):
            return False
        self.impressions[bucket] = min(self.impressions.get(bucket, 0) + count, IMPRESSIONS_MAX)
        return True

    def slide(self, bucket: int, held_buckets: int) -> bool:
        """Let the windows end with `bucket`, a later one than now; True if anything was dropped."""
        self.last_bucket = bucket
        first = bucket - held_buckets + 1
        dropped = False
        if first > self.held_from:
            self.held_from = first
            dropped = self._drop_before(first)
        self.retotal()
        return dropped

    def retotal(self) -> None:
        """Sum the windows anew."""
        self.totals = [window_total(self.buckets, self.last_bucket, length) for length in self.plan.windows]

    def _drop_before(self, first: int) -> bool:
        old = [bucket for bucket in self.buckets if bucket < first]
        for bucket in old:
            del self.buckets[bucket]
        gone = [bucket for bucket in self.impressions if bucket < first]
        for bucket in gone:
            del self.impressions[bucket]
        if not (old or gone):
            return False
        self.seen = {event_id: bucket for event_id, bucket in self.seen.items() if bucket >= first}
        self.high_fees = [fee for fee in self.high_fees if fee[1] >= first]
        return True

"""The counters of a product: per bucket, and summed over the windows of its plan (SPEC section 4)."""

from __future__ import annotations

from streams.domain.buckets import window_total
from streams.domain.rules import Plan

# What a row and an output can hold; only a hostile producer gets there, and it must not stop anything.
IMPRESSIONS_MAX = 2**60
NEVER = 1 << 62  # later than any bucket, and than any time in ms


class Counters:
    """What is counted per bucket; buckets are numbered floor(t / B).

    `buckets`: packed counters of each bucket that has any. `newest`, `oldest`: none of them is later, or earlier; nor
    is any of `impressions` earlier than `oldest`.
    `held_from`: the first bucket not dropped.
    `last_bucket`: the one the windows end with. `totals`: packed sums over the windows of `plan`.
    `impressions`: counts per bucket. `seen`: the bucket of each event_id of an event without a line.
    `high_fees`: (occurred_at, bucket, order_id) of high fees that name an order.
    """

    __slots__ = (
        "buckets",
        "held_from",
        "high_fees",
        "impressions",
        "last_bucket",
        "newest",
        "oldest",
        "plan",
        "seen",
        "totals",
    )

    def __init__(self, plan: Plan, last_bucket: int, held_buckets: int) -> None:
        self.plan = plan
        self.last_bucket = last_bucket
        self.held_from = last_bucket - held_buckets + 1
        self.newest, self.oldest = 0, NEVER
        self.buckets: dict[int, int] = {}
        self.impressions: dict[int, int] = {}
        self.seen: dict[str, int] = {}
        self.high_fees: list[tuple[int, int, str]] = []
        self.totals: list[int] = [0] * len(plan.windows)

    def add(self, bucket: int, packed: int) -> None:
        """Add packed counts (or a difference of such) to a bucket; what is dropped stays dropped."""
        if bucket < self.held_from:
            return
        buckets = self.buckets
        value = buckets.get(bucket, 0) + packed
        if value:
            buckets[bucket] = value
            if bucket > self.newest:
                self.newest = bucket
            if bucket < self.oldest:
                self.oldest = bucket
        else:
            del buckets[bucket]
            if bucket == self.newest:
                self.newest = max(buckets, default=0)
        last, windows = self.last_bucket, self.plan.windows
        if bucket > last:
            return
        if bucket > last - windows[0]:  # in the shortest window, and so in all
            self.totals = [total + packed for total in self.totals]
            return
        for i, length in enumerate(windows):
            if bucket > last - length:
                self.totals[i] += packed

    def tell_once(self, event_id: str, bucket: int) -> bool:
        """Remember an event without a line for as long as its bucket is held; False if it was told before."""
        if event_id in self.seen:
            return False
        if bucket >= self.held_from:
            self.seen[event_id] = bucket
        return True

    def add_impressions(self, event_id: str, bucket: int, count: int) -> bool:
        """Add impressions to a bucket, unless they were told before."""
        if not self.tell_once(event_id, bucket):
            return False
        if bucket >= self.held_from:
            self.oldest = min(self.oldest, bucket)
            self.impressions[bucket] = min(self.impressions.get(bucket, 0) + count, IMPRESSIONS_MAX)
        return True

    def slide(self, bucket: int, held_buckets: int) -> bool:
        """Let the windows end with `bucket`, a later one than now; True if anything was dropped."""
        last, self.last_bucket = self.last_bucket, bucket
        buckets, totals, windows, oldest = self.buckets, self.totals, self.plan.windows, self.oldest
        if bucket - last >= windows[0]:
            self.retotal()
        else:
            come = 0
            for number in range(last + 1, min(bucket, self.newest) + 1):
                come += buckets.get(number, 0)
            for i, length in enumerate(windows):
                total = totals[i] + come
                if oldest <= bucket - length:
                    for gone in range(max(oldest, last - length + 1), bucket - length + 1):
                        total -= buckets.get(gone, 0)
                totals[i] = total
        first = bucket - held_buckets + 1
        if first <= self.held_from:
            return False
        self.held_from = first
        if first <= oldest:
            return False  # nothing is as old as that
        dropped = self._drop(oldest, first)
        self.oldest = first
        if dropped and windows[-1] > held_buckets:
            # With no policy in force the default's windows serve, which may be longer than what the file's need.
            self.retotal()
        return dropped

    def retotal(self) -> None:
        """Sum the windows anew, and look for the newest and the oldest bucket."""
        self.newest = max(self.buckets, default=0)
        self.oldest = min(min(self.buckets, default=NEVER), min(self.impressions, default=NEVER))
        self.totals = [window_total(self.buckets, self.last_bucket, length) for length in self.plan.windows]

    def _drop(self, since: int, first: int) -> bool:
        """Drop the buckets before `first`, of which none is before `since`; whether there was any."""
        found = False
        for held in (self.buckets, self.impressions):
            # Whichever is fewer: the numbers that are to go, or the buckets that are there.
            candidates = range(since, first) if first - since < len(held) else [b for b in held if b < first]
            for bucket in candidates:
                found = held.pop(bucket, None) is not None or found
        if found:
            self.seen = {event_id: bucket for event_id, bucket in self.seen.items() if bucket >= first}
            self.high_fees = [fee for fee in self.high_fees if fee[1] >= first]
        return found

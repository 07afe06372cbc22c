"""Policies: the thresholds a product is judged by, and which of them is in force when (SPEC section 6).

Pure data. `streams.codecs.policy_file` makes these from a file and is where a bad value is refused with a message.
All durations and times are integer milliseconds; thresholds, ratios and fees are exact decimals.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import quote

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

OUT_OF_STOCK_CANCELLATION_RATE = "out_of_stock_cancellation_rate"
SELLER_FAULT_CANCELLATION_RATE = "seller_fault_cancellation_rate"
UNSHIPPED_OVERDUE_RATE = "unshipped_overdue_rate"
LATE_DISPATCH_RATE = "late_dispatch_rate"
HIGH_SHIPPING_FEE_RATE = "high_shipping_fee_rate"

METRICS = (
    OUT_OF_STOCK_CANCELLATION_RATE,
    SELLER_FAULT_CANCELLATION_RATE,
    UNSHIPPED_OVERDUE_RATE,
    LATE_DISPATCH_RATE,
    HIGH_SHIPPING_FEE_RATE,
)
"""The metrics in the order of SPEC's table, which breaks ties of reasons. An index into it names a metric."""

# Impressions are shown for 28 days (SPEC 8), so buckets are held at least that long whatever the windows are.
SHORTEST_HISTORY_MS = 28 * DAY_MS


@dataclass(frozen=True, slots=True)
class MetricPolicy:
    """How one metric is judged: a row of SPEC's table in section 6.

    `window_ms` is a positive multiple of the bucket width; `0 < at_risk <= impacted <= 1`;
    `n_min >= k_min >= 1`. `severe` allows the step to impacted without waiting for `grace_ms`.
    The URLs are templates for `fill_template`.
    """

    window_ms: int
    n_min: int
    k_min: int
    at_risk: Decimal
    impacted: Decimal
    grace_ms: int
    enabled: bool = True
    severe: bool = True
    review_url: str | None = None
    documentation_url: str | None = None


DEFAULT_METRICS = (
    MetricPolicy(30 * DAY_MS, 20, 3, Decimal("0.025"), Decimal("0.10"), 48 * HOUR_MS),
    MetricPolicy(30 * DAY_MS, 20, 3, Decimal("0.025"), Decimal("0.10"), 48 * HOUR_MS),
    MetricPolicy(7 * DAY_MS, 10, 3, Decimal("0.04"), Decimal("0.10"), 48 * HOUR_MS),
    MetricPolicy(30 * DAY_MS, 20, 3, Decimal("0.04"), Decimal("0.10"), 48 * HOUR_MS),
    MetricPolicy(7 * DAY_MS, 10, 3, Decimal("0.10"), Decimal("0.30"), 7 * DAY_MS, severe=False),
)
"""SPEC's table, in the order of `METRICS`."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One `[[policy]]` of the file: thresholds for the products its selector matches, from a time on.

    `region` and `category` are the selector; None there matches every product. `metrics` is in the order of
    `METRICS`. Ratios are exact; `wilson_z` is a double, as the bound it serves is computed in doubles.
    """

    version: str
    effective_from_ms: int
    region: str | None = None
    category: str | None = None
    exit_ratio: Decimal = Decimal("0.8")
    dwell_ms: int = 3 * DAY_MS
    resolved_for_ms: int = 14 * DAY_MS
    severe_ratio: Decimal = Decimal("3.0")
    severe_k_min: int = 10
    wilson_z: float = 1.2816
    high_fee_ratio: Decimal = Decimal("1.2")
    metrics: tuple[MetricPolicy, ...] = field(default=DEFAULT_METRICS)

    def __post_init__(self) -> None:
        if len(self.metrics) != len(METRICS):
            raise ValueError(f"a policy has {len(METRICS)} metrics, not {len(self.metrics)}")

    @property
    def selector(self) -> tuple[str | None, str | None]:
        """`(region, category)`, None for what is not selected by."""
        return self.region, self.category

    @property
    def precedence(self) -> tuple[int, int]:
        """Of the policies in force that match a product, the one with the greatest precedence wins (SPEC 6).

        The rank of the selector (region+category 3, category 2, region 1, none 0), then the time.
        """
        return 2 * (self.category is not None) + (self.region is not None), self.effective_from_ms


DEFAULT_POLICY = Policy(version="default", effective_from_ms=0)
"""What is in force without a policy file: SPEC's table from 1970 on, for every product."""


class PolicySet:
    """All policies of a file, and the choice among them."""

    __slots__ = ("_cache", "_categories", "_era", "_era_from_ms", "_era_to_ms", "_regions", "_times", "policies")

    policies: tuple[Policy, ...]

    def __init__(self, policies: Iterable[Policy]) -> None:
        """Raises ValueError if two policies have the same effective time and selector, or if there is none."""
        self.policies = tuple(policies)
        if not self.policies:
            raise ValueError("a policy set has at least one policy")
        if len({(policy.effective_from_ms, policy.selector) for policy in self.policies}) != len(self.policies):
            raise ValueError("two policies have the same effective_from and selector")
        self._times = sorted({policy.effective_from_ms for policy in self.policies})
        self._regions = frozenset(policy.region for policy in self.policies)
        self._categories = frozenset(policy.category for policy in self.policies)
        # The choice changes only at an effective time, and only names that some selector has make a difference;
        # so the cache of the present era is bounded by the file, not by what products call themselves.
        self._cache: dict[tuple[str | None, str | None], Policy | None] = {}
        self._era: tuple[Policy, ...] = ()
        self._era_from_ms: int | None = None
        self._era_to_ms: int | None = None

    def select(self, region: str | None, category: str | None, clock_ms: int) -> Policy | None:
        """The policy of a product at clock T (SPEC 6), or None if none that matches it is in force.

        In force is what has `effective_from_ms <= clock_ms`. A product without a region (or category) matches only
        selectors without one.
        """
        if (self._era_from_ms is None or clock_ms < self._era_from_ms) or (
            self._era_to_ms is not None and clock_ms >= self._era_to_ms
        ):
            self._enter_era(clock_ms)
        key = (region if region in self._regions else None, category if category in self._categories else None)
        try:
            return self._cache[key]
        except KeyError:
            matching = [p for p in self._era if p.region in (None, key[0]) and p.category in (None, key[1])]
            chosen = max(matching, key=lambda policy: policy.precedence, default=None)
            self._cache[key] = chosen
            return chosen

    def _enter_era(self, clock_ms: int) -> None:
        """Makes the time between two effective times that holds `clock_ms` the present one."""
        passed = bisect_right(self._times, clock_ms)
        # Before the first effective time there is no beginning: the clock itself stands in for it.
        self._era_from_ms = self._times[passed - 1] if passed else clock_ms
        self._era_to_ms = self._times[passed] if passed < len(self._times) else None
        self._era = tuple(policy for policy in self.policies if policy.effective_from_ms <= clock_ms)
        self._cache = {}

    def effective_times(self, after_ms: int, up_to_ms: int) -> list[int]:
        """The distinct effective times in `(after_ms, up_to_ms]`, ascending: each is a due time (SPEC 5)."""
        return self._times[bisect_right(self._times, after_ms) : bisect_right(self._times, up_to_ms)]

    def next_effective_time(self, after_ms: int) -> int | None:
        """The first effective time later than `after_ms`, or None."""
        index = bisect_right(self._times, after_ms)
        return self._times[index] if index < len(self._times) else None

    @property
    def longest_window_ms(self) -> int:
        """The longest window of any policy of the file, whether enabled or not, and at least 28 days (SPEC 4)."""
        windows = (metric.window_ms for policy in self.policies for metric in policy.metrics)
        return max(SHORTEST_HISTORY_MS, *windows)


_PLACEHOLDER = re.compile(r"\{(product_id|seller_id|region)\}")


def fill_template(template: str | None, *, product_id: str, seller_id: str | None, region: str | None) -> str | None:
    """A review or documentation URL with its placeholders filled in, or None without a template (SPEC 6).

    Replaced once (a value that looks like a placeholder stays as it is), percent-encoded as UTF-8 with nothing but
    RFC 3986's unreserved characters kept, null as empty. Other text in braces is not ours and stays.
    """
    if template is None:
        return None
    values = {"product_id": product_id, "seller_id": seller_id or "", "region": region or ""}
    return _PLACEHOLDER.sub(lambda match: quote(values[match[1]], safe=""), template)

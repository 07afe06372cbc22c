"""Which policy is in force for whom and when, and the defaults (SPEC section 6)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from streams.domain.policy import (
    DAY_MS,
    DEFAULT_METRICS,
    DEFAULT_POLICY,
    HOUR_MS,
    METRICS,
    Policy,
    PolicySet,
    fill_template,
)


def named(version: str, effective_from_ms: int, region: str | None = None, category: str | None = None) -> Policy:
    return Policy(version=version, effective_from_ms=effective_from_ms, region=region, category=category)


def chosen(policies: PolicySet, region: str | None, category: str | None, clock_ms: int) -> str | None:
    policy = policies.select(region, category, clock_ms)
    return None if policy is None else policy.version


def test_the_default_is_the_table_of_the_contract() -> None:
    rows = [
        (m.window_ms // DAY_MS, m.n_min, m.k_min, str(m.at_risk), str(m.impacted), m.grace_ms // HOUR_MS, m.severe)
        for m in DEFAULT_POLICY.metrics
    ]
    assert dict(zip(METRICS, rows, strict=True)) == {
        "out_of_stock_cancellation_rate": (30, 20, 3, "0.025", "0.10", 48, True),
        "seller_fault_cancellation_rate": (30, 20, 3, "0.025", "0.10", 48, True),
        "unshipped_overdue_rate": (7, 10, 3, "0.04", "0.10", 48, True),
        "late_dispatch_rate": (30, 20, 3, "0.04", "0.10", 48, True),
        "high_shipping_fee_rate": (7, 10, 3, "0.10", "0.30", 168, False),
    }
    assert all(m.enabled and m.review_url is None and m.documentation_url is None for m in DEFAULT_POLICY.metrics)
    assert (DEFAULT_POLICY.version, DEFAULT_POLICY.effective_from_ms) == ("default", 0)
    assert (DEFAULT_POLICY.exit_ratio, DEFAULT_POLICY.severe_ratio) == (Decimal("0.8"), Decimal("3"))
    assert (DEFAULT_POLICY.dwell_ms, DEFAULT_POLICY.resolved_for_ms) == (3 * DAY_MS, 14 * DAY_MS)
    assert (DEFAULT_POLICY.severe_k_min, DEFAULT_POLICY.wilson_z) == (10, 1.2816)
    assert DEFAULT_POLICY.high_fee_ratio == Decimal("1.2")


def test_the_most_specific_selector_wins_then_the_latest() -> None:
    policies = PolicySet(
        [
            named("old", 0),
            named("new", 50),
            named("us", 0, region="US"),
            named("toys", 0, category="toys"),
            named("us-toys", 0, region="US", category="toys"),
            named("us-toys-2", 100, region="US", category="toys"),
        ]
    )
    assert chosen(policies, "US", "toys", 99) == "us-toys"
    assert chosen(policies, "US", "toys", 100) == "us-toys-2"
    assert chosen(policies, "EU", "toys", 100) == "toys"
    assert chosen(policies, "US", "books", 100) == "us"
    assert chosen(policies, "EU", "books", 49) == "old"
    assert chosen(policies, "EU", "books", 50) == "new"


def test_what_is_not_known_of_a_product_matches_no_selector() -> None:
    policies = PolicySet([named("us", 0, region="US"), named("blank", 0, region=""), named("toys", 0, category="toys")])
    assert chosen(policies, None, None, 0) is None
    assert chosen(policies, "", None, 0) == "blank"
    assert chosen(policies, None, "toys", 0) == "toys"
    assert chosen(policies, "US", None, 0) == "us"


def test_a_more_specific_policy_that_is_not_in_force_yet_does_not_hide_another() -> None:
    policies = PolicySet([named("all", 0), named("us", 100, region="US")])
    assert chosen(policies, "US", None, 99) == "all"


def test_before_the_first_effective_time_nothing_is_in_force() -> None:
    policies = PolicySet([named("first", 1000)])
    assert chosen(policies, None, None, 999) is None
    assert chosen(policies, None, None, 1000) == "first"
    # Partitions of one process share the set, and their clocks differ.
    assert chosen(policies, None, None, 5) is None
    assert chosen(policies, None, None, 7) is None
    assert chosen(policies, None, None, 2000) == "first"


def test_the_choice_does_not_depend_on_what_was_asked_before() -> None:
    policies = [named(f"v{i}", i * 10, region=r) for i in range(5) for r in (None, "US")]
    asked = PolicySet(policies)
    for clock_ms in (45, 0, 20, 19, 20, 41, 9, 30):
        for region in ("US", "EU", None):
            assert asked.select(region, None, clock_ms) is PolicySet(policies).select(region, None, clock_ms)


def test_the_memory_of_choices_is_bounded_by_the_file() -> None:
    policies = PolicySet([named("all", 0), named("us", 0, region="US")])
    for i in range(10_000):
        policies.select(f"region {i}", f"category {i}", 5)
    assert len(policies._cache) <= 2


def test_effective_times_are_distinct_ascending_and_leave_out_the_beginning() -> None:
    policies = PolicySet([named("a", 30), named("b", 10), named("c", 30, region="US"), named("d", 20)])
    assert policies.effective_times(10, 30) == [20, 30]
    assert policies.effective_times(9, 10) == [10]
    assert policies.effective_times(30, 99) == []
    assert policies.next_effective_time(0) == 10
    assert policies.next_effective_time(10) == 20
    assert policies.next_effective_time(30) is None


def test_the_longest_window_is_at_least_28_days() -> None:
    short = tuple(replace(metric, window_ms=DAY_MS) for metric in DEFAULT_METRICS)
    long = (*short[:4], replace(short[4], window_ms=60 * DAY_MS, enabled=False))
    assert PolicySet([replace(DEFAULT_POLICY, metrics=short)]).longest_window_ms == 28 * DAY_MS
    assert PolicySet([DEFAULT_POLICY]).longest_window_ms == 30 * DAY_MS
    later = replace(DEFAULT_POLICY, effective_from_ms=10**12, metrics=long)
    assert PolicySet([DEFAULT_POLICY, later]).longest_window_ms == 60 * DAY_MS


def test_a_set_refuses_two_policies_for_the_same_products_and_time() -> None:
    with pytest.raises(ValueError, match="same effective_from"):
        PolicySet([named("a", 0, region="US"), named("b", 0, region="US")])
    with pytest.raises(ValueError, match="at least one"):
        PolicySet([])
    with pytest.raises(ValueError, match="5 metrics"):
        replace(DEFAULT_POLICY, metrics=DEFAULT_METRICS[:4])


def test_a_template_is_filled_once_and_percent_encoded() -> None:
    filled = fill_template(
        "https://x/{product_id}/{seller_id}?r={region}&{other}={}",
        product_id="{region}/é ",
        seller_id=None,
        region="U&S",
    )
    assert filled == "https://x/%7Bregion%7D%2F%C3%A9%20/?r=U%26S&{other}={}"
    assert fill_template(None, product_id="P", seller_id="S", region=None) is None

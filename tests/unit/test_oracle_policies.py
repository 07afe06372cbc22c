"""The oracle under policies of every kind, by hand from the contract."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.oracle.histories import DAY, FAULT, HOUR, MINUTE, STOCK, T0, History, policy, summary, values


def test_a_policy_that_opens_the_gate_flags_at_its_effective_from() -> None:
    history = History()
    history.three_of_twenty_cancelled()
    strict = {STOCK: {"review_url": "https://r/{product_id}/{seller_id}?q={region}"}, FAULT: {"enabled": False}}
    policies = [
        policy("lax", "2026-01-01T00:00:00Z", metrics={STOCK: {"n_min": 50}, FAULT: {"n_min": 50}}),
        policy("strict", "2026-03-02T12:00:00.500Z", region="US", metrics=strict),
        policy("elsewhere", "2026-03-02T05:00:00Z", region="EU"),
    ]
    (only,) = values(history.run(until="2026-03-03T00:00:00Z", policies=policies))
    assert (only["cause"], only["policy_version"]) == ("policy_changed", "strict")
    assert only["effective_at"] == "2026-03-02T12:00:00.500Z"
    assert [reason["metric"] for reason in only["reasons"]] == [STOCK]
    assert only["reasons"][0]["review_url"] == "https://r/P1/S1?q=US"


def test_a_disabled_metric_falls_at_once_and_a_laxer_threshold_after_dwell() -> None:
    history = History()
    history.three_of_twenty_cancelled()
    laxer = {STOCK: {"at_risk": Decimal("0.2"), "impacted": Decimal("0.5")}, FAULT: {"enabled": False}}
    policies = [
        policy("one", "2026-01-01T00:00:00Z"),
        policy("two", "2026-03-03T00:00:00Z", dwell_ms=2 * DAY, metrics=laxer),
    ]
    oracle = history.run(until="2026-03-06T00:00:00Z", policies=policies)
    # 0.15 is below 0.8 x 0.2 = 0.16 from 03-03 on; n = 20 is enough, so it recovered.
    assert summary(oracle)[1:] == [
        (2, "2026-03-03T00:00:00.000Z", "at_risk -> at_risk", "policy_changed", f"{STOCK} at_risk"),
        (3, "2026-03-05T00:00:00.000Z", "at_risk -> resolved", "recovered", ""),
    ]
    second = values(oracle)[1]
    assert second["change"] == "reasons_changed"
    assert second["previous_reasons"] == [{"metric": STOCK, "level": "at_risk"}, {"metric": FAULT, "level": "at_risk"}]
    assert second["reasons"][0]["exit_threshold"] == 0.16


def test_before_any_policy_every_gate_is_shut() -> None:
    history = History()
    history.three_of_twenty_cancelled()
    policies = [policy("first", "2026-03-02T06:00:00Z")]
    assert history.run(policies=policies).transitions == []
    (only,) = values(history.run(until="2026-03-02T06:00:00Z", policies=policies))
    assert (only["effective_at"], only["cause"]) == ("2026-03-02T06:00:00.000Z", "policy_changed")


@pytest.mark.parametrize(
    ("region", "category", "expected"),
    [("US", "toys", "both"), ("EU", "toys", "category"), ("US", "books", "region"), ("EU", None, "late")],
)
def test_the_most_specific_policy_then_the_latest(region: str, category: str | None, expected: str) -> None:
    history = History()
    for i in range(1, 21):
        history.placed(f"O{i:02d}", T0 + i * MINUTE, region=region, category=category)
    for i in range(3):
        history.cancelled(f"O{i + 1:02d}", T0 + HOUR + i * MINUTE)
    policies = [
        policy("both", "2026-01-01T00:00:00Z", region="US", category="toys"),
        policy("category", "2026-01-02T00:00:00Z", category="toys"),
        policy("region", "2026-01-03T00:00:00Z", region="US"),
        policy("late", "2026-01-05T00:00:00Z"),
        policy("early", "2026-01-04T00:00:00Z"),
    ]
    assert [value["policy_version"] for value in values(history.run(policies=policies))] == [expected]

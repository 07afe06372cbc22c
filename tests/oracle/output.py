"""The value of a `flag-status-changed` record, to the byte (SPEC section 8)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from urllib.parse import quote

from tests.oracle.levels import RANK, Outcome
from tests.oracle.policies import METRIC_NAMES, MetricRules, Policy
from tests.oracle.products import Product

EVENT_TYPE = "flagged-products.flag-status-changed.v1"
EVIDENCE_MAX = 20
MESSAGES = {
    "out_of_stock_cancellation_rate": "{k} of {n} lines placed were cancelled as out of stock",
    "seller_fault_cancellation_rate": "{k} of {n} lines placed were cancelled by the seller's fault",
    "unshipped_overdue_rate": "{k} of {n} lines due are unshipped past their ship-by time",
    "late_dispatch_rate": "{k} of {n} lines due were dispatched late or not at all",
    "high_shipping_fee_rate": "{k} of {n} shipping fees were above the tariff",
}


def time_text(at_ms: int) -> str:
    """A time as `2026-03-02T18:59:30.000Z`."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def rounded(value: Fraction) -> float:
    """The exact value rounded half-even to 4 places; a bound a hair below zero becomes plain 0.0."""
    return float(Fraction(round(value * 10_000), 10_000))


def expand(template: str | None, product: Product) -> str | None:
    """A URL from its template, in one pass, so that a placeholder inside an id is left alone."""
    if template is None:
        return None
    values = {
        "{product_id}": product.product_id,
        "{seller_id}": product.attribute("seller_id") or "",
        "{region}": product.attribute("region") or "",
    }
    return re.sub(r"\{(?:product_id|seller_id|region)\}", lambda found: quote(values[found[0]], safe=""), template)


def reason(product: Product, rules: MetricRules, policy: Policy, outcome: Outcome, clock_ms: int) -> dict[str, Any]:
    """One entry of `reasons`; `primary` is set by the caller, who knows the order."""
    horizon = product.horizon
    track = product.standing.tracks[rules.name]
    now = outcome.numbers[rules.name]
    threshold = rules.impacted if track.level == "impacted" else rules.at_risk
    evidence = product.evidence(rules, clock_ms)
    return {
        "metric": rules.name,
        "level": track.level,
        "primary": False,
        "since": time_text(track.since_ms),
        "numerator": now.k,
        "denominator": now.n,
        "rate": rounded(now.rate),
        "lower_bound": rounded(Fraction(now.lower)),
        "at_risk_threshold": float(rules.at_risk),
        "impacted_threshold": float(rules.impacted),
        "exit_threshold": rounded(policy.exit_ratio * threshold),
        "window_from": time_text(horizon.first_bucket(rules.window_ms, clock_ms) * horizon.bucket_ms),
        "window_to": time_text(clock_ms),
        "message": MESSAGES[rules.name].format(k=now.k, n=now.n),
        "evidence": [
            {"order_id": order_id, "line_id": line_id, "at": time_text(at_ms)}
            for at_ms, order_id, line_id in evidence[:EVIDENCE_MAX]
        ],
        "evidence_total": len(evidence),
        "review_url": expand(rules.review_url, product),
        "documentation_url": expand(rules.documentation_url, product),
    }


def reasons(product: Product, policy: Policy, outcome: Outcome, clock_ms: int) -> list[dict[str, Any]]:
    """The metrics that have a level, in the order of SPEC section 7."""

    def order(rules: MetricRules) -> tuple[int, Fraction, int]:
        level = product.standing.tracks[rules.name].level
        threshold = rules.impacted if level == "impacted" else rules.at_risk
        return -RANK[level], -outcome.numbers[rules.name].rate / threshold, METRIC_NAMES.index(rules.name)

    flagged = [rules for rules in policy.metrics if product.standing.tracks[rules.name].level != "none"]
    entries = [reason(product, rules, policy, outcome, clock_ms) for rules in sorted(flagged, key=order)]
    for index, entry in enumerate(entries):
        entry["primary"] = index == 0
    return entries


def transition(product: Product, policy: Policy, outcome: Outcome, clock_ms: int) -> bytes:
    """The value of the transition just made; `product.sequence` is its sequence already."""
    standing = product.standing
    value = {
        "event_id": f"{product.product_id}:{product.sequence}",
        "type": EVENT_TYPE,
        "product_id": product.product_id,
        "seller_id": product.attribute("seller_id"),
        "region": product.attribute("region"),
        "category": product.attribute("category"),
        "sequence": product.sequence,
        "change": "reasons_changed" if standing.status == outcome.previous_status else "status_changed",
        "previous_status": outcome.previous_status,
        "current_status": standing.status,
        "cause": outcome.cause,
        "effective_at": time_text(clock_ms),
        "policy_version": policy.version,
        "relapse_count": standing.relapse_count,
        "reasons": reasons(product, policy, outcome, clock_ms),
        "previous_reasons": [{"metric": name, "level": level} for name, level in outcome.previous_levels],
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

"""Output events as bytes: the same values give the same bytes, whoever writes them and when (SPEC section 8)."""

from __future__ import annotations

from typing import Any

import orjson

from streams.codecs.time_format import format_rfc3339
from streams.domain.transitions import Reason, Snapshot, Transition

TRANSITION_TYPE = "flagged-products.flag-status-changed.v1"
SNAPSHOT_TYPE = "flagged-products.flag-status.v1"

Header = tuple[str, bytes]


def event_id_of(product_id: str, sequence: int) -> str:
    """The id of a product's transition: all copies of it have the same."""
    return f"{product_id}:{sequence}"


def encode_transition(transition: Transition) -> bytes:
    """The value of a flag-status-changed event: compact JSON, keys in SPEC 8's order."""
    return orjson.dumps(
        {
            "event_id": event_id_of(transition.product_id, transition.sequence),
            "type": TRANSITION_TYPE,
            "product_id": transition.product_id,
            "seller_id": transition.seller_id,
            "region": transition.region,
            "category": transition.category,
            "sequence": transition.sequence,
            "change": transition.change,
            "previous_status": transition.previous_status,
            "current_status": transition.current_status,
            "cause": transition.cause,
            "effective_at": format_rfc3339(transition.effective_at),
            "policy_version": transition.policy_version,
            "relapse_count": transition.relapse_count,
            "reasons": [_reason(reason) for reason in transition.reasons],
            "previous_reasons": [{"metric": metric, "level": level} for metric, level in transition.previous_reasons],
        }
    )


def transition_headers(product_id: str, sequence: int, effective_at: int, source: str) -> tuple[Header, ...]:
    """CloudEvents 1.0 binary mode; `effective_at` in ms."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id_of(product_id, sequence).encode()),
        ("ce_type", TRANSITION_TYPE.encode()),
        ("ce_source", source.encode()),
        ("ce_subject", product_id.encode()),
        ("ce_time", format_rfc3339(effective_at).encode()),
        ("content-type", b"application/json"),
    )


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """The value of a flag-status record: the event's object as of now, with all metrics and impressions."""
    return orjson.dumps(
        {
            "event_id": event_id_of(snapshot.product_id, snapshot.sequence),
            "type": SNAPSHOT_TYPE,
            "product_id": snapshot.product_id,
            "seller_id": snapshot.seller_id,
            "region": snapshot.region,
            "category": snapshot.category,
            "sequence": snapshot.sequence,
            "current_status": snapshot.current_status,
            "effective_at": format_rfc3339(snapshot.effective_at),
            "policy_version": snapshot.policy_version,
            "relapse_count": snapshot.relapse_count,
            "reasons": [_reason(reason) for reason in snapshot.reasons],
            "metrics": {
                numbers.metric: {
                    "numerator": numbers.numerator,
                    "denominator": numbers.denominator,
                    "rate": numbers.rate,
                    "lower_bound": numbers.lower_bound,
                    "level": numbers.level,
                }
                for numbers in snapshot.metrics
            },
            "impressions": [{"date": format_rfc3339(day)[:10], "count": count} for day, count in snapshot.impressions],
            "updated_at": format_rfc3339(snapshot.updated_at),
        }
    )


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "metric": reason.metric,
        "level": reason.level,
        "primary": reason.primary,
        "since": format_rfc3339(reason.since),
        "numerator": reason.numerator,
        "denominator": reason.denominator,
        "rate": reason.rate,
        "lower_bound": reason.lower_bound,
        "at_risk_threshold": reason.at_risk_threshold,
        "impacted_threshold": reason.impacted_threshold,
        "exit_threshold": reason.exit_threshold,
        "window_from": format_rfc3339(reason.window_from),
        "window_to": format_rfc3339(reason.window_to),
        "message": reason.message,
        "evidence": [
            {"order_id": item.order_id, "line_id": item.line_id, "at": format_rfc3339(item.at)}
            for item in reason.evidence
        ],
        "evidence_total": reason.evidence_total,
        "review_url": reason.review_url,
        "documentation_url": reason.documentation_url,
    }

"""Records of the two topics as rows of the tables (SPEC section 8)."""

from __future__ import annotations

from typing import Any

from streams.codecs.output_views import (
    ReasonView,
    SnapshotView,
    TransitionView,
    decode_snapshot,
    decode_transition,
)
from streams.codecs.times import time_ms
from streams.domain.events import TEXT_LENGTH_MAX
from streams.domain.policy import METRICS
from streams.domain.transitions import STATUS_NAMES

Row = dict[str, Any]

# Statuses by how much they hurt; further apart than any ratio is large.
_RANK = {"clear": 0, "resolved": 1, "at_risk": 2, "impacted": 3}
_RANK_STEP = 1_000.0
_GREATEST = 2**63 - 1
_METRIC_BITS = {metric: 1 << index for index, metric in enumerate(METRICS)}


def metric_bit(metric: str) -> int:
    """The bit of a metric in the column `reasons`; 0 for one that is not known here."""
    return _METRIC_BITS.get(metric, 0)


def product_row(key: bytes | None, value: bytes) -> Row | None:
    """The row of a snapshot; None for a record that is none."""
    snapshot = decode_snapshot(value)
    if snapshot is None or not _fits(snapshot, key):
        return None
    try:
        time_ms(snapshot.updated_at)
        return {
            "product_id": snapshot.product_id,
            "seller_id": snapshot.seller_id,
            "region": snapshot.region,
            "category": snapshot.category,
            "status": STATUS_NAMES.index(snapshot.current_status),
            "reasons": sum(metric_bit(reason.metric) for reason in snapshot.reasons),
            "severity": severity(snapshot),
            "effective_at": time_ms(snapshot.effective_at),
            "search": searchable(f"{snapshot.product_id}\n{snapshot.seller_id or ''}"),
            "sequence": snapshot.sequence,
            "body": value,
        }
    except ValueError:
        return None


def transition_row(key: bytes | None, value: bytes) -> Row | None:
    """The row of a transition; None for a record that is none."""
    transition = decode_transition(value)
    if transition is None or not _fits(transition, key):
        return None
    try:
        return {
            "product_id": transition.product_id,
            "sequence": transition.sequence,
            "seller_id": transition.seller_id,
            "previous_status": STATUS_NAMES.index(transition.previous_status),
            "status": STATUS_NAMES.index(transition.current_status),
            "effective_at": time_ms(transition.effective_at),
            "body": value,
        }
    except ValueError:
        return None


def _fits(record: SnapshotView | TransitionView, key: bytes | None) -> bool:
    """Whether it is one of ours. What no column takes would come back for ever, and nothing behind it be read."""
    texts = (record.product_id, record.seller_id, record.region, record.category)
    return (
        record.product_id == key_text(key)
        and 0 <= record.sequence <= _GREATEST
        and all(text is None or len(text) <= TEXT_LENGTH_MAX for text in texts)
    )


def key_text(key: bytes | None) -> str | None:
    """The product that a record's key names; None if it names none."""
    try:
        return None if key is None else key.decode()
    except UnicodeDecodeError:
        return None


def searchable(text: str) -> str:
    """Text as it is searched in and for: whatever the case it is written in."""
    return text.casefold()


def severity(snapshot: SnapshotView) -> float:
    """How bad it is: by status, and within one by how far the primary reason is above the threshold of its level."""
    worst = min(_excess(snapshot.reasons[0]), _RANK_STEP - 1) if snapshot.reasons else 0.0
    return _RANK[snapshot.current_status] * _RANK_STEP + worst


def _excess(reason: ReasonView) -> float:
    threshold = reason.impacted_threshold if reason.level == "impacted" else reason.at_risk_threshold
    return reason.rate / threshold if threshold > 0 else 0.0

"""What the workers publish, as read back: transitions and snapshots (SPEC section 8)."""

from __future__ import annotations

import msgspec


class EvidenceView(msgspec.Struct, frozen=True):
    """One line, or fee, that counts in a reason's numerator."""

    order_id: str
    at: str
    line_id: str | None = None


class ReasonView(msgspec.Struct, frozen=True):
    """A metric that has a level; times are RFC 3339, rates and thresholds fractions of 1."""

    metric: str
    level: str
    since: str
    numerator: int
    denominator: int
    rate: float
    lower_bound: float
    at_risk_threshold: float
    impacted_threshold: float
    exit_threshold: float
    window_from: str
    window_to: str
    message: str
    evidence: list[EvidenceView]
    evidence_total: int
    review_url: str | None = None
    documentation_url: str | None = None
    primary: bool = False


class PreviousReasonView(msgspec.Struct, frozen=True):
    """A metric that had a level before a transition."""

    metric: str
    level: str


class TransitionView(msgspec.Struct, frozen=True):
    """A flag-status-changed event."""

    event_id: str
    product_id: str
    sequence: int
    change: str
    previous_status: str
    current_status: str
    cause: str
    effective_at: str
    reasons: list[ReasonView]
    previous_reasons: list[PreviousReasonView]
    seller_id: str | None = None
    region: str | None = None
    category: str | None = None
    policy_version: str | None = None
    relapse_count: int = 0


class MetricView(msgspec.Struct, frozen=True):
    """The present numbers of a metric."""

    numerator: int
    denominator: int
    rate: float
    lower_bound: float
    level: str


class ImpressionsView(msgspec.Struct, frozen=True):
    """The impressions of a UTC day (`2026-01-05`)."""

    date: str
    count: int


class SnapshotView(msgspec.Struct, frozen=True):
    """A flag-status record: a flagged product as of `updated_at`."""

    product_id: str
    sequence: int
    current_status: str
    effective_at: str
    relapse_count: int
    reasons: list[ReasonView]
    metrics: dict[str, MetricView]
    impressions: list[ImpressionsView]
    updated_at: str
    seller_id: str | None = None
    region: str | None = None
    category: str | None = None
    policy_version: str | None = None


_transition_decoder = msgspec.json.Decoder(TransitionView)
_snapshot_decoder = msgspec.json.Decoder(SnapshotView)


def decode_transition(value: bytes) -> TransitionView | None:
    """The transition in a record's value; None if it is none."""
    try:
        return _transition_decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def decode_snapshot(value: bytes) -> SnapshotView | None:
    """The snapshot in a record's value; None if it is none."""
    try:
        return _snapshot_decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None

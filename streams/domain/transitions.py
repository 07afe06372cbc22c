"""What the core says of a product: its transitions, and its snapshot (SPEC sections 7 and 8). Values only."""

from __future__ import annotations

from dataclasses import dataclass

# Statuses; the index is part of the row format.
CLEAR, AT_RISK, IMPACTED, RESOLVED = range(4)
STATUS_NAMES = ("clear", "at_risk", "impacted", "resolved")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One line (or fee, then `line_id` is None) that counts in a metric's numerator; `at` in ms."""

    order_id: str
    line_id: str | None
    at: int


@dataclass(frozen=True, slots=True)
class Reason:
    """A metric that has a level, with its numbers; rates and thresholds rounded as SPEC 6 says, times in ms."""

    metric: str
    level: str
    primary: bool
    since: int
    numerator: int
    denominator: int
    rate: float
    lower_bound: float
    at_risk_threshold: float
    impacted_threshold: float
    exit_threshold: float
    window_from: int
    window_to: int
    message: str
    evidence: tuple[Evidence, ...]
    evidence_total: int
    review_url: str | None
    documentation_url: str | None


@dataclass(frozen=True, slots=True)
class Transition:
    """One move of a product's status, or of its reasons at the same status."""

    product_id: str
    seller_id: str | None
    region: str | None
    category: str | None
    sequence: int
    change: str
    previous_status: str
    current_status: str
    cause: str
    effective_at: int
    policy_version: str | None
    relapse_count: int
    reasons: tuple[Reason, ...]
    previous_reasons: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class MetricNumbers:
    """The present numbers of one metric, whatever its level."""

    metric: str
    numerator: int
    denominator: int
    rate: float
    lower_bound: float
    level: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A flagged product as of `updated_at` (ms); `impressions` are (first ms of the UTC day, total), oldest first."""

    product_id: str
    seller_id: str | None
    region: str | None
    category: str | None
    sequence: int
    current_status: str
    effective_at: int
    policy_version: str | None
    relapse_count: int
    reasons: tuple[Reason, ...]
    metrics: tuple[MetricNumbers, ...]
    impressions: tuple[tuple[int, int], ...]
    updated_at: int

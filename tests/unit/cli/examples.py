"""Transitions and snapshots as the workers write them, for tests that show them."""

from __future__ import annotations

from streams.codecs.output_views import SnapshotView, TransitionView, decode_snapshot, decode_transition
from streams.codecs.outputs import encode_snapshot, encode_transition
from streams.domain.policy import METRICS
from streams.domain.transitions import Evidence, MetricNumbers, Reason, Snapshot, Transition
from streams.settings import DAY_MS, HOUR_MS

START_MS = 1_767_571_200_000  # 2026-01-05T00:00:00Z


def reason(metric: str = "unshipped_overdue_rate", level: str = "at_risk", **changes: object) -> Reason:
    fields: dict[str, object] = {
        "metric": metric,
        "level": level,
        "primary": True,
        "since": START_MS,
        "numerator": 5,
        "denominator": 40,
        "rate": 0.125,
        "lower_bound": 0.0725,
        "at_risk_threshold": 0.04,
        "impacted_threshold": 0.1,
        "exit_threshold": 0.08,
        "window_from": START_MS,
        "window_to": START_MS + DAY_MS,
        "message": "5 of 40 lines due are unshipped past their ship-by time",
        "evidence": tuple(Evidence(f"O{number}", "1", START_MS) for number in range(5)),
        "evidence_total": 5,
        "review_url": None,
        "documentation_url": None,
    }
    return Reason(**(fields | changes))  # type: ignore[arg-type]


def transition_value(
    previous: str,
    current: str,
    *,
    product_id: str = "P1",
    seller_id: str | None = "S1",
    sequence: int = 1,
    at_ms: int = START_MS,
    cause: str = "threshold_breach",
    reasons: tuple[Reason, ...] | None = None,
) -> bytes:
    """The value of a transition's record; with a reason of the status's level by default."""
    if reasons is None:
        reasons = (reason(level=current),) if current in ("at_risk", "impacted") else ()
    before = (("unshipped_overdue_rate", previous),) if previous in ("at_risk", "impacted") else ()
    return encode_transition(
        Transition(
            product_id=product_id,
            seller_id=seller_id,
            region="US",
            category=None,
            sequence=sequence,
            change="reasons_changed" if previous == current else "status_changed",
            previous_status=previous,
            current_status=current,
            cause=cause,
            effective_at=at_ms,
            policy_version="default",
            relapse_count=0,
            reasons=reasons,
            previous_reasons=before,
        )
    )


def transition(previous: str, current: str, **options: object) -> TransitionView:
    decoded = decode_transition(transition_value(previous, current, **options))  # type: ignore[arg-type]
    assert decoded is not None
    return decoded


def way(product_id: str, *statuses: str) -> list[TransitionView]:
    """A product's transitions from clear through these statuses, an hour apart."""
    found = []
    previous = "clear"
    for number, status in enumerate(statuses, 1):
        at_ms = START_MS + number * HOUR_MS
        found.append(transition(previous, status, product_id=product_id, sequence=number, at_ms=at_ms))
        previous = status
    return found


def snapshot_value(product_id: str = "P1", status: str = "impacted", **changes: object) -> bytes:
    level = status if status in ("at_risk", "impacted") else "none"
    fields: dict[str, object] = {
        "product_id": product_id,
        "seller_id": "S1",
        "region": "US",
        "category": None,
        "sequence": 2,
        "current_status": status,
        "effective_at": START_MS,
        "policy_version": "us-2026-03",
        "relapse_count": 0,
        "reasons": (reason(level=status),) if level != "none" else (),
        "metrics": tuple(
            MetricNumbers(metric, 5, 40, 0.125, 0.0725, level if metric == "unshipped_overdue_rate" else "none")
            for metric in METRICS
        ),
        "impressions": tuple((START_MS + day * DAY_MS, 100 + day) for day in range(28) if day != 3),
        "updated_at": START_MS + 28 * DAY_MS,
    }
    return encode_snapshot(Snapshot(**(fields | changes)))  # type: ignore[arg-type]


def snapshot(product_id: str = "P1", status: str = "impacted", **changes: object) -> SnapshotView:
    decoded = decode_snapshot(snapshot_value(product_id, status, **changes))
    assert decoded is not None
    return decoded

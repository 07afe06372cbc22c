"""Invented outputs of the workers: transitions and snapshots of products, for those who read them.

They have the form of real ones and are consistent in themselves, though no events stand behind them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from streams.codecs.outputs import encode_snapshot, encode_transition, transition_headers
from streams.domain.policy import DAY_MS, DEFAULT_METRICS, METRICS, fill_template
from streams.domain.transitions import STATUS_NAMES, Evidence, MetricNumbers, Reason, Snapshot, Transition

START_MS = 1_772_496_000_000
"""2026-03-03T00:00:00Z: when the invented products begin."""

_NEXT = {
    "clear": ("at_risk", "at_risk", "impacted"),
    "at_risk": ("impacted", "resolved", "at_risk"),
    "impacted": ("at_risk", "at_risk", "impacted"),
    "resolved": ("clear", "at_risk"),
}
_REGIONS = ("US", "US", "DE", "UK", None)
_EVIDENCE_SHOWN = 20
_REVIEW_URL = "https://seller.example/review?product={product_id}"


@dataclass(frozen=True, slots=True)
class Output:
    """A transition, and the product's record on the snapshots' topic after it (None: a tombstone), as values."""

    product_id: str
    transition: bytes
    headers: tuple[tuple[str, bytes], ...]
    snapshot: bytes | None
    status: str
    sequence: int
    at_ms: int


def product_outputs(product_id: str, seller_id: str | None, seed: int, moves: int) -> Iterator[Output]:
    """A product's way through `moves` transitions; the same arguments give the same bytes."""
    dice = Random(f"{product_id} {seed}")
    region = dice.choice(_REGIONS)
    status, at_ms = "clear", START_MS + dice.randrange(20 * DAY_MS)
    levels: dict[int, str] = {}
    for sequence in range(1, moves + 1):
        at_ms += 1 + dice.randrange(4 * DAY_MS)
        previous, before = status, levels
        status = dice.choice(_NEXT[previous])
        levels = _levels(status, before, dice)
        reasons = _reasons(product_id, seller_id, region, levels, at_ms, dice)
        changed = "status_changed" if status != previous else "reasons_changed"
        transition = Transition(
            product_id=product_id,
            seller_id=seller_id,
            region=region,
            category=None,
            sequence=sequence,
            change=changed,
            previous_status=previous,
            current_status=status,
            cause="threshold_breach" if len(levels) >= len(before) else "recovered",
            effective_at=at_ms,
            policy_version="default",
            relapse_count=0,
            reasons=reasons,
            previous_reasons=tuple((METRICS[index], before[index]) for index in sorted(before)),
        )
        snapshot = None if status == "clear" else _snapshot(transition, dice)
        yield Output(
            product_id,
            encode_transition(transition),
            transition_headers(product_id, sequence, at_ms, "/flagged-products"),
            None if snapshot is None else encode_snapshot(snapshot),
            status,
            sequence,
            at_ms,
        )


def _levels(status: str, before: dict[int, str], dice: Random) -> dict[int, str]:
    if status in ("clear", "resolved"):
        return {}
    worst = dice.randrange(len(METRICS))
    levels = {worst: status}
    other = (worst + 1 + dice.randrange(len(METRICS) - 1)) % len(METRICS)
    if levels == before or dice.random() < 0.3:
        levels[other] = "at_risk"
    return levels


def _reasons(
    product_id: str, seller_id: str | None, region: str | None, levels: dict[int, str], at_ms: int, dice: Random
) -> tuple[Reason, ...]:
    ordered = sorted(levels, key=lambda index: (levels[index] != "impacted", index))
    reasons = []
    for index in ordered:
        rule = DEFAULT_METRICS[index]
        threshold = rule.impacted if levels[index] == "impacted" else rule.at_risk
        n = dice.randrange(rule.n_min, 400)
        k = max(rule.k_min, min(n, int(n * threshold * Decimal(1 + dice.random())) + 1))
        evidence = tuple(
            Evidence(f"O{product_id}-{number}", "1", at_ms - 1 - number * 3_600_000)
            for number in range(min(k, _EVIDENCE_SHOWN))
        )
        reasons.append(
            Reason(
                metric=METRICS[index],
                level=levels[index],
                primary=index == ordered[0],
                since=at_ms - dice.randrange(DAY_MS),
                numerator=k,
                denominator=n,
                rate=round(k / n, 4),
                lower_bound=round(k / n * 0.7, 4),
                at_risk_threshold=float(rule.at_risk),
                impacted_threshold=float(rule.impacted),
                exit_threshold=float(threshold * Decimal("0.8")),
                window_from=at_ms - rule.window_ms,
                window_to=at_ms,
                message=f"{k} of {n}",
                evidence=evidence,
                evidence_total=k,
                review_url=fill_template(_REVIEW_URL, product_id=product_id, seller_id=seller_id, region=region),
                documentation_url=None,
            )
        )
    return tuple(reasons)


def _snapshot(transition: Transition, dice: Random) -> Snapshot:
    by_metric = {reason.metric: reason for reason in transition.reasons}
    numbers = []
    for metric in METRICS:
        reason = by_metric.get(metric)
        if reason is None:
            numbers.append(MetricNumbers(metric, 0, dice.randrange(400), 0.0, 0.0, "none"))
        else:
            counts = (reason.numerator, reason.denominator, reason.rate, reason.lower_bound)
            numbers.append(MetricNumbers(metric, *counts, reason.level))
    today = transition.effective_at // DAY_MS * DAY_MS
    days = range(today - 27 * DAY_MS, today + DAY_MS, DAY_MS)
    assert transition.current_status in STATUS_NAMES
    return Snapshot(
        product_id=transition.product_id,
        seller_id=transition.seller_id,
        region=transition.region,
        category=transition.category,
        sequence=transition.sequence,
        current_status=transition.current_status,
        effective_at=transition.effective_at,
        policy_version=transition.policy_version,
        relapse_count=transition.relapse_count,
        reasons=transition.reasons,
        metrics=tuple(numbers),
        impressions=tuple((day, dice.randrange(1, 5_000)) for day in days if dice.random() < 0.9),
        updated_at=transition.effective_at,
    )

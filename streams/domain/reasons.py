"""The reasons behind a status, with numbers and evidence, and the snapshot of a product (SPEC section 8)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from heapq import nsmallest

from streams.domain.buckets import FIELD_MASK
from streams.domain.counters import IMPRESSIONS_MAX
from streams.domain.levels import IMPACTED, LEVEL_NAMES, NONE
from streams.domain.policy import DAY_MS, METRICS, fill_template
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook
from streams.domain.rules import MESSAGES, MetricRule, rounded, rounded_rate, wilson_lower
from streams.domain.transitions import STATUS_NAMES, Evidence, MetricNumbers, Reason, Snapshot

EVIDENCE_LIMIT = 20
IMPRESSION_DAYS = 28
_FEES = METRICS.index("high_shipping_fee_rate")
_OVERDUE = METRICS.index("unshipped_overdue_rate")


def reasons_of(product: Product, book: Rulebook, now: int) -> tuple[Reason, ...]:
    """The metrics that have a level: impacted first, then by how far they are over; the first is primary."""
    if product.states is None:
        return ()
    ranked = []
    for rule, state in zip(product.plan.rules, product.states, strict=True):
        if state.level != NONE:
            k, n = rule.counts(product.totals)
            threshold = rule.impacted if state.level == IMPACTED else rule.at_risk
            excess = Fraction(k, n) / threshold if n else Fraction(0)
            ranked.append((-state.level, -excess, rule.index))
    ranked.sort()
    reasons = [_reason(product, book, now, index) for _, _, index in ranked]
    return (replace(reasons[0], primary=True), *reasons[1:])


def _reason(product: Product, book: Rulebook, now: int, index: int) -> Reason:
    plan = product.plan
    rule = plan.rules[index]
    assert product.states is not None
    state = product.states[index]
    assert state.since is not None
    k, n = rule.counts(product.totals)
    metric = rule.policy
    exit_threshold = rule.exit_impacted if state.level == IMPACTED else rule.exit_at_risk
    first_bucket = now // book.bucket_ms - plan.windows[rule.window] + 1
    evidence = _evidence(product, book, rule, first_bucket)
    names = {"product_id": product.id, "seller_id": product.seller_id, "region": product.region_name}
    return Reason(
        metric=METRICS[index],
        level=LEVEL_NAMES[state.level],
        primary=False,
        since=state.since,
        numerator=k,
        denominator=n,
        rate=rounded_rate(k, n),
        lower_bound=rounded(wilson_lower(k, n, rule.wilson_z)),
        at_risk_threshold=float(metric.at_risk),
        impacted_threshold=float(metric.impacted),
        exit_threshold=rounded(exit_threshold),
        window_from=first_bucket * book.bucket_ms,
        window_to=now,
        message=MESSAGES[index].format(k=k, n=n),
        evidence=tuple(
            Evidence(order_id, line_id, -minus_at)
            for minus_at, order_id, line_id in nsmallest(EVIDENCE_LIMIT, evidence, key=_latest_first)
        ),
        evidence_total=len(evidence),
        review_url=fill_template(metric.review_url, **names),  # type: ignore[arg-type]
        documentation_url=fill_template(metric.documentation_url, **names),  # type: ignore[arg-type]
    )


_Item = tuple[int, str, "str | None"]


def _latest_first(item: _Item) -> tuple[int, str, str]:
    return item[0], item[1], item[2] or ""


def _evidence(product: Product, book: Rulebook, rule: MetricRule, first_bucket: int) -> list[_Item]:
    """(-at, order_id, line_id) of what is known of the numerator, within the window that ends now."""
    width, last_bucket = book.bucket_ms, product.last_bucket
    first_bucket = max(first_bucket, product.held_from)  # what is dropped counts no more
    if rule.index == _FEES:
        return [
            (-at, order_id, None) for at, bucket, order_id in product.high_fees if first_bucket <= bucket <= last_bucket
        ]
    found: list[_Item] = []
    by_due = rule.index >= _OVERDUE
    for line in product.lines.values():
        share, start = (line.due_share, line.ship_by) if by_due else (line.placed_share, line.placed_at)
        if (share >> rule.k_shift) & FIELD_MASK:
            assert start is not None
            if first_bucket <= start // width <= last_bucket:
                at = line.ship_by if by_due else line.cancelled_at
                assert at is not None
                found.append((-at, *line.key))
    return found


def snapshot_of(product: Product, book: Rulebook, now: int) -> Snapshot:
    """A flagged product as it stands at clock `now`, to which it has caught up."""
    states, in_force = product.states, product.plan.in_force
    assert product.effective_at is not None
    numbers = []
    for rule in product.plan.rules:
        k, n = rule.counts(product.totals)
        level = NONE if states is None else states[rule.index].level
        lower = rounded(wilson_lower(k, n, rule.wilson_z))
        numbers.append(MetricNumbers(METRICS[rule.index], k, n, rounded_rate(k, n), lower, LEVEL_NAMES[level]))
    return Snapshot(
        product_id=product.id,
        seller_id=product.seller_id,
        region=product.region_name,
        category=product.category_name,
        sequence=product.sequence,
        current_status=STATUS_NAMES[product.status],
        effective_at=product.effective_at,
        policy_version=None if in_force is None else in_force.version,
        relapse_count=product.relapse_count,
        reasons=reasons_of(product, book, now),
        metrics=tuple(numbers),
        impressions=_impressions(product, book, now),
        updated_at=now,
    )


def _impressions(product: Product, book: Rulebook, now: int) -> tuple[tuple[int, int], ...]:
    """One total per UTC day that has any, of the last 28 days, oldest first."""
    today = now // DAY_MS
    days: dict[int, int] = {}
    for bucket, count in product.impressions.items():
        day = bucket * book.bucket_ms // DAY_MS
        if today - IMPRESSION_DAYS < day <= today:
            days[day] = min(days.get(day, 0) + count, IMPRESSIONS_MAX)
    return tuple((day * DAY_MS, days[day]) for day in sorted(days))

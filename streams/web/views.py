"""Records of the read model as the API shows them (SPEC section 8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Lock

from streams.codecs.output_views import (
    MetricView,
    ReasonView,
    SnapshotView,
    TransitionView,
)
from streams.codecs.time_format import format_rfc3339
from streams.codecs.times import time_ms
from streams.domain.policy import METRICS, MetricPolicy, Policy, PolicySet
from streams.domain.recovery import Recovery, Standing, recovery_of
from streams.web.models import (
    DayImpressions,
    EvidenceItem,
    MetricDetails,
    PreviousReason,
    ProductSummary,
    ReasonSummary,
    RecoveryInfo,
    StatusPeriod,
    TransitionReason,
    TransitionSummary,
)

GRAPH_DAYS = 28
_PLACES = Decimal("0.0001")
# A PolicySet remembers the choices of one time, for one thread; requests come in many, each with a time of its own.
_choosing = Lock()


def product_summary(snapshot: SnapshotView) -> ProductSummary:
    """A line of the list."""
    return ProductSummary.model_construct(
        product_id=snapshot.product_id,
        seller_id=snapshot.seller_id,
        region=snapshot.region,
        category=snapshot.category,
        current_status=snapshot.current_status,
        sequence=snapshot.sequence,
        effective_at=snapshot.effective_at,
        updated_at=snapshot.updated_at,
        relapse_count=snapshot.relapse_count,
        reasons=[_reason_summary(reason) for reason in snapshot.reasons],
    )


def _reason_summary(reason: ReasonView) -> ReasonSummary:
    return ReasonSummary.model_construct(
        metric=reason.metric,
        level=reason.level,
        primary=reason.primary,
        since=reason.since,
        numerator=reason.numerator,
        denominator=reason.denominator,
        rate=reason.rate,
        at_risk_threshold=reason.at_risk_threshold,
        impacted_threshold=reason.impacted_threshold,
        exit_threshold=reason.exit_threshold,
        review_url=reason.review_url,
        documentation_url=reason.documentation_url,
    )


def transition_summary(transition: TransitionView) -> TransitionSummary:
    """A line of the history."""
    return TransitionSummary(
        event_id=transition.event_id,
        sequence=transition.sequence,
        change=transition.change,
        previous_status=transition.previous_status,
        current_status=transition.current_status,
        cause=transition.cause,
        effective_at=transition.effective_at,
        reasons=[
            TransitionReason(
                metric=reason.metric,
                level=reason.level,
                primary=reason.primary,
                numerator=reason.numerator,
                denominator=reason.denominator,
                rate=reason.rate,
            )
            for reason in transition.reasons
        ],
        previous_reasons=[PreviousReason(metric=item.metric, level=item.level) for item in transition.previous_reasons],
    )


def metric_details(snapshot: SnapshotView, policies: PolicySet, bucket_ms: int) -> Iterator[MetricDetails]:
    """All metrics of a product, in the contract's order."""
    clock = time_ms(snapshot.updated_at)
    with _choosing:
        policy = policies.select(snapshot.region, snapshot.category, clock)
    if policy is not None and policy.version != snapshot.policy_version:
        policy = None  # the workers have another file than we
    reasons = {reason.metric: reason for reason in snapshot.reasons}
    for metric, numbers in snapshot.metrics.items():
        rule = policy.metrics[METRICS.index(metric)] if policy is not None and metric in METRICS else None
        reason = reasons.get(metric)
        if reason is None:
            yield _quiet_metric(metric, numbers, rule)
        else:
            yield _metric_with_level(reason, numbers, rule, _recovery(reason, policy, rule, clock, bucket_ms))


def _quiet_metric(metric: str, numbers: MetricView, rule: MetricPolicy | None) -> MetricDetails:
    return MetricDetails(
        metric=metric,
        enabled=rule is None or rule.enabled,
        level=numbers.level,
        primary=False,
        since=None,
        numerator=numbers.numerator,
        denominator=numbers.denominator,
        rate=numbers.rate,
        lower_bound=numbers.lower_bound,
        at_risk_threshold=None if rule is None else float(rule.at_risk),
        impacted_threshold=None if rule is None else float(rule.impacted),
        exit_threshold=None,
        window_ms=None if rule is None else rule.window_ms,
        evidence=[],
        evidence_total=0,
        review_url=None,
        documentation_url=None,
        recovery=None,
    )


def _metric_with_level(
    reason: ReasonView, numbers: MetricView, rule: MetricPolicy | None, recovery: Recovery
) -> MetricDetails:
    return MetricDetails(
        metric=reason.metric,
        enabled=True,
        level=reason.level,
        primary=reason.primary,
        since=reason.since,
        numerator=numbers.numerator,
        denominator=numbers.denominator,
        rate=numbers.rate,
        lower_bound=numbers.lower_bound,
        at_risk_threshold=reason.at_risk_threshold,
        impacted_threshold=reason.impacted_threshold,
        exit_threshold=reason.exit_threshold,
        window_ms=None if rule is None else rule.window_ms,
        evidence=[EvidenceItem(order_id=item.order_id, line_id=item.line_id, at=item.at) for item in reason.evidence],
        evidence_total=reason.evidence_total,
        review_url=reason.review_url,
        documentation_url=reason.documentation_url,
        recovery=RecoveryInfo.model_validate(
            {
                "next_level": recovery.next_level,
                "below_rate": float(recovery.below_rate.quantize(_PLACES)),
                "is_below": recovery.is_below,
                "settle_orders": recovery.settle_orders,
                "good_orders": recovery.good_orders,
                "at_latest": None if recovery.at_latest is None else format_rfc3339(recovery.at_latest),
                "dwell_ms": recovery.dwell_ms,
            }
        ),
    )


def _recovery(
    reason: ReasonView, policy: Policy | None, rule: MetricPolicy | None, clock: int, bucket_ms: int
) -> Recovery:
    standing = Standing(
        metric=reason.metric,
        level=reason.level,
        numerator=reason.numerator,
        denominator=reason.denominator,
        exit_threshold=Decimal(str(reason.exit_threshold)),
        evidence_at=[time_ms(item.at) for item in reason.evidence],
        evidence_total=reason.evidence_total,
        clock=clock,
    )
    return recovery_of(standing, policy, rule, bucket_ms)


def daily_impressions(snapshot: SnapshotView) -> list[DayImpressions]:
    """Each day from the first one with impressions to that of the numbers, those without any included."""
    if not snapshot.impressions:
        return []
    counts = {item.date: item.count for item in snapshot.impressions}
    last = _day(snapshot.updated_at)
    first = max(date.fromisoformat(snapshot.impressions[0].date), last - timedelta(GRAPH_DAYS - 1))
    days = [(first + timedelta(number)).isoformat() for number in range((last - first).days + 1)]
    return [DayImpressions(date=day, count=counts.get(day, 0)) for day in days]


def status_periods(
    history: Sequence[TransitionView], since: str | None, present: tuple[str, str] | None = None
) -> list[StatusPeriod]:
    """Which status a product had when, from `since` (a date) on; `history` has the latest transition first.

    `present`: its status and since when it has it for its reasons. Transitions older than the topic's retention are
    gone once the database was made anew; what a product has been for so long is known all the same.
    """
    periods: list[StatusPeriod] = []
    until: str | None = None
    begin = None if since is None else f"{since}T00:00:00.000Z"
    for transition in history:
        if transition.change == "status_changed":
            start = transition.effective_at
            if begin is not None and start <= begin:
                periods.append(_period(transition.current_status, begin, until))
                return periods[::-1]
            periods.append(_period(transition.current_status, start, until))
            until = start
    if begin is not None and until is None and present is not None:
        return [_period(present[0], max(begin, present[1]), None)]
    if begin is not None and until is not None:
        periods.append(_period(_oldest(history).previous_status, begin, until))
    return periods[::-1]


def _oldest(history: Sequence[TransitionView]) -> TransitionView:
    """The oldest that has changed the status."""
    return next(item for item in reversed(history) if item.change == "status_changed")


def _period(status: str, start: str, end: str | None) -> StatusPeriod:
    return StatusPeriod.model_validate({"status": status, "from": start, "to": end})


def _day(time: str) -> date:
    return datetime.fromtimestamp(time_ms(time) / 1000, UTC).date()

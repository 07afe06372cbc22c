"""What the API answers with. The OpenAPI document in schemas/ is made of these."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

FlaggedStatus = Literal["at_risk", "impacted", "resolved"]
Metric = Literal[
    "out_of_stock_cancellation_rate",
    "seller_fault_cancellation_rate",
    "unshipped_overdue_rate",
    "late_dispatch_rate",
    "high_shipping_fee_rate",
]
SortName = Literal["severity", "-effective_at", "effective_at", "product_id"]
Time = Annotated[str, Field(description="RFC 3339, in UTC.", examples=["2026-03-02T18:59:30.000Z"])]
Rate = Annotated[float, Field(ge=0, description="A fraction of 1, rounded to 4 places.")]
Count = Annotated[int, Field(ge=0)]
Cursor = Annotated[str | None, Field(description="Where the next page begins; null on the last one.")]


class Model(BaseModel):
    """Values only."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(Model):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="A URI reference that names the kind of problem.")
    title: str = Field(description="The kind of problem, in words.")
    status: int = Field(description="The HTTP status.")
    detail: str | None = Field(default=None, description="What is wrong with this request, and what to do.")
    instance: str | None = Field(default=None, description="The path that was asked for.")
    sign_in_url: str | None = Field(default=None, description="With 401: where a new token is to be had, if known.")


class ViewerInfo(Model):
    """Who is looking: a seller, or an operator, who sees all."""

    seller_id: str | None
    operator: bool


class Session(Model):
    """What a page has to know before it shows anything."""

    viewer: ViewerInfo
    demo: bool = Field(description="Whether this is an invented marketplace, on which no token is asked for.")
    languages: list[str]
    sign_in_url: str | None


class Counts(Model):
    """How many products there are of each status."""

    at_risk: Count
    impacted: Count
    resolved: Count


class ReasonSummary(Model):
    """A metric that has a level, in short."""

    metric: str
    level: str
    primary: bool
    since: Time
    numerator: Count
    denominator: Count
    rate: Rate
    at_risk_threshold: Rate
    impacted_threshold: Rate
    exit_threshold: Rate
    review_url: str | None
    documentation_url: str | None


class ProductSummary(Model):
    """A flagged product, in short."""

    product_id: str
    seller_id: str | None
    region: str | None
    category: str | None
    current_status: str
    sequence: Count
    effective_at: Time = Field(description="Since when it has this status, for these reasons.")
    updated_at: Time = Field(description="As of when the numbers are.")
    relapse_count: Count
    reasons: list[ReasonSummary]


class ProductPage(Model):
    """Some of the flagged products."""

    items: list[ProductSummary]
    next_cursor: Cursor


class EvidenceItem(Model):
    """An order line, or a fee, that counts against the product."""

    order_id: str
    line_id: str | None
    at: Time


class RecoveryInfo(Model):
    """What it takes for a metric to fall by one level. Each way is enough if nothing more goes wrong."""

    next_level: str = Field(description="at_risk or none.")
    below_rate: Rate = Field(description="The rate has to be below this.")
    is_below: bool = Field(description="Whether it is now: then it has only to stay so for dwell_ms.")
    settle_orders: Count | None = Field(description="Ship so many of the overdue orders; null where that is no way.")
    good_orders: Count | None = Field(description="Or so many more orders (or fees) with which nothing is wrong.")
    at_latest: Time | None = Field(description="Or wait: by then the level has fallen. Null if that is not known.")
    dwell_ms: Count | None = Field(description="How long the rate has to stay below. Null if that is not known.")


class MetricDetails(Model):
    """A metric's present numbers, its targets, and what to do about it."""

    metric: str
    enabled: bool = Field(description="Whether the product is judged by it; false only where the policy says so.")
    level: str
    primary: bool
    since: Time | None
    numerator: Count
    denominator: Count
    rate: Rate
    lower_bound: float
    at_risk_threshold: Rate | None
    impacted_threshold: Rate | None
    exit_threshold: Rate | None
    window_ms: Count | None
    evidence: list[EvidenceItem]
    evidence_total: Count
    review_url: str | None
    documentation_url: str | None
    recovery: RecoveryInfo | None


class DayImpressions(Model):
    """The impressions of one UTC day."""

    date: str
    count: Count


class StatusPeriod(Model):
    """A time through which a product had one status; without an end, it still has."""

    status: str
    from_: Time = Field(alias="from")
    to: Time | None


class PreviousReason(Model):
    """A metric that had a level before."""

    metric: str
    level: str


class TransitionReason(PreviousReason):
    """A metric that has one since."""

    primary: bool
    numerator: Count
    denominator: Count
    rate: Rate


class TransitionSummary(Model):
    """A move of a product from one status to another, or to other reasons at the same one."""

    event_id: str
    sequence: Count
    change: str
    previous_status: str
    current_status: str
    cause: str
    effective_at: Time
    reasons: list[TransitionReason]
    previous_reasons: list[PreviousReason]


class TransitionPage(Model):
    """Some of a product's transitions, the latest first."""

    items: list[TransitionSummary]
    next_cursor: Cursor


class ProductDetails(Model):
    """All that is known of a product that is flagged, or was."""

    product_id: str
    seller_id: str | None
    region: str | None
    category: str | None
    current_status: str = Field(description="clear, at_risk, impacted or resolved.")
    sequence: Count
    effective_at: Time
    updated_at: Time
    policy_version: str | None
    relapse_count: Count
    metrics: list[MetricDetails] = Field(description="In the contract's order; none of a product that is clear.")
    impressions: list[DayImpressions] = Field(description="Each day, the oldest first; at most 28.")
    status_periods: list[StatusPeriod] = Field(description="The oldest first; they cover the days of impressions.")
    transitions: list[TransitionSummary] = Field(description="The latest first.")
    transitions_cursor: Cursor


class ChangeEvent(Model):
    """The data of a server-sent event `change`: what has changed of which product."""

    product_id: str
    seller_id: str | None
    current_status: str
    previous_status: str | None = Field(description="Null where only numbers have changed.")
    sequence: Count
    kind: Literal["transition", "numbers"]

"""Hypothesis strategies for small, adversarial histories of one partition (SPEC sections 3 to 5).

Import these from `streams.testing.strategies`. They need Hypothesis, which is no dependency of the package.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from hypothesis import strategies as st

from streams.domain.events import TOPIC_OF_TYPE
from streams.testing.fates import DAY_MS, HOUR_MS
from streams.testing.records import SimulatedRecord, encode

BASE_MS: Final = 1_772_409_600_000
"""2026-03-02T00:00:00Z, a boundary; histories begin about here."""

HOLD_MS: Final = HOUR_MS
BUCKET_MS: Final = 6 * HOUR_MS
LATENESS_MS: Final = 7 * DAY_MS
SKEW_MS: Final = 5 * 60_000
FARTHEST_SHIP_BY_MS: Final = 90 * DAY_MS

PRODUCTS: Final = ("P1", "P2", "Pé")
REGIONS: Final = ("US", "DE")
CATEGORIES: Final = (None, "toys", "books")
SELLER_FAULTS: Final = ("out_of_stock", "unable_to_ship", "pricing_error", "late_auto_cancel")
REASONS: Final = (*SELLER_FAULTS, "buyer_request", "payment_failed", "carrier_fault", "other", "no_such_reason")

# (fee, reference_fee): just at, just above and just below 1.2 times, and some that doubles can't hold.
FEES: Final = (
    (3.6, 3),
    (3.6, 3.0),
    (3.6000000000000005, 3),
    (3.5999999999999996, 3),
    (1.2, 1),
    (0.12, 0.1),
    (0.36, 0.3),
    (0.30000000000000004, 0.25),
    (8.4, 7),
    (8.400001, 7),
    (9, 3),
    (5e300, 1e-7),
    (0, 0.01),
    (1, 3),
)

Event: TypeAlias = dict[str, Any]


class HistoryRecord(NamedTuple):
    """An accepted record of a history. The list that holds it is in the order of offsets, topic by topic."""

    topic: int
    """Index of the input topic (`streams.domain.events`)."""
    timestamp: int
    """The record's own timestamp, ms."""
    event: Event
    """The fields of SPEC section 3, of values that JSON knows; times in ms, numbers as they are to be written."""

    def record(self) -> SimulatedRecord:
        """The same as bytes."""
        key = str(self.event["product_id"]).encode()
        return SimulatedRecord(self.timestamp, self.topic, key, encode(self.event))


@st.composite
def grid_times(draw: st.DrawFn, days: int) -> int:
    """Times (ms) within so many days of BASE_MS, mostly on full hours and boundaries, so that many are equal."""
    step_ms = draw(st.sampled_from((BUCKET_MS, BUCKET_MS, HOUR_MS)))
    steps = draw(st.integers(0, days * DAY_MS // step_ms))
    return BASE_MS + steps * step_ms + draw(st.sampled_from((0, 0, 0, 0, 1, -1)))


@st.composite
def _line_facts(draw: st.DrawFn, placed_at: int, ship_by: int) -> list[Event]:
    """What may happen to a line, at times that matter to SPEC section 4."""
    fates: tuple[list[Event], ...] = (
        [],
        [],
        [_fact("order.shipped", placed_at + HOUR_MS)],
        [_fact("order.shipped", ship_by)],
        [_fact("order.shipped", ship_by + draw(st.sampled_from((1, HOUR_MS, 2 * DAY_MS))))],
        [_fact("order.cancelled", placed_at + HOUR_MS, reason=draw(st.sampled_from(SELLER_FAULTS)))],
        [_fact("order.cancelled", placed_at + HOUR_MS, reason="out_of_stock")],
        [
            _fact("order.cancelled", placed_at + HOUR_MS, reason="out_of_stock"),
            _fact("order.cancellation_reverted", placed_at + draw(st.sampled_from((1, 2, 7, 30))) * HOUR_MS),
        ],
    )
    if draw(st.integers(0, 3)):
        return draw(st.sampled_from(fates))
    return draw(st.lists(_any_fact(placed_at, ship_by), max_size=6))


@st.composite
def _any_fact(draw: st.DrawFn, placed_at: int, ship_by: int) -> Event:
    at = draw(st.sampled_from((placed_at, placed_at + HOLD_MS, ship_by, ship_by + BUCKET_MS, ship_by + LATENESS_MS)))
    at += draw(st.sampled_from((0, 0, 0, 1, -1, HOUR_MS, -HOUR_MS, DAY_MS)))
    type_ = draw(
        st.sampled_from(
            (
                "order.shipped",
                "order.cancelled",
                "order.cancelled",
                "order.cancellation_reverted",
                "order.deadline_extended",
                "order.deadline_extended",
            )
        )
    )
    if type_ == "order.cancelled":
        return _fact(type_, at, reason=draw(st.sampled_from(REASONS)))
    if type_ == "order.deadline_extended":
        new = draw(st.sampled_from((ship_by, at, at, at + FARTHEST_SHIP_BY_MS)))
        if new != at + FARTHEST_SHIP_BY_MS:
            new += draw(st.sampled_from((0, 1, -1, HOUR_MS, BUCKET_MS, 2 * DAY_MS)))
        return _fact(type_, at, ship_by=new)
    return _fact(type_, at)


def _fact(type_: str, occurred_at: int, **fields: Any) -> Event:
    return {"type": type_, "occurred_at": occurred_at, **fields}


@st.composite
def _lines(draw: st.DrawFn, product_id: str, days: int, first: int) -> list[Event]:
    """Some lines that were placed and fared alike: enough of them together open a gate."""
    placed_at = draw(grid_times(days))
    ship_by = placed_at + draw(
        st.sampled_from((DAY_MS, BUCKET_MS, 2 * DAY_MS, HOUR_MS, 0, -1, 1, BUCKET_MS - 1, BUCKET_MS + 1))
    )
    facts = draw(_line_facts(placed_at, ship_by))
    placed: Event = {"seller_id": draw(st.sampled_from(("S1", "S2"))), "region": draw(st.sampled_from(REGIONS))}
    category = draw(st.sampled_from(CATEGORIES))
    if category is not None or draw(st.booleans()):
        placed["category"] = category
    placed |= {"quantity": 1, "item_price": draw(st.sampled_from((0, 9.99, 1e2))), "currency": "USD"}
    uncounted: tuple[Event, ...] = ({"fulfilled_by": "platform"}, {"sample": True})
    kind = draw(st.sampled_from((*({},) * 5, *uncounted)))
    told: list[Event] = []
    for number in range(draw(st.integers(1, 5))):
        # The same few lines come up again and again; a second placed of a line is a rival of the first.
        order_id = f"O{(first + number) % 12}"
        line: Event = {"order_id": order_id}
        if draw(st.integers(0, 4)) == 0:
            line["line_id"] = draw(st.sampled_from(("1", "2")))
        fields = {**line, **placed, "ship_by": ship_by, **kind}
        for event in (_fact("order.placed", placed_at, **fields), *({**fact, **line} for fact in facts)):
            told.append({**event, "product_id": product_id})
    return told


@st.composite
def _fees(draw: st.DrawFn, product_id: str, days: int, first: int) -> list[Event]:
    at = draw(grid_times(days))
    told = []
    for number in range(draw(st.integers(1, 4))):
        fee, reference_fee = draw(st.sampled_from(FEES))
        fields: Event = {"fee": fee, "reference_fee": reference_fee, "currency": "EUR"}
        if draw(st.booleans()):
            fields["order_id"] = f"O{(first + number) % 12}"
        fields |= {"seller_id": draw(st.sampled_from(("S1", "S2"))), "region": draw(st.sampled_from(REGIONS))}
        event = _fact("shipping_fee.charged", at, **fields)
        told.append({**event, "product_id": product_id})
    return told


@st.composite
def _impressions(draw: st.DrawFn, product_id: str, days: int, first: int) -> list[Event]:
    at = draw(grid_times(days))
    count = draw(st.sampled_from((0, 1, 250, 2**53)))
    event = _fact("impressions.counted", at, count=count)
    return [{**event, "from": at - HOUR_MS, "to": at, "product_id": product_id}]


@st.composite
def _stories(draw: st.DrawFn, max_events: int) -> list[Event]:
    """Events without ids, not yet in any order."""
    days = draw(st.sampled_from((2, 4, 4, 12, 45)))
    products = PRODUCTS[: draw(st.sampled_from((1, 1, 2, 3)))]
    told: list[Event] = []
    # Of fewer and larger pieces rather than many single events, Hypothesis finds (and shrinks) more that is of use.
    for piece in range(draw(st.integers(1, max(1, max_events // 3)))):
        strategy = draw(st.sampled_from((_lines, _lines, _lines, _fees, _impressions)))
        told += draw(strategy(draw(st.sampled_from(products)), days, 3 * piece))
        if len(told) >= max_events:
            break
    return told[:max_events]


@st.composite
def _repeat(draw: st.DrawFn, event: Event, repeats_move: bool) -> Event:
    """The event told again under its id, as it was or with another content."""
    again = dict(event)
    if draw(st.booleans()):
        return again
    match event["type"]:
        case "order.placed":
            again |= draw(st.sampled_from(({"ship_by": event["ship_by"] + HOUR_MS}, {"sample": True}, {"quantity": 2})))
        case "order.deadline_extended":
            # Earlier rather than later: the farthest ship_by that is allowed stays allowed.
            again["ship_by"] = event["ship_by"] - draw(st.sampled_from((1, HOUR_MS, DAY_MS)))
        case "order.cancelled":
            again["reason"] = draw(st.sampled_from(REASONS))
        case "shipping_fee.charged":
            again["fee"], again["reference_fee"] = draw(st.sampled_from(FEES))
        case "impressions.counted":
            again["count"] = event["count"] // 2
    if repeats_move and event["type"] == "shipping_fee.charged":
        again["occurred_at"] = event["occurred_at"] + draw(st.sampled_from((1, BUCKET_MS, -BUCKET_MS)))
    return again


@st.composite
def histories(
    draw: st.DrawFn, max_events: int = 30, *, repeats_move: bool = False, always_in_time: bool = False
) -> list[HistoryRecord]:
    """Histories of up to three products in one partition: 1 to `max_events` accepted records, in order of offsets.

    Lines, fees and impressions on a coarse grid of times, so that equal times, and times exactly at a ship_by, a
    boundary, the hold's end or the allowed lateness, are frequent; event_ids told again with the same content and
    with another. Mostly the records come by their timestamps, ties in any order; now and then in any order at all.

    `repeats_move`: a fee told again may also have another occurred_at. `always_in_time`: every record's timestamp is
    its occurred_at, and records come by it; so none is late.
    """
    assert max_events >= 1
    told = draw(_stories(max_events))
    events = [
        # The first letter makes the order of ids another than that of the events.
        {"event_id": f"{draw(st.sampled_from('abc'))}{number}", **event}
        for number, event in enumerate(told)
    ]
    for _ in range(draw(st.integers(0, 3))):
        if len(events) < max_events:
            events.append(draw(_repeat(draw(st.sampled_from(events)), repeats_move)))
    records = []
    for event in events:
        delay_ms = 0 if always_in_time else draw(_delays())
        records.append(HistoryRecord(TOPIC_OF_TYPE[event["type"]], event["occurred_at"] + delay_ms, event))
    records = draw(st.permutations(records))
    if always_in_time or draw(st.integers(0, 4)):
        records = sorted(records, key=lambda record: record.timestamp)
    return list(records)


def _delays() -> st.SearchStrategy[int]:
    """From occurred_at to the record's timestamp (ms): none mostly, and all that is close to a limit."""
    close = (1, HOUR_MS, BUCKET_MS, DAY_MS, LATENESS_MS, LATENESS_MS + 1, LATENESS_MS + DAY_MS, -1, -SKEW_MS)
    return st.sampled_from((0,) * 18 + close)

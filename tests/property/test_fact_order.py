"""A line's state is a function of the set of accepted facts about it, never of their order of arrival (SPEC section 4).

Held to it: a line, against the oracle's; and whole products, by their final counters, against nothing but the facts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.codecs.inputs import decode
from streams.domain.buckets import COUNTERS, unpack
from streams.domain.events import InputEvent, LineEvent, OrderPlaced, ShippingFeeCharged
from streams.domain.facts import fact_of
from streams.domain.lines import Line
from streams.domain.partition import APPLIED, REPEAT, Partition
from streams.domain.policy import DAY_MS, DEFAULT_POLICY, PolicySet
from streams.domain.product import Product
from streams.domain.rulebook import ALLOWED_LATENESS_MS, BUCKET_MS, Rulebook
from streams.testing.strategies import HistoryRecord, histories
from tests.oracle.lines import Fact, contributions, line_state

unhurried = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))

TYPES = ("order.placed", "order.shipped", "order.deadline_extended", "order.cancelled", "order.cancellation_reverted")
BASE = 1_772_409_600_000


@st.composite
def line_events(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Facts of one line on a few close times, so that all that can be equal often is; ids are distinct."""
    times = st.sampled_from([BASE + after for after in (0, 1, 2, 3, 3_600_000, 3_600_001, 3_600_002)])
    ids = draw(st.lists(st.text("azé\uffff\U00010000", min_size=1, max_size=2), unique=True, min_size=1, max_size=7))
    found = []
    for id_ in ids:
        type_ = draw(st.sampled_from(TYPES))
        event: dict[str, Any] = {"type": type_, "event_id": id_, "product_id": "P", "order_id": "O"}
        event["occurred_at"] = draw(times)
        if type_ in ("order.placed", "order.deadline_extended"):
            event["ship_by"] = draw(times)
        if type_ == "order.placed":
            event |= {"seller_id": "S", "region": "R", "quantity": 1, "item_price": 1, "currency": "USD"}
            event["sample"] = draw(st.sampled_from((False, False, True)))
        if type_ == "order.cancelled":
            event["reason"] = draw(st.sampled_from(("out_of_stock", "pricing_error", "buyer_request", "other")))
        found.append(event)
    return found


def line_event(event: dict[str, Any]) -> LineEvent:
    record = HistoryRecord(1 if "cancel" in event["type"] else 0, event["occurred_at"], event).record()
    decoded = decode(record.topic, record.key, record.value, record.timestamp_ms, ())
    assert isinstance(decoded, LineEvent)
    return decoded


@settings(unhurried, max_examples=400)
@given(line_events(), st.randoms(use_true_random=False))
def test_a_lines_state_against_the_oracles_in_any_order(events: list[dict[str, Any]], random: Random) -> None:
    expected = line_state([Fact(event) for event in events])
    facts = [fact_of(line_event(event)) for event in events]
    for _ in range(3):
        random.shuffle(facts)
        line = Line(("O", "1"))
        for fact in facts:
            assert line.add(fact)
            # Told again it is no news, whenever.
            assert not line.add(random.choice(line.facts))
        for found in (line, Line(("O", "1"), facts)):
            assert found.placed_at == expected.placed_at_ms
            assert found.fate == expected.fate
            assert (found.cancelled_at, found.reason) == (expected.cancelled_at_ms, expected.reason)
            assert found.shipped_at == expected.shipped_at_ms
            assert found.last_fact_at == max(event["occurred_at"] for event in events)
            if expected.placed_at_ms is not None:
                assert (found.ship_by, found.counts) == (expected.ship_by_ms, expected.counts)
                assert found.excused == expected.excused
            assert shares(found) == [shares_of(expected, BASE), shares_of(expected, BASE + DAY_MS)]


def shares(line: Line) -> list[Counter[str]]:
    """What the line counts before and after its ship_by."""
    placed, due = line.share_of_placed(), line.share_once_due()
    return [Counter(dict(zip(COUNTERS, unpack(share), strict=True))) + Counter() for share in (placed, placed + due)]


def shares_of(state: Any, clock_ms: int) -> Counter[str]:
    early = clock_ms == BASE
    return Counter(
        name for name, _, _ in contributions(state, clock_ms) if not (early and name in ("due", "late", "overdue"))
    )


# -- whole products


def decoded(history: Sequence[HistoryRecord]) -> list[InputEvent]:
    found = []
    for told in history:
        record = told.record()
        event = decode(record.topic, record.key, record.value, record.timestamp_ms, ())
        assert not isinstance(event, str)
        found.append(event)
    return found


def one_of_each_id(events: list[InputEvent]) -> list[InputEvent]:
    """Within allowed lateness of each other in any order, and no id with two contents."""
    latest = max(event.occurred_at for event in events)
    kept: dict[tuple[str, str], InputEvent] = {}
    for event in events:
        if event.occurred_at >= latest - ALLOWED_LATENESS_MS:
            kept.setdefault((event.product_id, event.event_id), event)
    return list(kept.values())


def told(events: Sequence[InputEvent], clock_ms: int | None, end_ms: int) -> dict[str, tuple[object, ...]]:
    """What is kept at `end_ms` of events told in this order, at a clock that follows them, or stands at `clock_ms`."""
    partition = Partition(Rulebook(PolicySet((DEFAULT_POLICY,))))
    for event in events:
        partition.advance(event.occurred_at if clock_ms is None else clock_ms)
        assert [partition.apply(event), partition.apply(event)] == [APPLIED, REPEAT]
    partition.advance(end_ms)
    for product in partition.products.values():
        product.catch_up(partition.book, end_ms)
    return {product.id: kept(product) for product in partition.products.values() if not product.is_empty}


def kept(product: Product) -> tuple[object, ...]:
    return (
        product.buckets,
        product.totals,
        product.impressions,
        product.seen,
        sorted(product.high_fees),
        (product.seller, product.region, product.category),
        {key: sorted(line.facts, key=repr) for key, line in product.lines.items()},
        product.threats,
    )


def counted(events: Sequence[InputEvent], end_ms: int) -> dict[str, Counter[tuple[str, int]]]:
    """Counters per bucket from nothing but the set of events, by the oracle's reading of a line."""
    lines: dict[tuple[str, str, str], list[Fact]] = {}
    found: dict[str, Counter[tuple[str, int]]] = {}
    for event in events:
        counters = found.setdefault(event.product_id, Counter())
        if isinstance(event, LineEvent):
            fields = {name: getattr(event, name) for name in event.__struct_fields__}
            fact = Fact({"type": event.__struct_config__.tag} | fields)
            lines.setdefault((event.product_id, event.order_id, event.line_id), []).append(fact)
        elif isinstance(event, ShippingFeeCharged):
            counters["fees", event.occurred_at // BUCKET_MS] += 1
            if event.fee > DEFAULT_POLICY.high_fee_ratio * event.reference_fee:
                counters["high_fees", event.occurred_at // BUCKET_MS] += 1
    for (product_id, _, _), facts in lines.items():
        for name, at, _ in contributions(line_state(facts), end_ms):
            found[product_id][name, at // BUCKET_MS] += 1
    return found


@settings(unhurried, max_examples=150)
@given(histories(max_events=30), st.integers(0, 20), st.randoms(use_true_random=False))
def test_a_products_counters_are_those_of_the_set_of_its_facts(
    history: list[HistoryRecord], days: int, random: Random
) -> None:
    events = one_of_each_id(decoded(history))
    latest = max(event.occurred_at for event in events)
    end_ms = latest + days * DAY_MS
    expected = told(sorted(events, key=lambda event: event.occurred_at), None, end_ms)
    for _ in range(3):
        random.shuffle(events)
        assert told(events, None, end_ms) == expected
        assert told(events, latest, end_ms) == expected
    for product_id, counters in counted(events, end_ms).items():
        buckets: dict[int, int] = expected[product_id][0] if product_id in expected else {}  # type: ignore[assignment]
        found = Counter(
            {(name, bucket): count for bucket, packed in buckets.items() for name, count in named(packed) if count}
        )
        assert found == counters


def named(packed: int) -> list[tuple[str, int]]:
    return list(zip(COUNTERS, unpack(packed), strict=True))


@settings(unhurried, max_examples=100)
@given(histories(max_events=20), st.randoms(use_true_random=False))
def test_attributes_are_those_of_the_latest_event_in_any_order(history: list[HistoryRecord], random: Random) -> None:
    events = one_of_each_id(decoded(history))
    latest = max(event.occurred_at for event in events)
    random.shuffle(events)
    found = told(events, None, latest)
    for product_id, (*_, attributes, _, _) in found.items():
        carriers = [
            event
            for event in events
            if event.product_id == product_id and isinstance(event, OrderPlaced | ShippingFeeCharged)
        ]
        carriers.sort(key=lambda event: (-event.occurred_at, event.event_id.encode()))
        categories = [event for event in carriers if isinstance(event, OrderPlaced) and event.category is not None]
        expected = (
            carriers[0].seller_id if carriers else None,
            carriers[0].region if carriers else None,
            categories[0].category if categories else None,
        )
        assert tuple(one and one[0] for one in attributes) == expected  # type: ignore[attr-defined]

"""The short way of ordinary events and the general way come to the same, event by event (`streams.domain.ordinary`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.codecs.inputs import decode
from streams.codecs.outputs import encode_transition
from streams.codecs.row import RowWriter
from streams.domain import partition as partition_module
from streams.domain.counters import NEVER
from streams.domain.events import InputEvent
from streams.domain.ordinary import ORDINARY, UNUSUAL
from streams.domain.partition import Partition
from streams.domain.policy import DAY_MS, DEFAULT_POLICY, HOUR_MS, PolicySet
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook
from streams.testing.market import Market
from streams.testing.strategies import HistoryRecord, PolicyTable, histories, policy_sets
from tests.core.logs import policy_set

unhurried = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))

Ways = Mapping[type, Callable[..., int]]
Told = tuple[InputEvent, int]
"""An event, and the time to which the clock moves before it."""

GENERAL: Ways = dict.fromkeys(ORDINARY, lambda *_: UNUSUAL)


@contextmanager
def ways(taken: Ways) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition_module, "ORDINARY", taken)
        if taken is GENERAL:
            # Nothing is known of how far a product is from anything: it is judged after every event, and always.
            patch.setattr(partition_module, "take_stock", no_stock)
        yield


def no_stock(product: Product) -> None:
    product.leeway = 0
    product.late_leeway = 0
    product.stock_until = NEVER


def counting(counts: Counter[str]) -> Ways:
    """The ordinary ways, which count how often they are gone to their end."""

    def counted(kind: type, way: Callable[..., int]) -> Callable[..., int]:
        def go(*args: Any) -> int:
            done = way(*args)
            counts[kind.__name__] += done != UNUSUAL
            return done

        return go

    return {kind: counted(kind, way) for kind, way in ORDINARY.items()}


def run(
    told: Sequence[Told], rulebook: Callable[[], Rulebook], end_ms: int, taken: Ways, *, together: bool, cut_every: int
) -> list[object]:
    """All that is to be seen of the events applied this way: outcomes, cuts, and what is kept at the end."""
    seen: list[object] = []
    partition, writer = Partition(rulebook()), RowWriter()
    with ways(taken):
        for start in range(0, len(told), cut_every):
            part = told[start : start + cut_every]
            if together:
                others = partition.tell([event for event, _ in part], [at for _, at in part])
                seen += [(event.event_id, outcome) for event, outcome in others]
            else:
                for event, at in part:
                    partition.advance(at)
                    outcome = partition.apply(event)
                    if outcome != "applied":
                        seen.append((event.event_id, outcome))
            seen += cut_of(partition, writer)
        partition.advance(end_ms)
        seen += cut_of(partition, writer)
        assert partition.clock is not None
        for _, product in sorted(partition.products.items()):
            product.catch_up(partition.book, partition.clock)
            if not product.is_empty:
                seen.append(kept(product))
        seen += [partition.clock, partition.statuses]
    return seen


def cut_of(partition: Partition, writer: RowWriter) -> list[object]:
    cut = partition.take_cut()
    for product_id in cut.changed:
        # Those with pages remember what is touched.
        writer.encode(product_id, partition.products.get(product_id), partition.book)
    return [*map(encode_transition, cut.transitions), list(cut.snapshots)]


def kept(product: Product) -> tuple[object, ...]:
    return (
        (product.id, product.sequence, product.status, product.relapse_count),
        (product.resolved_at, product.effective_at, product.snapshot_at, product.snapshot_pending),
        (product.seller, product.region, product.category),
        (product.buckets, product.impressions, product.totals, product.held_from, product.plan.policy),
        (product.seen, sorted(product.high_fees), product.threats),
        {key: (line.facts, line.placed_share, line.due_share, line.threatens) for key, line in product.lines.items()},
        [(s.level, s.since, s.breach_since, s.exit_since) for s in product.states or ()],
    )


def decoded(history: Sequence[HistoryRecord], *, wall: bool) -> list[Told]:
    told, latest = [], 0
    for one in history:
        record = one.record()
        event = decode(record.topic, record.key, record.value, record.timestamp_ms, ())
        assert not isinstance(event, str)
        latest = max(latest, record.timestamp_ms if wall else event.occurred_at)
        told.append((event, latest))
    return told


@settings(unhurried, max_examples=250)
@given(histories(max_events=40), policy_sets(), st.booleans(), st.booleans(), st.sampled_from((1, 5, 100)))
def test_any_history(
    history: list[HistoryRecord], tables: list[PolicyTable], wall: bool, together: bool, cut_every: int
) -> None:
    told = decoded(history, wall=wall)
    end_ms = told[-1][1] + 10 * DAY_MS
    policies = policy_set(tables)
    one, other = (
        run(told, lambda: Rulebook(policies), end_ms, taken, together=together, cut_every=cut_every)
        for taken in (ORDINARY, GENERAL)
    )
    assert one == other


@settings(unhurried, max_examples=60)
@given(
    histories(max_events=40, repeats_move=True),
    st.booleans(),
    st.sampled_from((HOUR_MS, 7 * DAY_MS, 90 * DAY_MS)),
    st.sampled_from((HOUR_MS, 6 * HOUR_MS, DAY_MS)),
)
def test_under_the_default_policy_with_other_settings(
    history: list[HistoryRecord], wall: bool, lateness_ms: int, bucket_ms: int
) -> None:
    told = decoded(history, wall=wall)
    end_ms = told[-1][1] + 75 * DAY_MS

    def rulebook() -> Rulebook:
        return Rulebook(PolicySet((DEFAULT_POLICY,)), bucket_ms, lateness_ms)

    one, other = (run(told, rulebook, end_ms, taken, together=True, cut_every=7) for taken in (ORDINARY, GENERAL))
    assert one == other


@pytest.mark.parametrize(("seed", "products", "events"), [(1, 2, 4_000), (2, 40, 4_000), (3, 400, 3_000)])
def test_a_market_and_most_of_it_is_ordinary(
    seed: int, products: int, events: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From products of thousands of lines, which have pages, to many of which little is heard."""
    monkeypatch.setattr("streams.codecs.row.PAGED_FROM", 50)
    told: list[Told] = []
    for record in Market(seed, products=products, events=events, days=42):
        event = decode(record.topic, record.key, record.value, record.timestamp_ms, ())
        assert not isinstance(event, str)
        told.append((event, max(event.occurred_at, told[-1][1] if told else 0)))
    counts: Counter[str] = Counter()

    def rulebook() -> Rulebook:
        return Rulebook(PolicySet((DEFAULT_POLICY,)))

    end_ms = told[-1][1] + 10 * DAY_MS
    one, other = (
        run(told, rulebook, end_ms, taken, together=True, cut_every=97) for taken in (counting(counts), GENERAL)
    )
    assert one == other
    assert {kind for kind, count in counts.items() if count} >= {
        "OrderPlaced",
        "OrderShipped",
        "OrderCancelled",
        "ShippingFeeCharged",
        "ImpressionsCounted",
    }
    if products > 2:
        assert sum(counts.values()) > len(told) * 0.6

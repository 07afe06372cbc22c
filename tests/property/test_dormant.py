"""Products that are put to sleep at any moment come to the same as those that never are (`streams.domain.dormant`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.codecs.inputs import decode
from streams.codecs.outputs import encode_transition
from streams.codecs.row import PAGE_PREFIX, RowWriter, decode_product, product_of
from streams.domain.dormant import put_to_sleep, rest, wake_all
from streams.domain.partition import Partition
from streams.domain.policy import DAY_MS, DEFAULT_POLICY, HOUR_MS, PolicySet
from streams.domain.rulebook import Rulebook
from streams.engine.dormant import DormantRows
from streams.testing.market import Market
from streams.testing.strategies import HistoryRecord, PolicyTable, histories, policy_sets
from tests.core.logs import policy_set
from tests.property.test_ordinary import Told, decoded, kept
from tests.property.test_recovery import small_pages

unhurried = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


class Run:
    """A partition, and the rows that its cuts have written. `seen`: all that others see of it, cut by cut.

    `random`: puts products to sleep, and wakes some; None leaves them awake. `slept`: how often a product fell asleep.
    """

    def __init__(self, book: Rulebook, random: Random | None) -> None:
        self.partition = Partition(book, DormantRows(book))
        self.seen: list[object] = []
        self.slept = 0
        self._random = random
        self._writer = RowWriter()
        self._rows: dict[bytes, bytes] = {}

    def tell(self, told: Sequence[Told]) -> None:
        """Some events, and a cut."""
        others = self.partition.tell([event for event, _ in told], [at for _, at in told])
        self.seen += [(event.event_id, outcome) for event, outcome in others]
        self._doze()
        self.cut()

    def cut(self) -> None:
        """Write what has changed; then some sleep."""
        partition = self.partition
        cut = partition.take_cut()
        for product_id in cut.changed:
            rows = self._writer.encode(product_id, partition.products.get(product_id), partition.book)
            for key, value in rows:
                if value is None:
                    self._rows.pop(key, None)
                else:
                    self._rows[key] = value
        self.seen += [*map(encode_transition, cut.transitions), list(cut.snapshots)]
        self.seen += [partition.clock, list(partition.statuses), partition.size, self._logged()]
        self._doze(cut.changed)

    def _logged(self) -> dict[str, object]:
        """What the rows of the log say, to who takes over at this clock."""
        found: dict[str, object] = {}
        book, clock = self.partition.book, self.partition.clock
        assert clock is not None
        for key, row in self._rows.items():
            if key.startswith(PAGE_PREFIX):
                continue
            pages = {
                int.from_bytes(page[1:5], "big"): value
                for page, value in self._rows.items()
                if page.startswith(PAGE_PREFIX) and page[5:] == key
            }
            product, _ = decode_product(product_of(key), row, pages, book, clock)
            product.catch_up(book, clock)
            found[product.id] = kept(product)
        return dict(sorted(found.items()))

    def _doze(self, written: dict[str, None] | None = None) -> None:
        random, partition = self._random, self.partition
        if random is None:
            return
        before = len(partition.products)
        if written is not None and random.random() < 0.5:
            rest(partition, written, random.randrange(3))
        for product in list(partition.products.values()):
            if random.random() < 0.5:
                put_to_sleep(partition, product)
        self.slept += before - len(partition.products)
        for product_id in list(partition.dormant.rows):
            if random.random() < 0.1:
                partition.find(product_id)

    def end(self, at: int) -> None:
        """The clock moves on, with no event."""
        self.partition.advance(at)
        self.cut()
        assert self.partition.clock is not None
        for _, product in sorted(wake_all(self.partition).items()):
            product.catch_up(self.partition.book, self.partition.clock)
            if not product.is_empty:
                self.seen.append(kept(product))


def compare(told: Sequence[Told], rulebook: Callable[[], Rulebook], end_ms: int, seed: int, cut_every: int) -> int:
    """Both runs say the same; how often a product fell asleep in one of them."""
    restless, sleepy = Run(rulebook(), None), Run(rulebook(), Random(seed))
    for run in (restless, sleepy):
        for start in range(0, len(told), cut_every):
            run.tell(told[start : start + cut_every])
        run.end(end_ms)
    for one, other in zip(restless.seen, sleepy.seen, strict=True):
        assert one == other
    return sleepy.slept


@settings(unhurried, max_examples=200)
@given(histories(max_events=40), policy_sets(), st.booleans(), st.sampled_from((1, 3, 10)), st.integers(0, 2**32))
def test_any_history(
    history: list[HistoryRecord], tables: list[PolicyTable], wall: bool, cut_every: int, seed: int
) -> None:
    told = decoded(history, wall=wall)
    policies = policy_set(tables)
    compare(told, lambda: Rulebook(policies), told[-1][1] + 10 * DAY_MS, seed, cut_every)


@settings(unhurried, max_examples=60)
@given(
    histories(max_events=40, repeats_move=True),
    st.booleans(),
    st.sampled_from((HOUR_MS, 7 * DAY_MS, 90 * DAY_MS)),
    st.sampled_from((HOUR_MS, 6 * HOUR_MS, DAY_MS)),
    st.integers(0, 2**32),
)
def test_under_the_default_policy_with_other_settings(
    history: list[HistoryRecord], wall: bool, lateness_ms: int, bucket_ms: int, seed: int
) -> None:
    told = decoded(history, wall=wall)

    def rulebook() -> Rulebook:
        return Rulebook(PolicySet((DEFAULT_POLICY,)), bucket_ms, lateness_ms)

    with small_pages():
        compare(told, rulebook, told[-1][1] + 75 * DAY_MS, seed, 5)


@pytest.mark.parametrize(("seed", "products", "events"), [(1, 30, 1_500), (2, 200, 2_000)])
def test_a_market_and_most_of_it_sleeps(seed: int, products: int, events: int) -> None:
    told: list[Told] = []
    for record in Market(seed, products=products, events=events, days=42):
        event = decode(record.topic, record.key, record.value, record.timestamp_ms, ())
        assert not isinstance(event, str)
        told.append((event, max(event.occurred_at, told[-1][1] if told else 0)))
    slept = compare(told, lambda: Rulebook(PolicySet((DEFAULT_POLICY,))), told[-1][1] + 45 * DAY_MS, seed, 97)
    assert slept > products

"""What recovery leaves dormant, what it reads, and what is found when a dormant product wakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from streams.codecs import row
from streams.codecs.meta import Meta, encode_meta
from streams.codecs.row import PAGE_PREFIX, RowWriter, due_of, with_due
from streams.domain.counters import NEVER
from streams.domain.dormant import rest, wake_all
from streams.domain.partition import Partition
from streams.domain.policy import Policy, PolicySet
from streams.domain.rulebook import Rulebook
from streams.domain.transitions import AT_RISK, CLEAR
from streams.engine import restore
from streams.engine.changelog import LogState
from streams.engine.dormant import DormantRows
from streams.engine.restore import restore_partition, restoring
from streams.errors import UserError
from tests.core.scene import BUCKET_MS, DAY_MS, HOUR_MS, LATE, MINUTE_MS, STOCK, T0, Scene, policy

SHARP = policy(metrics={STOCK: {"n_min": 1, "k_min": 1, "at_risk": "0.01"}})


def logged(scene: Scene, clock: int | None = None) -> LogState:
    """A log with the rows of all products of a scene."""
    writer, rows = RowWriter(), {}
    for product in scene.partition.products.values():
        written = writer.encode(product.id, product, scene.partition.book)
        rows.update({key: value for key, value in written if value is not None})
    book = scene.partition.book
    return LogState(rows=rows, meta=encode_meta(Meta(clock=clock or scene.clock, rules=book.digest)))


def restored(state: LogState, *policies: Policy) -> Partition:
    return restore_partition(state, Rulebook(PolicySet(policies or (SHARP,)))).partition


def some_products() -> Scene:
    scene = Scene(SHARP)
    scene.placed("O1", product_id="clear")
    scene.placed("O2", product_id="flagged")
    scene.cancelled("O2", T0 + 1, product_id="flagged")
    scene.placed("O3", product_id="pending")
    scene.cancelled("O3", T0 + 2, product_id="pending")
    scene.impressions(T0 + 3, 1, product_id="pending")
    return scene


def test_what_is_not_due_stays_dormant_and_counts() -> None:
    partition = restored(logged(some_products()))
    assert set(partition.dormant.rows) == {"clear", "flagged"}
    assert set(partition.products) == {"pending"}, "its snapshot is written a minute after the one before"
    assert (partition.size, partition.statuses) == (3, [1, 2, 0, 0])
    assert sorted(name for _, name in partition.agenda) == ["clear", "flagged", "pending"]
    partition.advance(T0 + MINUTE_MS + 2)
    assert "pending" in partition.cut.snapshots


def test_what_is_due_is_read_and_may_sleep_again() -> None:
    scene = Scene()
    for number in range(5):
        scene.placed(f"O{number}", ship_by=T0 + (number + 1) * HOUR_MS)
    state = logged(scene, clock=T0 + 4 * HOUR_MS)
    # The third late line may open a gate.
    assert due_of(state.rows[b"P1"]) == T0 + 3 * HOUR_MS + 1
    partition = restored(state, scene.partition.book.policies.policies[0])
    assert not partition.products
    # Three lines have come due: so may each that follows.
    assert partition.agenda == [(T0 + 4 * HOUR_MS + 1, "P1")]
    assert DormantRows(partition.book).due_at(partition.dormant.rows["P1"]) == T0 + 4 * HOUR_MS + 1
    partition.advance(T0 + 5 * HOUR_MS + 1)
    product = partition.products["P1"]
    assert product.plan.rules[3].counts(product.totals) == (5, 5)


def test_a_sequence_alone_is_never_due() -> None:
    scene = some_products()
    scene.until(T0 + 400 * DAY_MS)
    partition = restored(logged(scene))
    assert set(partition.dormant.rows) == {"flagged", "pending"}
    assert (partition.agenda, partition.statuses) == ([], [2, 0, 0, 0])
    product = partition.find("flagged")
    assert product is not None and (product.is_empty, product.wake_at) == (True, None)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> LogState:
    """The log of a product with pages."""
    monkeypatch.setattr(row, "PAGED_FROM", 4)
    monkeypatch.setattr(row, "PAGE_ITEMS_MAX", 3)
    monkeypatch.setattr(row, "PAGE_ITEMS_MIN", 1)
    scene = Scene(SHARP)
    scene.many_placed(range(9))
    state = logged(scene)
    assert len(state.rows) > 2
    return state


def test_a_product_with_pages_stays_dormant_with_them(large: LogState) -> None:
    found = restore_partition(large, Rulebook(PolicySet((SHARP,))))
    assert set(found.partition.dormant.rows) == {"P1"}
    assert found.pages == {"P1": len(large.rows) - 1}
    product = found.partition.find("P1")
    assert product is not None and len(product.lines) == 9
    assert product.touched == set(), "only what changes is written"


def test_a_page_that_is_missing_is_told_at_once(large: LogState) -> None:
    del large.rows[next(key for key in large.rows if key.startswith(PAGE_PREFIX) and key[4] == 0)]
    with pytest.raises(UserError, match=r"pages, and \d are there"):
        restored(large)
    large.rows = {key: value for key, value in large.rows.items() if not key.startswith(PAGE_PREFIX)}
    with pytest.raises(UserError, match="pages, and 0 are there"):
        restored(large)


def test_pages_that_are_left_over_are_told_at_once(large: LogState) -> None:
    scene = Scene(SHARP)
    scene.placed("O1")
    large.rows.update(logged(scene).rows)
    with pytest.raises(UserError, match="it has 0 pages, and"):
        restored(large)


# -- other rules than those that the due times were found by


def lines_to_come() -> Scene:
    """One product with a line that is late tomorrow unless it is shipped; the default policy does not care."""
    scene = Scene()
    scene.placed("O1", ship_by=T0 + DAY_MS)
    return scene


STRICT = policy(metrics={LATE: {"n_min": 1, "k_min": 1, "at_risk": "0.01", "impacted": "0.01"}})


def test_under_other_rules_all_is_read_and_what_is_due_earlier_is_written_again() -> None:
    state = logged(lines_to_come())
    assert due_of(state.rows[b"P1"]) > T0 + DAY_MS + 1
    partition = restored(state, STRICT)
    assert (set(partition.products), set(partition.cut.changed)) == ({"P1"}, {"P1"})
    partition.advance(T0 + DAY_MS + 1)
    assert [transition.current_status for transition in partition.cut.transitions] == ["at_risk"]
    # The other way round there is nothing to write: it is looked at earlier than needed.
    scene = Scene(STRICT)
    scene.placed("O1", ship_by=T0 + DAY_MS)
    partition = restored(logged(scene), lines_to_come().partition.book.policies.policies[0])
    assert (set(partition.dormant.rows), partition.cut.is_empty) == ({"P1"}, True)
    assert partition.agenda[0][0] > T0 + DAY_MS + 1


@pytest.mark.parametrize("asleep", [False, True])
def test_a_policy_that_makes_products_due_earlier_has_their_rows_written(asleep: bool) -> None:
    """Whoever takes over then trusts the rows: it has the same policies."""
    later = replace(STRICT, version="later", effective_from_ms=T0 + HOUR_MS)
    first = policy("first")
    scene = Scene(first, later)
    scene.placed("O1", ship_by=T0 + DAY_MS)
    scene.impressions(T0, 1, product_id="P2")
    state = logged(scene)
    partition = restored(state, first, later)
    if not asleep:
        wake_all(partition)
    partition.advance(T0 + 2 * HOUR_MS)
    assert set(partition.cut.changed) == {"P1"}
    assert ("P2" in partition.dormant.rows) is asleep
    for key, value in RowWriter().encode("P1", partition.products["P1"], partition.book):
        state.rows[key] = value or b""
    state.meta = encode_meta(Meta(clock=partition.clock, rules=partition.book.digest))
    heir = restored(state, first, later)
    assert set(heir.dormant.rows) == {"P1", "P2"}
    heir.advance(T0 + DAY_MS + 1)
    assert [transition.product_id for transition in heir.cut.transitions] == ["P1"]


def test_rules_are_told_apart_by_whatever_a_due_time_depends_on() -> None:
    policies = PolicySet((SHARP,))
    digests = [
        Rulebook(policies).digest,
        Rulebook(PolicySet((SHARP, replace(SHARP, version="x", effective_from_ms=5)))).digest,
        Rulebook(PolicySet((STRICT,))).digest,
        Rulebook(policies, BUCKET_MS * 2).digest,
        Rulebook(policies, BUCKET_MS, DAY_MS).digest,
    ]
    assert len(set(digests)) == len(digests)
    assert digests[0] == Rulebook(PolicySet((replace(SHARP),))).digest


# -- a damaged row


def damaged() -> Partition:
    state = logged(some_products())
    state.rows[b"clear"] = state.rows[b"clear"][:-1] + b"\xc1"
    return restored(state)


@pytest.mark.parametrize(
    "look",
    [
        lambda partition: partition.find("clear"),
        lambda partition: partition.advance(T0 + 90 * DAY_MS),
        wake_all,
    ],
    ids=["found", "due", "all"],
)
def test_a_damaged_row_is_told_when_its_product_wakes(look: Callable[[Partition], object]) -> None:
    partition = damaged()
    with pytest.raises(UserError, match=r"a row of product 'clear' is damaged: .*app_id"):
        look(partition)
    assert "clear" in partition.dormant.rows, "nobody may go on as if it were not there"


def test_an_event_for_a_damaged_row_is_not_applied() -> None:
    scene = some_products()
    scene.partition = damaged()
    with pytest.raises(UserError, match="a row of product 'clear' is damaged"):
        scene.placed("O9", T0 + HOUR_MS, product_id="clear")
    assert "clear" not in scene.partition.cut.changed


# -- how many are awake


def test_those_that_have_not_changed_for_longest_sleep_first() -> None:
    scene = Scene(SHARP)
    for name in ("a", "b", "c", "flagged", "d", "e"):
        scene.placed("O", product_id=name)
    scene.cancelled("O", T0 + 1, product_id="flagged")
    partition = scene.partition
    partition.dormant = type(partition.dormant)(DormantRows(partition.book))
    partition.take_cut()
    scene.placed("new", T0 + 2, product_id="b")
    rest(partition, {"a": None}, 6)
    assert len(partition.products) == 6, "not too many"
    rest(partition, {"a": None}, 3)
    # `b` has changed since the last cut, and so is yet to be written; what is flagged stays; `a` was in the last cut.
    assert set(partition.dormant.rows) == {"c"}
    assert list(partition.products) == ["d", "e", "a", "b", "flagged"]
    rest(partition, {}, 3)
    assert list(partition.products) == ["a", "b", "flagged"]
    rest(partition, {}, 0)
    assert set(partition.products) == {"b", "flagged"}
    assert partition.statuses[CLEAR] == 5 and partition.statuses[AT_RISK] + partition.statuses[2] == 1
    assert partition.size == 6


def test_a_product_that_wakes_has_the_same_entry_in_the_agenda() -> None:
    scene = some_products()
    partition = scene.partition
    partition.dormant = type(partition.dormant)(DormantRows(partition.book))
    partition.take_cut()
    entries = sorted(partition.agenda)
    wake_at = partition.products["clear"].wake_at
    for _ in range(5):
        rest(partition, {}, 0)
        assert "clear" in partition.dormant.rows
        product = partition.find("clear")
        assert product is not None and product.wake_at == wake_at
    assert sorted(partition.agenda) == entries, "none more"


def test_a_row_with_another_due_time_is_else_the_same() -> None:
    codec = DormantRows(Rulebook(PolicySet((SHARP,))))
    header = logged(some_products()).rows[b"clear"]
    assert codec.with_due((header, b"page"), 7) == (with_due(header, 7), b"page")
    assert codec.due_at((with_due(header, NEVER), b"page")) == NEVER
    assert codec.with_due(header, due_of(header)) is header


# -- a large partition


def many_products(count: int) -> LogState:
    scene = Scene(SHARP)
    scene.placed("O", product_id="P")
    ((_, value),) = RowWriter().encode("P", scene.partition.products["P"], scene.partition.book)
    assert value is not None
    rows = {f"P{number}".encode(): value for number in range(count)}
    return LogState(rows=rows, meta=encode_meta(Meta(clock=T0, rules=scene.partition.book.digest)))


@pytest.mark.parametrize("rules", ["the same", "others"])
def test_recovery_pauses_again_and_again(rules: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "_ROWS_AT_ONCE", 50)
    monkeypatch.setattr(restore, "_PRODUCTS_AT_ONCE", 50)
    book = Rulebook(PolicySet((SHARP if rules == "the same" else STRICT,)))
    pauses = list(restoring(many_products(1_000), book))
    assert len(pauses) >= 20

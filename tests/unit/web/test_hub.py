"""Who follows the changes is told of all that they may see, of nothing else, and never of less without a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.readmodel.queries import Change
from streams.readmodel.store import Moment, Store
from streams.testing.outputs import product_outputs
from streams.web import hub as hub_module
from streams.web.auth import DEMO_VIEWER, Viewer
from streams.web.changes import _events, _read_id
from streams.web.hub import ChangeHub, Subscription
from streams.web.problems import ProblemError
from tests.unit.readmodel.test_store import open_store
from tests.unit.web.serving import write

LONG_S = 60.0
SELLER = Viewer("S1", operator=False)


@asynccontextmanager
async def hub_of(directory: Path, streams_max: int = 1_000) -> AsyncIterator[tuple[ChangeHub, Store]]:
    store = open_store(directory / "store.db")
    hub = ChangeHub(store, streams_max)
    await hub.start()
    try:
        yield hub, store
    finally:
        await hub.stop()
        store.engine.dispose()


def write_product(store: Store, product_id: str, seller_id: str, hub: ChangeHub | None = None) -> None:
    number = write(store, list(product_outputs(product_id, seller_id, 1, 1)))
    if hub is not None:
        hub.changed(number)


async def told(subscription: Subscription, count: int) -> list[Change]:
    changes: list[Change] = []
    async with asyncio.timeout(LONG_S):
        while len(changes) < count:
            missed, more = await subscription.take(1)
            assert not missed
            changes += more
    return changes


def test_a_seller_is_told_of_their_own_products(tmp_path: Path) -> None:
    async def story() -> None:
        async with hub_of(tmp_path) as (hub, store):
            seller, operator = await hub.subscribe(SELLER, None), await hub.subscribe(DEMO_VIEWER, None)
            write_product(store, "P1", "S1", hub)
            write_product(store, "P2", "S2", hub)
            write_product(store, "P3", "S1", hub)
            assert [change.product_id for change in await told(seller, 4)] == ["P1", "P1", "P3", "P3"]
            assert len(await told(operator, 6)) == 6

    asyncio.run(story())


def test_each_is_handed_their_own_changes_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All changes times all who follow would hold up the loop."""
    handed: list[tuple[str | None, str | None]] = []
    tell = Subscription.tell

    def noted(self: Subscription, changes: list[Change], moment: Moment) -> None:
        handed.extend((self.viewer.seller_id, change.seller_id) for change in changes)
        tell(self, changes, moment)

    monkeypatch.setattr(Subscription, "tell", noted)

    async def story() -> None:
        async with hub_of(tmp_path) as (hub, store):
            first = await hub.subscribe(SELLER, None)
            await hub.subscribe(Viewer("S2", operator=False), None)
            for number in range(3):
                write_product(store, f"P{number}", f"S{number}", hub)
            write_product(store, "P", "S1", hub)
            await told(first, 4)

    asyncio.run(story())
    assert set(handed) == {("S1", "S1"), ("S2", "S2")}


def test_should_it_end_by_itself_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        reasons: list[str] = []
        store = open_store(tmp_path / "store.db")
        hub = ChangeHub(store, 10, reasons.append)
        await hub.start()
        subscription = await hub.subscribe(SELLER, None)
        monkeypatch.setattr(store, "moment", lambda: 1 / 0)
        hub.changed(1)
        async with asyncio.timeout(LONG_S):
            while not subscription.ended:
                await subscription.take(1)
        assert "ZeroDivisionError" in reasons[0]
        await hub.stop()
        store.engine.dispose()

    asyncio.run(story())


def test_what_another_process_writes_is_seen_as_well(tmp_path: Path) -> None:
    async def story() -> None:
        async with hub_of(tmp_path) as (hub, store):
            subscription = await hub.subscribe(SELLER, None)
            write_product(store, "P1", "S1")  # nobody says so
            assert len(await told(subscription, 2)) == 2

    asyncio.run(story())


def test_who_comes_back_is_told_what_they_missed(tmp_path: Path) -> None:
    async def story() -> None:
        async with hub_of(tmp_path) as (hub, store):
            first = await hub.subscribe(SELLER, None)
            write_product(store, "P1", "S1", hub)
            await told(first, 2)
            last = first.moment
            hub.unsubscribe(first)
            write_product(store, "P2", "S1", hub)
            write_product(store, "P3", "S2", hub)
            await told(await hub.subscribe(DEMO_VIEWER, last), 4)  # by now the hub has seen them
            assert {change.product_id for change in await told(await hub.subscribe(SELLER, last), 2)} == {"P2"}

    asyncio.run(story())


@pytest.mark.parametrize("known", ["of other tables", "of the future", "long ago"])
def test_who_cant_be_told_all_is_told_so(tmp_path: Path, known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment of a database that was made anew since; and one from which there is too much to tell."""
    monkeypatch.setattr(hub_module, "CHANGES_MAX", 3)

    async def story() -> None:
        store = open_store(tmp_path / "store.db")
        for number in range(3):
            write_product(store, f"P{number}", "S1")
        async with hub_of(tmp_path) as (hub, _):
            generation, change = store.moment()
            moments = {
                "of other tables": Moment(generation + 1, change),
                "of the future": Moment(generation, change + 1),
                "long ago": Moment(generation, 0),
            }
            missed, changes = await (await hub.subscribe(SELLER, moments[known])).take(LONG_S)
            assert (missed, changes) == (True, [])

    asyncio.run(story())


def test_who_is_too_slow_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "_WAITING_MAX", 3)
    subscription = Subscription(SELLER, Moment(1, 0), Moment(1, 0))
    change = Change(1, "P", "S1", "at_risk", None, 1)
    subscription.tell([change] * 2, Moment(1, 1))
    subscription.tell([change] * 2, Moment(1, 2))
    assert asyncio.run(subscription.take(LONG_S)) == (True, [])
    subscription.tell([change], Moment(1, 3))
    assert asyncio.run(subscription.take(LONG_S)) == (False, [change])


def test_a_database_made_anew_is_told_to_all(tmp_path: Path) -> None:
    async def story() -> None:
        async with hub_of(tmp_path) as (hub, store):
            subscription = await hub.subscribe(SELLER, None)
            write_product(store, "P1", "S1", hub)
            await told(subscription, 2)
            store.rebuild()
            async with asyncio.timeout(LONG_S):
                while not (await subscription.take(1))[0]:
                    pass

    asyncio.run(story())


def test_streams_are_bounded_in_all_and_of_each_holder(tmp_path: Path) -> None:
    async def story() -> None:
        async with hub_of(tmp_path, streams_max=15) as (hub, _):
            first = await hub.subscribe(SELLER, None)
            for _number in range(9):
                await hub.subscribe(SELLER, None)
            with pytest.raises(ProblemError) as caught:
                await hub.subscribe(SELLER, None)
            assert caught.value.status == 429
            for _number in range(5):
                await hub.subscribe(DEMO_VIEWER, None)
            with pytest.raises(ProblemError) as caught:
                await hub.subscribe(Viewer("S2", operator=False), None)
            assert caught.value.status == 503
            hub.unsubscribe(first)
            await hub.subscribe(Viewer("S2", operator=False), None)

    asyncio.run(story())


@given(numbers=st.lists(st.integers(1, 5), max_size=12).map(sorted), cut=st.integers(0, 12))
@settings(max_examples=200)
def test_wherever_a_stream_breaks_off_nothing_is_missed_from_its_last_id_on(numbers: list[int], cut: int) -> None:
    changes = [Change(number, f"P{i}", "S1", "at_risk", None, 1) for i, number in enumerate(numbers)]
    received = list(_events(changes, 7))[:cut]
    known = [moment for event in received if (moment := _read_id(event.id)) is not None]
    assert {moment.generation for moment in known} <= {7}
    last = max((moment.change for moment in known), default=0)
    again = [change.product_id for change in changes if change.number > last]
    assert {event.data.product_id for event in received} | set(again) == {change.product_id for change in changes}

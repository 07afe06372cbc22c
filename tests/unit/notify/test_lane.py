"""A lane, its database and an HTTP endpoint, in one process: what few seconds can't show of the whole."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from streams.clients.webhooks import Secret
from streams.notify import queue
from streams.notify.database import Database
from streams.notify.lane import Lane
from streams.notify.metrics import NotifyMetrics
from streams.notify.verdict import REFUSALS_MAX
from streams.notify.webhook_file import Webhook
from streams.observability.health import Health
from tests.integration.waiting import eventually, in_loop
from tests.unit.notify.test_queue import event, take

DAY_MS = 86_400_000


@contextlib.asynccontextmanager
async def working_lane(
    database: Database, handler: Callable[[web.Request], object]
) -> AsyncIterator[tuple[Lane, NotifyMetrics]]:
    """A lane at work, to an endpoint that answers as `handler` does, and that asserts nothing itself."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    webhook = Webhook("a", f"http://127.0.0.1:{runner.addresses[0][1]}/hook", (Secret(b"x" * 24),))
    metrics = NotifyMetrics()
    lane = Lane(webhook, database, metrics, Health(), DAY_MS)
    task = asyncio.create_task(lane.run())
    try:
        yield lane, metrics
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await runner.cleanup()


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats come at once."""
    monkeypatch.setattr("streams.notify.lane.pause_ms", lambda _attempts, _dice: 1)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/notify.db")
    database.open()
    yield database
    database.close()


@in_loop
async def _refused(database: Database) -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.headers["webhook-id"])
        return web.Response(status=422 if asked[-1] == "P1:1" else 204)

    take(database, event("P1:1", "S1"), event("P1:2", "S1"), event("P2:1", "S2"))
    async with working_lane(database, handler) as (_, metrics):
        await eventually(lambda: database.now(queue.lengths) == [], "the queue to be empty")
        assert asked.count("P1:1") == REFUSALS_MAX
        assert asked[-1] == "P1:2"
        assert metrics.attempts.labels("a", "given_up")._value.get() == 1
        assert metrics.circuit_open.labels("a")._value.get() == 0
    assert database.now(queue.failed_counts) == {"a": 1}


def test_a_transition_that_is_not_wanted_holds_up_its_seller_for_so_long_and_no_longer(sqlite: Database) -> None:
    _refused(sqlite)


@in_loop
async def _redirected(database: Database) -> None:
    paths: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.path)
        if len(paths) < 3:
            return web.Response(status=307, headers={"location": "/elsewhere"})
        return web.Response()

    take(database, event("P1:1"), now_ms=int(time.time() * 1000))
    async with working_lane(database, handler):
        await eventually(lambda: database.now(queue.lengths) == [], "the delivery")
    assert paths == ["/hook"] * 3


def test_a_redirect_is_not_followed(sqlite: Database) -> None:
    _redirected(sqlite)


@in_loop
async def _endless(database: Database) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x" * 100_000)
                await asyncio.sleep(0)
        return response

    take(database, event("P1:1"), event("P1:2"))
    async with working_lane(database, handler):
        await eventually(lambda: database.now(queue.lengths) == [], "both deliveries")


def test_an_answer_without_an_end_is_an_answer(sqlite: Database) -> None:
    _endless(sqlite)


@in_loop
async def _parallel(database: Database) -> None:
    running: set[str] = set()
    most = 0
    arrived: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        nonlocal most
        event_id = request.headers["webhook-id"]
        seller = event_id.split(":")[0]
        assert seller not in running
        running.add(seller)
        most = max(most, len(running))
        await asyncio.sleep(0.01)
        running.remove(seller)
        arrived.append(event_id)
        return web.Response()

    events = [event(f"S{seller}:{number}", f"S{seller}") for number in range(5) for seller in range(12)]
    take(database, *events)
    async with working_lane(database, handler):
        await eventually(lambda: database.now(queue.lengths) == [], "all deliveries")
    assert len(arrived) == len(events)
    for seller in range(12):
        of_seller = [one for one in arrived if one.startswith(f"S{seller}:")]
        assert of_seller == [f"S{seller}:{number}" for number in range(5)]
    assert most == 8


def test_sellers_go_in_parallel_and_each_in_order(sqlite: Database) -> None:
    _parallel(sqlite)


@in_loop
async def _hidden_trouble(database: Database) -> None:
    take(database, event("P1:1"))
    webhook = Webhook("a", "http://user:hush-hush@127.0.0.1:1/hush?k=hush", (Secret(b"x" * 24),))
    lane = Lane(webhook, database, NotifyMetrics(), Health(), give_up_after_ms=0)
    task = asyncio.create_task(lane.run())
    await eventually(lambda: database.now(queue.failed_counts) == {"a": 1}, "it to be given up")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    [row] = database.now(queue.list_failed, None, 0, 10)
    assert row.error.startswith("no connection (")
    assert "hush" not in row.error


def test_what_is_told_of_a_failure_has_no_secret(sqlite: Database) -> None:
    _hidden_trouble(sqlite)

"""Plays the demo's market into the topics, day by day, and follows what the worker makes of it.

A day is sent as one part (see `engine.sender.LogSender`), so the transitions are those of the whole log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from faust.types import TP

from streams.cli.demo_film import Film, Screen
from streams.cli.demo_worker import Counts, DemoWorker
from streams.cli.transition_feed import TransitionFeed
from streams.engine.sender import LogSender
from streams.engine.waiting import wait_until_applied
from streams.errors import UserError
from streams.settings import DAY_MS, Settings
from streams.testing.market import Market
from streams.testing.records import SimulatedRecord

_LOOK_S = 0.25
_SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a film came to: what the worker counted in it, and how long it took from first to last event."""

    counts: Counts
    duration_s: float


async def play(
    settings: Settings,
    film: Film,
    screen: Screen,
    worker: DemoWorker,
    check: Callable[[], None],
    days_per_s: float | None,
) -> Outcome:
    """Play the film's market to its end, at `days_per_s` simulated days a second (None: as fast as it goes).

    `check` raises if something that the demo rests on has ended. Raises UserError for that, and for a broker that
    does not work.
    """
    async with LogSender(settings) as sender, TransitionFeed(settings, from_start=True) as feed:
        before = await worker.counts()
        began = monotonic()
        reel = _Reel(settings, film, screen, sender, feed)
        await _guarded(reel.run(days_per_s), check)
        duration_s = monotonic() - began
        after = await worker.counts()
    cpu_s = None if after.cpu_s is None or before.cpu_s is None else after.cpu_s - before.cpu_s
    return Outcome(Counts(after.outcomes, cpu_s), duration_s)


class _Reel:
    """The tasks of one performance."""

    def __init__(self, settings: Settings, film: Film, screen: Screen, sender: LogSender, feed: TransitionFeed) -> None:
        self._settings = settings
        self._film = film
        self._screen = screen
        self._sender = sender
        self._feed = feed
        self._ends: Mapping[TP, int] = {}
        self._all_sent = asyncio.Event()
        self._all_applied = asyncio.Event()

    async def run(self, days_per_s: float | None) -> None:
        """Until all is applied, and all that came of it is in the film."""
        await _together(self._send(days_per_s), self._watch(), self._read())

    async def _send(self, days_per_s: float | None) -> None:
        film, market = self._film, self._film.market
        began = monotonic()
        for day, records in enumerate(days_of(market)):
            if days_per_s is not None:
                await asyncio.sleep(max(0.0, began + day / days_per_s - monotonic()))
            is_last = day + 1 == market.days
            until_ms = market.end_ms if is_last else None
            self._ends = await self._sender.send(records, lambda _: None, until_ms=until_ms)
            film.sent += len(records)
            film.days = day + 1
            self._screen.show_day()
        self._all_sent.set()

    async def _watch(self) -> None:
        """Keep the film's count of what is applied."""
        film = self._film
        while True:
            finished, ends = self._all_sent.is_set(), self._ends
            sent = film.sent

            def look(done: int, total: int, sent: int = sent) -> None:
                # It tells what is left of what was sent by then.
                film.applied = max(film.applied, sent - (total - done))

            if ends:
                await wait_until_applied(self._settings, ends, look, poll_s=_LOOK_S)
            if finished:
                film.applied = film.sent
                self._all_applied.set()
                return
            await asyncio.sleep(_LOOK_S)

    async def _read(self) -> None:
        """Take in what is published; once all is applied, all of it is."""
        while not self._all_applied.is_set():
            for published in await self._feed.news():
                self._take(published.transition)
        async for published in self._feed.backlog():
            self._take(published.transition)

    def _take(self, transition: Any) -> None:
        self._film.add(transition)
        self._screen.show_transition(transition)


def days_of(market: Market) -> Iterator[list[SimulatedRecord]]:
    """The market's records day by day, by their timestamps; a list for each of its days, however empty."""
    day, records = 0, list[SimulatedRecord]()
    for record in market:
        while record.timestamp_ms >= market.start_ms + (day + 1) * DAY_MS:
            yield records
            day, records = day + 1, []
        records.append(record)
    yield records
    for _ in range(day + 1, market.days):
        yield []


async def _guarded(work: Coroutine[Any, Any, None], check: Callable[[], None]) -> None:
    """Do the work, and call `check` now and then meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_LOOK_S)
            check()
    except BaseException:
        task.cancel()
        await asyncio.wait([task])
        raise
    if task.exception() is not None:
        # What the work stumbled over may have ended just now: that says more than how it stumbled.
        await asyncio.sleep(_SETTLE_S)
        check()
    task.result()


async def _together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run the parts at once; the first error ends all of them."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except ExceptionGroup as errors:
        told = errors.subgroup(UserError)
        if told is None:
            raise
        raise told.exceptions[0] from None

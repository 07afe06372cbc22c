"""The notifier as a whole: settings -> database, intake, a lane per webhook -> until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence
from time import monotonic

from streams.engine.tasks import end
from streams.notify import queue
from streams.notify.database import Database
from streams.notify.intake import Intake
from streams.notify.lane import Lane, give_up_old
from streams.notify.metrics import NotifyMetrics
from streams.notify.webhook_file import Webhook, load_webhooks
from streams.observability.health import Health, Readiness
from streams.observability.logging import configure_logging, get_logger
from streams.observability.web import WebServer
from streams.settings import DAY_MS, Settings
from streams.wall import wall_ms

# Libraries that say at level info what only their developers want to know.
_NOISY_LOGGERS = ("aiokafka", "asyncio", "aiohttp")
# What is in flight at SIGTERM has so long to finish: as long as most timeouts, and less than the 30 s that Kubernetes
# gives a pod. What takes longer is sent again after the next start.
_STOP_S = 15.0
# Counting walks through an index of all that waits.
_SWEEP_S = 10.0
# Transitions are kept in their topic for 30 d: a copy can't come later than that.
_SEEN_MS = 30 * DAY_MS

log = get_logger(__name__)


def run_notifier(settings: Settings, *, from_start: bool = False) -> None:
    """Deliver transitions until SIGTERM or SIGINT. Raises UserError for what a user can mend."""
    webhooks = load_webhooks(settings.webhooks_file)
    database = Database(settings.notify_database)
    hidden = [secret.text() for webhook in webhooks for secret in webhook.secrets]
    hidden += [text.removeprefix("whsec_") for text in hidden]
    configure_logging(
        settings.log_level, settings.log_format, secrets=[settings.sasl_password, *database.secrets, *hidden]
    )
    if settings.log_level != "debug":
        for name in _NOISY_LOGGERS:
            logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level.upper())))
    asyncio.run(Notifier(settings, webhooks, database).run(from_start))


class Notifier:
    """One run of the notifier."""

    def __init__(self, settings: Settings, webhooks: Sequence[Webhook], database: Database) -> None:
        self._settings = settings
        self._webhooks = webhooks
        self._database = database
        self._metrics, self._health = NotifyMetrics(), Health()
        self._web = WebServer(
            self._metrics, self._health, settings.notify_host, settings.notify_port, settings="notify"
        )
        self._lanes = [
            Lane(webhook, database, self._metrics, self._health, settings.notify_give_up_after_ms)
            for webhook in webhooks
        ]
        self._intake = Intake(settings, webhooks, database, self._metrics, self._health, self._wake)
        self._swept_s = monotonic()
        self._database_away = False
        database.on_trouble = self._database_trouble

    async def run(self, from_start: bool) -> None:
        """Until SIGTERM or SIGINT; raises UserError, or whatever stopped a part of it."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await self._web.start()
        try:
            log.info("notifier starts", port=self._web.port, settings=self._settings.public())
            for webhook in self._webhooks:
                log.info("webhook", webhook=webhook.name, at=webhook.place, signatures=len(webhook.secrets))
            await asyncio.to_thread(self._database.open)
            try:
                await self._work(from_start, stop)
            finally:
                await asyncio.to_thread(self._database.close)
        finally:
            await self._web.stop()

    async def _work(self, from_start: bool, stop: asyncio.Event) -> None:
        started = asyncio.Event()
        reading = asyncio.create_task(self._intake.run(from_start, started))
        waiting = [asyncio.create_task(stop.wait())]
        at_work = [reading]
        try:
            starting = asyncio.create_task(started.wait())
            await asyncio.wait({reading, starting, *waiting}, return_when=asyncio.FIRST_COMPLETED)
            starting.cancel()
            if started.is_set():
                await self._warn_of_strangers()
                at_work += [asyncio.create_task(lane.run()) for lane in self._lanes]
                at_work.append(asyncio.create_task(self._sweep()))
                self._health.enter(Readiness.RUNNING)
                log.info("notifier is ready", database=self._database.place)
                await asyncio.wait({*at_work, *waiting}, return_when=asyncio.FIRST_COMPLETED)
            self._raise_failure(at_work)
            log.info("notifier stops")
            self._health.enter(Readiness.STOPPING, "told to")
            reading.cancel()
            await asyncio.gather(*(lane.stop(_STOP_S) for lane in self._lanes))
        finally:
            await end([*at_work, *waiting])

    def _raise_failure(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            if task.done():
                task.result()

    def _wake(self) -> None:
        for lane in self._lanes:
            lane.wake()

    def _database_trouble(self, reason: str | None) -> None:
        self._database_away = reason is not None
        if reason is None:
            log.info("the database answers again")
            self._health.restore("database")
        else:
            log.warning("waiting for the database", reason=reason)
            self._health.degrade("database", reason)

    async def _warn_of_strangers(self) -> None:
        known = {webhook.name for webhook in self._webhooks}
        for length in await self._database.run(queue.lengths):
            if length.webhook not in known:
                log.warning(
                    "deliveries of a webhook that is not in the file wait for it; they are given up when they are old",
                    webhook=length.webhook,
                    count=length.waiting,
                )

    async def _sweep(self) -> None:
        """Now and then: count what waits, give up what is old, forget what can't come again."""
        watch = asyncio.create_task(self._watch())
        try:
            while True:
                now_ms = wall_ms()
                found = {length.webhook: length for length in await self._database.run(queue.lengths)}
                failed = await self._database.run(queue.failed_counts)
                for lane in self._lanes:
                    name = lane.webhook.name
                    length = found.pop(name, None)
                    self._metrics.queued.labels(name).set(0 if length is None else length.waiting)
                    age_s = 0.0 if length is None else max(now_ms - length.oldest_ms, 0) / 1000
                    self._metrics.oldest_age_s.labels(name).set(age_s)
                    self._metrics.failed.labels(name).set(failed.get(name, 0))
                    await lane.give_up_old()
                for name in found:
                    before_ms = now_ms - self._settings.notify_give_up_after_ms
                    await give_up_old(
                        self._database, self._metrics, name, before_ms, [], "its webhook is no longer in the file"
                    )
                while await self._database.run(queue.prune_seen, now_ms - _SEEN_MS):
                    pass
                self._swept_s = monotonic()
                await asyncio.sleep(_SWEEP_S)
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        """Liveness fails if the database has hung: one that only refuses is told as such, and mends itself."""
        while True:
            silent_s = monotonic() - self._swept_s - _SWEEP_S
            if silent_s * 1000 > self._settings.stall_timeout_ms and not self._database_away:
                self._health.fail("database", f"has neither answered nor refused for {silent_s:.0f} s")
            else:
                self._health.recover("database")
            await asyncio.sleep(1)

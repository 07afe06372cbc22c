"""One webhook's way out: several sellers at once, each seller's deliveries one after the other."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from time import monotonic

from streams.clients.webhooks import decode_header
from streams.engine.tasks import end
from streams.notify import queue
from streams.notify.circuit import Circuit
from streams.notify.database import Database
from streams.notify.metrics import NotifyMetrics
from streams.notify.queue import Delivery
from streams.notify.sender import Sender
from streams.notify.verdict import REFUSALS_MAX, Answer, Verdict, pause_ms
from streams.notify.webhook_file import Webhook
from streams.observability.health import Health
from streams.observability.logging import get_logger
from streams.wall import wall_ms

# Another process may put failed deliveries back, of which nothing tells but the database.
_POLL_S = 1.0
# What was queued is given up in bulk only if the endpoint was in trouble for so long (or `give_up_after`, if that is
# shorter): after a weekend without a notifier, deliveries may be old before they were tried once.
_TROUBLE_MS = 3_600_000

log = get_logger(__name__)


class Lane:
    """Delivers what is queued for a webhook. Holds the bodies that are in flight, and no others."""

    def __init__(
        self, webhook: Webhook, database: Database, metrics: NotifyMetrics, health: Health, give_up_after_ms: int
    ) -> None:
        self.webhook = webhook
        self.disabled = False
        self._database = database
        self._metrics = metrics
        self._health = health
        self._give_up_after_ms = give_up_after_ms
        self._dice = Random()
        self._circuit = Circuit(self._dice)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._stopping = False
        self._sender = Sender(webhook)
        metrics.begin(webhook.name)

    def wake(self) -> None:
        """Something was queued."""
        self._news.set()

    async def run(self) -> None:
        """Deliver until cancelled; after `stop` nothing more is begun. Raises what no delivery is expected to raise."""
        async with self._sender:
            try:
                while True:
                    self._news.clear()
                    wait_s = await self._begin_due()
                    # No wait_for: of Python 3.11 it may let a cancellation fall.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(min(wait_s, _POLL_S)):
                            await self._news.wait()
                    self._reap()
            finally:
                await end(self._tasks.values())

    async def stop(self, bound_s: float) -> None:
        """Begin nothing more; let what is in flight finish, for `bound_s` at most. What is cut off is sent again."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=bound_s)

    async def give_up_old(self) -> None:
        """Give up what has waited for too long while nothing can be delivered: the endpoint is gone, or in trouble."""
        now_ms = wall_ms()
        trouble_ms = self._circuit.failing_for_ms(_steady_ms())
        if not self.disabled and trouble_ms < min(_TROUBLE_MS, self._give_up_after_ms):
            return
        why = "the endpoint is gone (410)" if self.disabled else "the endpoint has been in trouble for too long"
        await give_up_old(
            self._database, self._metrics, self.webhook.name, now_ms - self._give_up_after_ms, list(self._tasks), why
        )

    async def _begin_due(self) -> float:
        """Begin what is due and allowed; after how many seconds to look again at the latest."""
        free = self.webhook.max_in_flight - len(self._tasks)
        steady_ms = _steady_ms()
        if self.disabled or self._stopping or free <= 0:
            return _POLL_S  # unless a delivery ends before
        if not self._circuit.allowed(steady_ms, len(self._tasks)):
            return self._circuit.wait_ms(steady_ms) / 1000 or _POLL_S
        if self._circuit.is_open:
            free = 1  # a probe
        now_ms = wall_ms()
        ready, next_ms = await self._database.run(queue.due, self.webhook.name, now_ms, list(self._tasks), free)
        if self._stopping:
            return _POLL_S
        for delivery in ready:
            task = asyncio.create_task(self._deliver(delivery))
            task.add_done_callback(lambda _task: self.wake())
            self._tasks[delivery.seller] = task
        self._count()
        return _POLL_S if next_ms is None else max((next_ms - now_ms) / 1000, 0.001)

    def _reap(self) -> None:
        for seller, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[seller]
                task.result()
        self._count()

    def _count(self) -> None:
        self._metrics.in_flight.labels(self.webhook.name).set(len(self._tasks))

    async def _deliver(self, delivery: Delivery) -> None:
        answer = await self._sender.send(delivery)
        verdict = answer.verdict
        self._metrics.attempts.labels(self.webhook.name, verdict.value).inc()
        log.debug("attempt", webhook=self.webhook.name, event_id=decode_header(delivery.event_id), answer=str(answer))
        if verdict is Verdict.DELIVERED:
            await self._database.run(queue.delivered, delivery, wall_ms())
            await self._well_again()
        elif verdict is Verdict.GONE:
            self._disable()
        elif verdict is Verdict.REFUSED:
            await self._again(delivery, answer, given_up=delivery.attempts + 1 >= REFUSALS_MAX)
            await self._well_again()
        else:
            if self._circuit.failed(_steady_ms(), answer.retry_after_ms):
                self._in_trouble(answer)
            await self._again(delivery, answer, given_up=wall_ms() - delivery.queued_ms >= self._give_up_after_ms)

    async def _again(self, delivery: Delivery, answer: Answer, *, given_up: bool) -> None:
        now_ms = wall_ms()
        if given_up:
            await self._database.run(queue.give_up, delivery, str(answer), now_ms)
            _tell_given_up(self._metrics, self.webhook.name, 1, str(answer), event_id=decode_header(delivery.event_id))
            return
        wait_ms = max(pause_ms(delivery.attempts + 1, self._dice), answer.retry_after_ms or 0)
        await self._database.run(queue.postpone, delivery, now_ms + wait_ms)

    async def _well_again(self) -> None:
        if self._circuit.succeeded():
            log.info("the endpoint is well again", webhook=self.webhook.name)
            self._metrics.circuit_open.labels(self.webhook.name).set(0)
            self._health.restore(f"webhook {self.webhook.name}")
            await self._database.run(queue.revive, self.webhook.name, wall_ms())

    def _in_trouble(self, answer: Answer) -> None:
        log.warning("the endpoint is in trouble", webhook=self.webhook.name, at=self.webhook.place, answer=str(answer))
        self._metrics.circuit_open.labels(self.webhook.name).set(1)
        self._health.degrade(f"webhook {self.webhook.name}", f"in trouble: {answer}")

    def _disable(self) -> None:
        if not self.disabled:
            self.disabled = True
            log.error(
                "the endpoint is gone (410): nothing more is sent to it until the notifier is started anew",
                webhook=self.webhook.name,
                at=self.webhook.place,
            )
            self._metrics.disabled.labels(self.webhook.name).set(1)
            self._health.degrade(f"webhook {self.webhook.name}", "gone (410)")


async def give_up_old(
    database: Database, metrics: NotifyMetrics, webhook: str, before_ms: int, busy: list[str], why: str
) -> None:
    """Put all of a webhook's deliveries that were queued before `before_ms` with the failed ones, and say so."""
    count = 0
    while moved := await database.run(queue.give_up_older, webhook, before_ms, busy, why, wall_ms()):
        count += moved
    if count:
        _tell_given_up(metrics, webhook, count, why)


def _tell_given_up(metrics: NotifyMetrics, webhook: str, count: int, why: str, **more: str) -> None:
    metrics.attempts.labels(webhook, "given_up").inc(count)
    log.error("given up; see notify --list-failed", webhook=webhook, count=count, why=why, **more)


def _steady_ms() -> int:
    return int(monotonic() * 1000)

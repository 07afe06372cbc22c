"""From the transitions topic into the queues."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from time import time
from typing import Any

from aiokafka import TopicPartition

from streams.clients.topic_reader import Part, TopicReader
from streams.clients.webhooks import ce_headers, encode_header
from streams.codecs.output_views import TransitionView, decode_transition
from streams.codecs.outputs import TRANSITION_TYPE
from streams.errors import BrokerUnreachable, LogCut, UserError
from streams.notify import queue
from streams.notify.database import Database
from streams.notify.metrics import NotifyMetrics
from streams.notify.queue import Event
from streams.notify.webhook_file import Webhook
from streams.observability.health import Health
from streams.observability.logging import get_logger
from streams.settings import Settings
from streams.wall import wall_ms

_RETRY_S = 1.0
# A broker that is silent for longer is worth a word; it is asked many times a second.
_SILENT_S = 30.0
# An index row of PostgreSQL has 2,700 bytes at the most; a seller's id of 256 letters may need more once encoded.
_LONGEST_SELLER = 500

log = get_logger(__name__)


class Intake:
    """Reads the topic and queues what the webhooks want, with the offsets in the same transactions."""

    def __init__(
        self,
        settings: Settings,
        webhooks: Sequence[Webhook],
        database: Database,
        metrics: NotifyMetrics,
        health: Health,
        on_news: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._topic = settings.flag_status_changed_topic
        self._webhooks = webhooks
        self._database = database
        self._metrics = metrics
        self._health = health
        self._on_news = on_news

    async def run(self, from_start: bool, started: asyncio.Event) -> None:
        """Read until cancelled; `started` is set once the topic is found. Raises UserError if it isn't.

        Where nothing of the topic was ever read, it begins at the end, or with `from_start` at the beginning.
        """
        doubtful = False
        while True:
            try:
                async with TopicReader(self._settings, [self._topic]) as reader:
                    doubtful = False
                    try:
                        await self._begin(reader, from_start)
                    except LogCut as error:
                        from_start = await self._begin_anew(error)
                        continue
                    started.set()
                    while True:
                        await self._take_in(await reader.read(), reader)
            except LogCut as error:
                # Retention may have overtaken us, or the cluster may have told of no such topic by mistake: whether it
                # is another topic now is seen when it is looked for again.
                log.warning("the topic can't be read on", reason=str(error))
                doubtful = True
            except UserError as error:
                if not started.is_set():
                    raise
                if doubtful and not isinstance(error, BrokerUnreachable):
                    from_start, doubtful = await self._begin_anew(error), False
                log.warning("the topic can't be read, trying on", reason=str(error))
                self._health.degrade("broker", str(error))
                await asyncio.sleep(_RETRY_S)

    async def _begin_anew(self, error: UserError) -> bool:
        log.warning("the topic was made anew: it will be read from its beginning", reason=str(error))
        await self._database.run(queue.forget_offsets, self._topic)
        return True

    async def _begin(self, reader: TopicReader, from_start: bool) -> None:
        found = await self._database.run(queue.read_offsets, self._topic)
        offsets = {TopicPartition(self._topic, number): offset for number, offset in found.items()}
        if not offsets and not from_start:
            offsets = await reader.ends()
        for partition, count in (await reader.begin_at(offsets)).items():
            self._metrics.missed.inc(count)
            log.error("records were deleted by age before they were read", partition=partition.partition, count=count)
        # At once: a notifier that is killed before the first record must not skip what comes meanwhile.
        positions = {partition.partition: offset for partition, offset in (await reader.positions()).items()}
        await self._database.run(queue.store_offsets, self._topic, positions)

    async def _take_in(self, parts: Sequence[Part], reader: TopicReader) -> None:
        age_s = time() - reader.complete_ms / 1000
        if reader.complete_ms:
            self._metrics.topic_age_s.set(max(age_s, 0))
            if age_s > _SILENT_S and not parts:
                self._health.degrade("broker", f"nothing can be read of {self._topic}")
            else:
                self._health.restore("broker")
        if not parts:
            return
        events = [event for part in parts for record in part.records if (event := self._event(record)) is not None]
        offsets = {part.partition.partition: part.next_offset for part in parts}
        new = await self._database.run(queue.take_in, self._topic, offsets, events, wall_ms())
        if new:
            self._metrics.transitions.inc(new)
            self._on_news()

    def _event(self, record: Any) -> Event | None:
        """The record as it is queued; None if no webhook wants it, or it is no transition."""
        transition = None if record.value is None else decode_transition(record.value)
        if transition is None:
            self._metrics.skipped.inc()
            return None
        webhooks = [webhook.name for webhook in self._webhooks if webhook.wants(transition)]
        if not webhooks:
            return None
        event_id = encode_header(transition.event_id)
        return Event(
            digest=hashlib.blake2b(event_id.encode() + b"\n" + record.value, digest_size=16).digest(),
            event_id=event_id,
            seller=seller_key(transition.seller_id),
            headers={**self._own_headers(transition), **ce_headers(record.headers)},
            body=record.value,
            webhooks=webhooks,
        )

    def _own_headers(self, transition: TransitionView) -> dict[str, str]:
        """For a record that lacks them, as one that was copied by some other program may."""
        return {
            "ce-specversion": "1.0",
            "ce-id": encode_header(transition.event_id),
            "ce-type": TRANSITION_TYPE,
            "ce-source": encode_header(self._settings.ce_source),
            "ce-subject": encode_header(transition.product_id),
            "ce-time": encode_header(transition.effective_at),
        }


def seller_key(seller_id: str | None) -> str:
    """What tells sellers apart in the database; products without a seller have one in common."""
    encoded = encode_header(seller_id or "")
    return encoded if len(encoded) <= _LONGEST_SELLER else hashlib.blake2b(encoded.encode(), digest_size=32).hexdigest()

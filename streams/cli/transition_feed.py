"""Reads transitions back from their topic: what is there, in order of time, and then what comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.codecs.output_views import TransitionView, decode_transition
from streams.engine.admin import TopicSpec, check_topics
from streams.engine.partitioning import partition_of
from streams.errors import UserError
from streams.settings import Settings

CONNECT_TIMEOUT_S = 10.0
_POLL_MS = 500
_BATCH_RECORDS = 500
# Copies follow each other closely: a worker that takes over publishes again what its predecessor published last, which
# is one cut at the most. So many ids are some 10 MB.
_IDS_REMEMBERED = 100_000


class Published(NamedTuple):
    """A transition as it was read: the record's value, and what it says."""

    value: bytes
    transition: TransitionView


async def partition_count(settings: Settings, topic: str) -> int:
    """The partitions of a topic. Raises UserError if there is no broker or no such topic, within seconds."""
    return await check_topics(settings.kafka_kwargs(), [TopicSpec(topic, 1)], timeout_s=CONNECT_TIMEOUT_S)


def key_of(product_id: str) -> bytes:
    """The key of a product's records; of an argument that is no text, as a terminal may give it, the bytes."""
    return product_id.encode("utf-8", "surrogateescape")


class TransitionFeed:
    """Reads the transitions topic without a group, as an async context manager. Copies of an event are given once.

    `product_id`: only the partition of this product is read, and nothing else is given. `skipped` counts records that
    are no transitions. Raises UserError, on entering, if there is no broker or no such topic.
    """

    def __init__(self, settings: Settings, *, from_start: bool, product_id: str | None = None) -> None:
        self.skipped = 0
        self._settings = settings
        self._topic = settings.flag_status_changed_topic
        self._from_start = from_start
        self._product_id = product_id
        self._consumer: AIOKafkaConsumer | None = None
        self._partitions: list[TopicPartition] = []
        self._ids: dict[str, None] = {}

    async def __aenter__(self) -> TransitionFeed:
        count = await partition_count(self._settings, self._topic)
        numbers: Iterable[int] = range(count)
        if self._product_id is not None:
            numbers = [partition_of(key_of(self._product_id), count)]
        self._partitions = [TopicPartition(self._topic, number) for number in numbers]
        self._consumer = consumer = AIOKafkaConsumer(
            **self._settings.kafka_kwargs(),
            group_id=None,
            enable_auto_commit=False,
            # What is deleted by age while it is read is not worth an error.
            auto_offset_reset="earliest",
            fetch_max_wait_ms=200,
        )
        try:
            with self._told():
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await consumer.start()
                    consumer.assign(self._partitions)
                    await self._seek(consumer)
        except BaseException:
            await consumer.stop()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._consumer is None:
            return
        try:
            await self._consumer.stop()
        except asyncio.CancelledError:
            # With a broker that has gone, aiokafka lets the end of its own tasks through as if it were ours.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise

    async def _seek(self, consumer: Any) -> None:
        offsets = consumer.beginning_offsets if self._from_start else consumer.end_offsets
        for partition, offset in (await offsets(self._partitions)).items():
            consumer.seek(partition, offset)

    async def backlog(self) -> AsyncIterator[Published]:
        """What is there at the time of the call and was not given yet, all partitions merged by effective_at.

        A product's transitions come in their order; within a partition effective_at never goes back.
        """
        ends = await self._ends()
        heads: dict[TopicPartition, deque[Published]] = {partition: deque() for partition in self._partitions}
        while True:
            hungry = [tp for tp in self._partitions if not heads[tp] and await self._position(tp) < ends[tp]]
            if hungry:
                found = await self._fetch(*hungry, timeout_ms=_POLL_MS, max_records=_BATCH_RECORDS)
                for tp, records in found.items():
                    heads[tp].extend(self._take(records))
                continue
            ready = [tp for tp in self._partitions if heads[tp]]
            if not ready:
                return
            first = min(ready, key=lambda tp: heads[tp][0].transition.effective_at)
            yield heads[first].popleft()

    async def news(self, timeout_ms: int = _POLL_MS) -> list[Published]:
        """What has come since the last call, by effective_at; [] if nothing does for `timeout_ms`."""
        found = await self._fetch(timeout_ms=timeout_ms)
        taken = [published for records in found.values() for published in self._take(records)]
        return sorted(taken, key=lambda published: published.transition.effective_at)

    async def _ends(self) -> dict[TopicPartition, int]:
        assert self._consumer is not None
        with self._told():
            ends: dict[TopicPartition, int] = await self._consumer.end_offsets(self._partitions)
        return ends

    async def _position(self, partition: TopicPartition) -> int:
        assert self._consumer is not None
        with self._told():
            return int(await self._consumer.position(partition))

    async def _fetch(self, *partitions: TopicPartition, **options: int) -> dict[TopicPartition, list[Any]]:
        assert self._consumer is not None
        with self._told():
            found: dict[TopicPartition, list[Any]] = await self._consumer.getmany(*partitions, **options)
        return found

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Kafka's errors as UserError."""
        try:
            yield
        except (KafkaError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise UserError(f"cannot read {self._topic} at {self._settings.broker}: {reason}") from error

    def _take(self, records: Iterable[Any]) -> list[Published]:
        """The transitions in these records that are to be given, copies left out."""
        taken = []
        for record in records:
            transition = None if record.value is None else decode_transition(record.value)
            if transition is None:
                self.skipped += 1
            elif self._product_id in (None, transition.product_id) and transition.event_id not in self._ids:
                self._remember(transition.event_id)
                taken.append(Published(record.value, transition))
        return taken

    def _remember(self, event_id: str) -> None:
        self._ids[event_id] = None
        if len(self._ids) > _IDS_REMEMBERED:
            del self._ids[next(iter(self._ids))]

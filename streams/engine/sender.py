"""Sends recorded or simulated events into the input topics, in order and fast.

(1) All records are counted first, so that it is known where the log of each partition will end.
(2) The first record of each topic's partition announces these ends, for all four topics, in a header. A worker in
    event clock that reads along then waits for what is announced, and merges the four topics as if it had found the
    finished log (SPEC 5: transitions are a function of the log).
(3) At the end of it a record may move the event clock on, to where the log is said to end.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from faust.types import TP

from streams.domain.events import IMPRESSIONS
from streams.engine.admin import check_topics, ensure_topics
from streams.engine.ends import LogEnds
from streams.engine.partitioning import partition_of
from streams.engine.processor import CLOCK_ADVANCED_TYPE, REPLAY_ENDS_HEADER
from streams.errors import UserError
from streams.settings import Settings
from streams.topics import topic_specs

BATCH_BYTES = 400_000
# Batches on their way: a few for each of many partitions, some tens of MB at the most.
IN_FLIGHT_MAX = 64
# How long the producer may take to stop when what it has under way is given up, s.
ABANDON_S = 5.0


class OutgoingRecord(Protocol):
    """A record for one of the input topics; `topic` is its index in SPEC 2's order."""

    @property
    def topic(self) -> int:
        """The index of its topic."""

    @property
    def timestamp_ms(self) -> int:
        """Its timestamp."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def value(self) -> bytes | None:
        """Its value."""


def send_records(
    settings: Settings,
    records: Iterable[OutgoingRecord],
    progress: Callable[[int], None],
    *,
    until_ms: int | None = None,
) -> dict[TP, int]:
    """Send all records, acked; returns where each input partition now ends.

    `records` is gone through twice. `progress` is called with the number of records sent since the last call.
    `until_ms` moves the event clock of every partition on to this time after the last record.
    Raises UserError if there is no broker, or the topics are not as they must be.
    """
    return asyncio.run(send(settings, records, progress, until_ms=until_ms))


async def send(
    settings: Settings,
    records: Iterable[OutgoingRecord],
    progress: Callable[[int], None],
    *,
    until_ms: int | None = None,
) -> dict[TP, int]:
    """As `send_records`, within a running loop."""
    async with LogSender(settings) as sender:
        return await sender.send(records, progress, until_ms=until_ms)


class LogSender:
    """Sends a log in parts, as an async context manager; the topics are created and checked when it is entered.

    Each part announces its own ends. A worker that reads along merges the whole log in its one order if every record
    of a part is later, by its timestamp, than every record of the part before.
    Raises UserError if there is no broker, or the topics are not as they must be.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._partitions = 0
        connection = settings.kafka_kwargs()
        self._ends = LogEnds(connection, settings.input_topics)
        self._connection = connection
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> LogSender:
        specs = topic_specs(self._settings, keep_input=True)
        if self._settings.create_topics:
            await ensure_topics(self._connection, specs)
        self._partitions = await check_topics(self._connection, specs)
        self._producer = AIOKafkaProducer(
            **self._connection, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES, linger_ms=0
        )
        try:
            with _told():
                await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self._ends.stop()
        if self._producer is not None:
            # Whoever was interrupted does not wait for what may never be acked.
            with suppress(TimeoutError):
                async with asyncio.timeout(None if kind is None else ABANDON_S):
                    await self._producer.stop()

    async def send(
        self, records: Iterable[OutgoingRecord], progress: Callable[[int], None], *, until_ms: int | None = None
    ) -> dict[TP, int]:
        """Send a part; arguments, result and errors as of `send_records`."""
        topics, partitions = self._settings.input_topics, self._partitions
        ends = await self._announced_ends(records, until_ms is not None)
        sender = _Sender(self._producer, topics, ends, progress)
        with _told():
            for record in records:
                await sender.add(record.topic, partition_of(record.key, partitions), record)
            if until_ms is not None:
                for partition in range(partitions):
                    await sender.add(IMPRESSIONS, partition, _ClockRecord(until_ms))
            await sender.finish()
        return {TP(topics[topic], partition): end for (topic, partition), end in ends.items()}

    async def _announced_ends(self, records: Iterable[OutgoingRecord], with_clock: bool) -> dict[tuple[int, int], int]:
        """Where each (topic, partition) will end."""
        counts: dict[tuple[int, int], int] = defaultdict(int)
        for record in records:
            counts[record.topic, partition_of(record.key, self._partitions)] += 1
        present = await self._ends.of(range(self._partitions))
        ends = {}
        for topic, name in enumerate(self._settings.input_topics):
            for partition in range(self._partitions):
                extra = 1 if with_clock and topic == IMPRESSIONS else 0
                ends[topic, partition] = present[TP(name, partition)] + counts[topic, partition] + extra
        return ends


@contextmanager
def _told() -> Iterator[None]:
    """Kafka's errors as UserError."""
    try:
        yield
    except KafkaError as error:
        raise UserError(f"sending failed, part of the events may be in the topics: {error}") from error


class _ClockRecord:
    """Moves the event clock on to `timestamp_ms`; see `engine.processor`."""

    topic = IMPRESSIONS
    key = None

    def __init__(self, until_ms: int) -> None:
        self.timestamp_ms = until_ms
        self.value = msgspec.json.encode({"type": CLOCK_ADVANCED_TYPE, "until_ms": until_ms})


class _Sender:
    """Batches per topic and partition, in order of arrival."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topics: tuple[str, ...],
        ends: Mapping[tuple[int, int], int],
        progress: Callable[[int], None],
    ) -> None:
        self._producer = producer
        self._topics = topics
        self._progress = progress
        self._batches: dict[tuple[int, int], Any] = {}
        self._acks: set[asyncio.Future[Any]] = set()
        self._announced: set[tuple[int, int]] = set()
        self._announcements = {
            partition: ",".join(str(ends[topic, partition]) for topic in range(len(topics))).encode()
            for _, partition in ends
        }

    async def add(self, topic: int, partition: int, record: OutgoingRecord) -> None:
        where = (topic, partition)
        headers = []
        if where not in self._announced:
            self._announced.add(where)
            headers.append((REPLAY_ENDS_HEADER, self._announcements[partition]))
        fields = {"key": record.key, "value": record.value, "timestamp": record.timestamp_ms, "headers": headers}
        batch = self._batches.get(where)
        if batch is None or batch.append(**fields) is None:
            if batch is not None:
                await self._send(where)
            batch = self._batches[where] = self._producer.create_batch()
            batch.append(**fields)

    async def finish(self) -> None:
        for where in list(self._batches):
            await self._send(where)
        await asyncio.gather(*self._acks)

    async def _send(self, where: tuple[int, int]) -> None:
        batch = self._batches.pop(where)
        count = batch.record_count()
        batch.close()
        while len(self._acks) >= IN_FLIGHT_MAX:
            done, self._acks = await asyncio.wait(self._acks, return_when=asyncio.FIRST_COMPLETED)
            for ack in done:
                ack.result()
        topic, partition = where
        self._acks.add(await self._producer.send_batch(batch, self._topics[topic], partition=partition))
        self._progress(count)

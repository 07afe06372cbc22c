"""Reads whole topics without a consumer group: whoever reads keeps the offsets beside what it made of the records."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from streams.engine.admin import TopicSpec, check_topics
from streams.engine.record_sets import accept_any_header_name
from streams.errors import BrokerUnreachable, LogCut
from streams.settings import Settings

CONNECT_TIMEOUT_S = 10.0
#: Most records in one answer of `read`: what is done with them is done at one go, in one transaction for instance.
MAX_RECORDS = 2_000
_ASK_TIMEOUT_S = 30.0
# The topics' partitions are compared with those that are read this often; it is a look into memory.
_LOOK_S = 1.0
# So late is a partition noticed that was added to a topic; the client's own 5 min would be long for a wrong "clear".
_METADATA_AGE_MS = 30_000
# A broker that has just started may say for a moment that it knows no such topic.
_GONE_S = 5.0


@dataclass(frozen=True, slots=True)
class Part:
    """What was read of one partition: its records in order, and the offset at which to go on."""

    partition: TopicPartition
    records: Sequence[Any]
    next_offset: int


class TopicReader:
    """All partitions of some topics, as an async context manager.

    Raises UserError, on entering, if there is no broker or one of the topics is missing. After that a broker that does
    not answer is waited for: `read` gives nothing meanwhile.
    """

    def __init__(self, settings: Settings, topics: Sequence[str]) -> None:
        self._settings = settings
        self._topics = topics
        self._consumer: Any = None
        self._looked_at = self._seen_at = 0.0
        self._complete_ms: dict[TopicPartition, int] = {}
        self.partitions: list[TopicPartition] = []
        """All partitions of the topics, in the topics' order; those that are added later at the end."""

    @property
    def complete_ms(self) -> int:
        """When (ms since the epoch) all that was in the topics had been given by `read`; 0 if that never was so."""
        return min((self._complete_ms.get(partition, 0) for partition in self.partitions), default=0)

    async def __aenter__(self) -> Self:
        connection = self._settings.kafka_kwargs()
        for topic in self._topics:
            count = await check_topics(connection, [TopicSpec(topic, 1)], timeout_s=CONNECT_TIMEOUT_S)
            self.partitions += [TopicPartition(topic, number) for number in range(count)]
        accept_any_header_name()
        self._consumer = AIOKafkaConsumer(
            **connection,
            group_id=None,
            enable_auto_commit=False,
            # A log that was cut is to be told, not passed over.
            auto_offset_reset="none",
            fetch_max_wait_ms=self._settings.fetch_max_wait_ms,
            metadata_max_age_ms=_METADATA_AGE_MS,
        )
        try:
            with self._told():
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await self._consumer.start()
            self._consumer.assign(self.partitions)
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            await self._consumer.stop()
        except asyncio.CancelledError:
            # With a broker that has gone, aiokafka lets the end of its own tasks through as if it were ours.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise

    async def begin_at(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Go on at these offsets; a partition without one begins at its beginning.

        An offset whose record was deleted by age goes on at what is left: returns how many offsets were passed over
        so, by partition. Raises LogCut, and leaves the positions as they are, if one lies beyond the end of its
        partition: the topic is another one than that which was read. Raises BrokerUnreachable.
        """
        begins, ends = await self._beginnings(), await self.ends()
        for partition, offset in offsets.items():
            if offset > ends.get(partition, 0):
                raise LogCut(
                    f"{partition.topic}-{partition.partition} ends at {ends.get(partition, 0)}, but was read up to "
                    f"{offset} before: the topic was deleted and made anew"
                )
        gone = {}
        for partition in self.partitions:
            begin = begins[partition]
            offset = offsets.get(partition, begin)
            if offset < begin:
                gone[partition] = begin - offset
            self._consumer.seek(partition, max(begin, offset))
        self._seen_at = monotonic()
        return gone

    async def read(self, timeout_ms: int = 200) -> list[Part]:
        """What has come, up to MAX_RECORDS; [] if nothing does for `timeout_ms`.

        Partitions that a topic is given meanwhile are read from their beginning. Raises LogCut if a partition no longer
        has the position we are at (see `begin_at`), or a topic is gone; one that was deleted, made anew and filled
        beyond our position within seconds is not told from the old one. Raises BrokerUnreachable for what a client
        can't wait away, such as a lost permission.
        """
        if monotonic() - self._looked_at >= _LOOK_S:
            await self._look()
        try:
            with self._told():
                found = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=MAX_RECORDS)
        except OffsetOutOfRangeError as error:
            raise LogCut(f"a position is out of its partition's range: {error}") from None
        parts = [Part(tp, records, await self._consumer.position(tp)) for tp, records in found.items() if records]
        for partition in self.partitions:
            highwater = self._consumer.highwater(partition)
            if highwater is not None and await self._consumer.position(partition) >= highwater:
                self._complete_ms[partition] = self._consumer.last_poll_timestamp(partition)
        return parts

    async def lag(self) -> int:
        """How many offsets lie ahead of us, as of what the broker told with its last answers."""
        lag = 0
        for partition, position in (await self.positions()).items():
            end = self._consumer.highwater(partition)
            lag += 0 if end is None else max(0, end - position)
        return lag

    async def positions(self) -> dict[TopicPartition, int]:
        """The offset of the record of each partition that `read` will give next."""
        return {partition: await self._consumer.position(partition) for partition in self.partitions}

    async def _look(self) -> None:
        """Notice that a topic is gone, or has more partitions than before."""
        now = self._looked_at = monotonic()
        counts = {topic: len(self._consumer.partitions_for_topic(topic) or ()) for topic in self._topics}
        gone = [topic for topic, count in counts.items() if not count]
        if not gone:
            self._seen_at = now
        elif now - self._seen_at >= _GONE_S:
            raise LogCut(f"{', '.join(gone)}: the topic is gone")
        known = set(self.partitions)
        every = (TopicPartition(topic, number) for topic, count in counts.items() for number in range(count))
        added = [partition for partition in every if partition not in known]
        if added:
            positions = await self.positions()
            self._consumer.assign([*self.partitions, *added])
            self.partitions += added
            for partition in self.partitions:
                self._consumer.seek(partition, positions.get(partition, 0))

    async def ends(self) -> dict[TopicPartition, int]:
        """The offset that each partition's next record will get. Raises BrokerUnreachable."""
        return await self._ask(self._consumer.end_offsets)

    async def _beginnings(self) -> dict[TopicPartition, int]:
        return await self._ask(self._consumer.beginning_offsets)

    async def _ask(self, offsets: Any) -> dict[TopicPartition, int]:
        try:
            with self._told():
                async with asyncio.timeout(_ASK_TIMEOUT_S):
                    answer: dict[TopicPartition, int] = await offsets(self.partitions)
        except TimeoutError:
            raise BrokerUnreachable(f"The Kafka broker at {self._settings.broker} does not answer any more") from None
        return answer

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Kafka's errors as one a user can mend."""
        try:
            yield
        except OffsetOutOfRangeError:
            raise
        except (KafkaError, TimeoutError) as error:
            raise BrokerUnreachable(
                f"The Kafka broker at {self._settings.broker} can't be used: {str(error) or type(error).__name__}. "
                "Is it running, and is its address right (FLAGGED_BROKER)?"
            ) from error

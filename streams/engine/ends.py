"""Where logs begin and end, asked of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from streams.engine.merge import TopicQueue
from streams.errors import BrokerUnreachable, LogCut
from streams.observability.logging import get_logger

# Such a question is answered in milliseconds; after a broker's restart a connection may be dead without a word.
REQUEST_TIMEOUT_MS = 10_000

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InputBounds:
    """What there is of the input topics: by partition, the first offset still there, and the end."""

    begins: Mapping[TP, int]
    ends: Mapping[TP, int]

    def fit(self, queue: TopicQueue, tp: TP) -> None:
        """Let a queue know where its log begins and ends. Raises LogCut if it ends before what was applied."""
        begin, end = self.begins[tp], self.ends[tp]
        if queue.position > end:
            raise LogCut(
                f"{tp.topic}-{tp.partition} ends at offset {end}, but {queue.position} was already applied: the topic "
                "was deleted and made anew, or the broker lost data. Its new records cannot be told from the old ones: "
                "start under another app_id (FLAGGED_APP_ID) and replay"
            )
        if queue.position < begin:
            # Gone by retention. Nobody can wait for it; on a fresh app_id it is nothing to speak of.
            log.warning("records are gone unread", topic=tp.topic, partition=tp.partition, count=begin - queue.position)
            queue.position = queue.fetched = begin
        queue.end = max(queue.end, end)


class LogEnds:
    """Asks by a consumer of its own, which belongs to no group and reads nothing."""

    def __init__(self, connection: Mapping[str, Any], topics: Iterable[str]) -> None:
        self._connection = dict(connection)
        self._topics = tuple(topics)
        self._client: AIOKafkaConsumer | None = None
        self._starting = asyncio.Lock()

    async def of(self, partitions: Iterable[int]) -> dict[TP, int]:
        """The end offset of each input topic in these partitions."""
        tps = [TopicPartition(topic, partition) for partition in partitions for topic in self._topics]
        return {TP(*tp): end for tp, end in (await self._end_offsets(tps)).items()}

    async def begins(self, partitions: Iterable[int]) -> dict[TP, int]:
        """The offset of the first record still there, of each input topic in these partitions."""
        tps = [TopicPartition(topic, partition) for partition in partitions for topic in self._topics]
        if not tps:
            return {}
        client = await self._started()
        return {TP(*tp): begin for tp, begin in (await client.beginning_offsets(tps)).items()}

    async def end(self, topic: str, partition: int) -> int:
        """The offset that the next record of a partition will get."""
        tp = TopicPartition(topic, partition)
        return (await self._end_offsets([tp]))[tp]

    async def _end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        if not tps:
            return {}
        ends: dict[TopicPartition, int] = await (await self._started()).end_offsets(tps)
        return ends

    async def _started(self) -> AIOKafkaConsumer:
        async with self._starting:  # several partitions are taken over at once, and one client is enough
            if self._client is None:
                self._client = await self._start()
        return self._client

    async def _start(self) -> AIOKafkaConsumer:
        client = AIOKafkaConsumer(
            **self._connection,
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        try:
            await client.start()
        except KafkaError as error:
            await client.stop()
            servers = self._connection.get("bootstrap_servers")
            raise BrokerUnreachable(f"No Kafka broker could be reached at {servers}: {error}") from error
        return client

    async def stop(self) -> None:
        """Close the client."""
        client, self._client = self._client, None
        if client is not None:
            await client.stop()

"""Where logs end: asked of the broker before taking over, and watched to know what is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from streams.engine.consumer import BatchConsumer
from streams.engine.processor import PartitionProcessor
from streams.errors import UserError


class LogEnds:
    """Asks for end offsets by a consumer of its own, which belongs to no group and reads nothing."""

    def __init__(self, connection: Mapping[str, Any], topics: Iterable[str]) -> None:
        self._connection = dict(connection)
        self._topics = tuple(topics)
        self._client: AIOKafkaConsumer | None = None

    async def of(self, partitions: Iterable[int]) -> dict[TP, int]:
        """The end offset of each input topic in these partitions."""
        tps = [TopicPartition(topic, partition) for partition in partitions for topic in self._topics]
        return {TP(*tp): end for tp, end in (await self._end_offsets(tps)).items()}

    async def end(self, topic: str, partition: int) -> int:
        """The offset that the next record of a partition will get."""
        tp = TopicPartition(topic, partition)
        return (await self._end_offsets([tp]))[tp]

    async def _end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        if not tps:
            return {}
        if self._client is None:
            client = AIOKafkaConsumer(
                **self._connection, group_id=None, enable_auto_commit=False, isolation_level="read_committed"
            )
            try:
                await client.start()
            except KafkaError as error:
                await client.stop()
                servers = self._connection.get("bootstrap_servers")
                raise UserError(f"No Kafka broker could be reached at {servers}: {error}") from error
            self._client = client
        ends: dict[TopicPartition, int] = await self._client.end_offsets(tps)
        return ends

    async def stop(self) -> None:
        """Close the client."""
        client, self._client = self._client, None
        if client is not None:
            await client.stop()

    def safe_wall_of(
        self, partition: int, processor: PartitionProcessor, consumer: Callable[[], BatchConsumer]
    ) -> Callable[[], int | None]:
        """A function that tells up to which wall time (ms) all input of a partition is known to be read, or None.

        An answer of the broker that shows a topic read to its end covers all that was written before that answer was
        asked for; and it was asked for after the answer before it. So of two answers at the end, the earlier one's time
        is safe: no unread record can be older (SPEC 5: the clock never passes an event that is still unread).
        """
        tps = [TP(topic, partition) for topic in self._topics]
        seen: list[int | None] = [None] * len(tps)
        safe: list[int | None] = [None] * len(tps)

        def safe_wall() -> int | None:
            source = consumer()
            if not source.flowing:
                return None
            for index, (tp, queue) in enumerate(zip(tps, processor.queues, strict=True)):
                progress = source.progress(tp)
                if progress is None or queue.fetched < progress.end or queue.chunks:
                    seen[index] = safe[index] = None
                    continue
                before = seen[index]
                if before is not None and progress.answered_ms > before:
                    safe[index] = before
                seen[index] = progress.answered_ms
            times = [at for at in safe if at is not None]
            return min(times) if len(times) == len(safe) else None

        return safe_wall

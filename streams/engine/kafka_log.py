"""The log a partition's cuts and outputs are written to and read from: a protocol, and Kafka as one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from streams.engine.batch import RecordBatch
from streams.engine.ends import LogEnds
from streams.engine.log_reader import read_partition
from streams.engine.log_writer import AtomicWriter, Row


class Log(Protocol):
    """What the flush protocol asks of Kafka. The simulator has another one."""

    async def append(self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int) -> int:
        """Append all rows as one record batch, whole or not at all; the base offset. Raises a WriteError."""

    async def publish(self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int) -> list[int]:
        """Append rows in order, in as many batches as needed; their offsets, once all are acked."""

    def read(self, topic: str, partition: int, start: int, end: int | None = None) -> AsyncIterator[RecordBatch]:
        """What is in a partition from `start` up to `end`, or else up to its present end."""

    async def end(self, topic: str, partition: int) -> int:
        """The offset that the next record of a partition will get."""


class KafkaLog:
    """A `Log` on a broker: one idempotent producer, and a consumer for each reading."""

    def __init__(self, connection: Mapping[str, Any], writer: AtomicWriter, ends: LogEnds) -> None:
        self._connection = connection
        self._writer = writer
        self._ends = ends

    async def append(self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int) -> int:
        """As `Log`."""
        return await self._writer.append(topic, partition, rows, timestamp_ms)

    async def publish(self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int) -> list[int]:
        """As `Log`."""
        return await self._writer.publish(topic, partition, rows, timestamp_ms)

    def read(self, topic: str, partition: int, start: int, end: int | None = None) -> AsyncIterator[RecordBatch]:
        """As `Log`."""
        return read_partition(self._connection, topic, partition, start=start, end=end)

    async def end(self, topic: str, partition: int) -> int:
        """As `Log`."""
        return await self._ends.end(topic, partition)

"""The log a partition's cuts and outputs are written to and read from: a protocol, and Kafka as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from time import monotonic
from typing import Any, Protocol, TypeAlias

from streams.engine.batch import RecordBatch
from streams.engine.ends import LogEnds
from streams.engine.log_reader import read_partition
from streams.engine.log_writer import AtomicWriter, Row
from streams.engine.patience import RETRY_S, Patience, passes
from streams.engine.tasks import side_by_side

Outputs: TypeAlias = Sequence[tuple[str, Sequence[Row]]]
"""Rows by topic; there may be none of one."""


class Log(Protocol):
    """What the flush protocol asks of Kafka. The simulator has another one."""

    async def append(self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int) -> int:
        """Append all rows as one record batch, whole or not at all; the base offset. Raises a WriteError."""

    async def publish(self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int) -> list[int]:
        """Append rows in order, in as many batches as needed; their offsets, once all are acked."""

    async def publish_all(self, partition: int, outputs: Outputs, timestamp_ms: int) -> list[list[int]]:
        """`publish` to several topics, side by side; the offsets of each. Raises once all have ended, what one did."""

    def read(self, topic: str, partition: int, start: int, end: int | None = None) -> AsyncIterator[RecordBatch]:
        """What is in a partition from `start` up to `end`, or else up to its present end."""

    async def end(self, topic: str, partition: int) -> int:
        """The offset that the next record of a partition will get."""


class KafkaLog:
    """A `Log` on a broker: one idempotent producer, and a consumer for each reading. Outlasts a broker's absence."""

    def __init__(self, connection: Mapping[str, Any], writer: AtomicWriter, ends: LogEnds, patience: Patience) -> None:
        self._connection = connection
        self._writer = writer
        self._ends = ends
        self._patience = patience

    async def append(self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int) -> int:
        """As `Log`."""
        return await self._writer.append(topic, partition, rows, timestamp_ms)

    async def publish(self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int) -> list[int]:
        """As `Log`."""
        return await self._writer.publish(topic, partition, rows, timestamp_ms)

    async def publish_all(self, partition: int, outputs: Outputs, timestamp_ms: int) -> list[list[int]]:
        """As `Log`."""
        return await side_by_side(self.publish(topic, partition, rows, timestamp_ms) for topic, rows in outputs)

    async def read(self, topic: str, partition: int, start: int, end: int | None = None) -> AsyncIterator[RecordBatch]:
        """As `Log`."""
        if end is None:
            end = await self.end(topic, partition)
        what, began = f"read {topic}-{partition}", monotonic()
        position, reading = start, True
        try:
            while reading:
                try:
                    async for batch in read_partition(self._connection, topic, partition, start=position, end=end):
                        # What was read stands: after an error it goes on where it broke off.
                        position = batch.next_offset
                        yield batch
                    reading = False
                except Exception as error:
                    if not passes(error):
                        raise
                    self._patience.waiting(what, began, str(error) or repr(error))
                    await asyncio.sleep(RETRY_S)
        finally:
            self._patience.over(what)

    async def end(self, topic: str, partition: int) -> int:
        """As `Log`."""
        return await self._patience.outlast(
            f"ask for the end of {topic}-{partition}", lambda: self._ends.end(topic, partition)
        )

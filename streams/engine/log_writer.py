"""Appends to partitions: a cut as one record batch, and outputs in order (DESIGN, decisions 2 and 3).

The producer is idempotent with acks=all, so a retried batch is neither doubled nor reordered. Kafka appends a record
batch whole or not at all, and a batch's records get consecutive offsets from the base offset of its ack.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    KafkaTimeoutError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
)

from streams.engine.patience import TELL_AFTER_S, Patience
from streams.errors import BrokerUnreachable

#: Key, value (None: a tombstone), headers (`()`: none).
Row = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]

#: A record batch's own header, and at most so much per record and per header beside their bytes.
BATCH_OVERHEAD_BYTES = 61
RECORD_OVERHEAD_BYTES = 32
HEADER_OVERHEAD_BYTES = 10


class WriteError(Exception):
    """An append that didn't happen, or of which it isn't known whether it did."""

    #: Whether the same could succeed later, with a new writer.
    retriable = False


class BatchTooLarge(WriteError):
    """The rows don't fit into one record batch. Found before anything was sent; the writer stays good."""


class WriterFenced(WriteError):
    """The broker knows a newer state of this producer: give the partition up."""


class WriteFailed(WriteError):
    """The broker refused (authorization, size, invalid data), or the writer is spent or stopped."""


class WriteUnavailable(WriteError):
    """No answer in time. Whether the rows were appended is unknown."""

    retriable = True


class AtomicWriter:
    """One idempotent producer. Sends to different partitions run side by side; to one partition, one at a time.

    After any error but BatchTooLarge, or when a call was cancelled, sequence numbers may have a hole: the writer is
    spent and every later call raises WriteFailed. Make a new one, after reading the log's end. With `patience` a
    cancelled call spends nothing: what it has handed over is sent and acked all the same, unseen.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        *,
        max_batch_bytes: int = 15_000_000,
        publish_batch_bytes: int = 900_000,
        compression: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        """`connection`: aiokafka keyword arguments. `compression`: None, "lz4", "gzip", "snappy" or "zstd".

        `max_batch_bytes`: of one `append`, before compression; below the changelog's `max.message.bytes`.
        `publish_batch_bytes`: of one batch of `publish`; below Kafka's default `max.message.bytes` of 1 MiB.
        `patience`: with it a write waits for its ack as long as it takes; without it, `timeout_s` is the longest.
        """
        self._connection = dict(connection)
        self._max_batch_bytes = max_batch_bytes
        self._publish_batch_bytes = publish_batch_bytes
        self._compression = compression
        self._patience = patience
        self._producer: AIOKafkaProducer | None = None
        self._spent: str | None = "it isn't started"

    async def start(self) -> None:
        """Connect. BrokerUnreachable when there is none."""
        self._producer = AIOKafkaProducer(
            **self._connection,
            acks="all",
            enable_idempotence=True,
            max_batch_size=self._max_batch_bytes,
            max_request_size=self._max_batch_bytes,
            compression_type=self._compression,
            linger_ms=0,
        )
        try:
            await self._producer.start()
        except KafkaError as exc:
            await self._producer.stop()
            servers = self._connection.get("bootstrap_servers")
            raise BrokerUnreachable(f"No Kafka broker could be reached at {servers}: {exc}") from exc
        if self._patience is not None:
            # aiokafka asks for the ack of an idempotent batch for ever, but gives it up if its partition has no leader
            # once it is older than this: just when a broker comes back after long, and with a hole in the sequence.
            self._producer._message_accumulator._batch_ttl = math.inf
        self._spent = None

    @property
    def is_usable(self) -> bool:
        """Whether it was started, and no error or cancelled call has spent it."""
        return self._spent is None

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Close; what is still unacked after `timeout_s` is given up."""
        self._spent = self._spent or "it is stopped"
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            await asyncio.wait_for(producer.stop(), timeout_s)
        except TimeoutError:
            await producer.client.close()

    async def append(
        self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int, *, timeout_s: float = 60.0
    ) -> int:
        """Append all rows as one record batch; the base offset (row i has offset base + i).

        Raises BatchTooLarge, WriterFenced, WriteFailed, WriteUnavailable, ValueError for no rows.
        """
        if not rows:
            raise ValueError("an empty record batch can't be appended")
        producer = self._usable()
        builder = producer.create_batch()
        for key, value, headers in rows:
            if builder.append(timestamp=timestamp_ms, key=key, value=value, headers=list(headers)) is None:
                raise BatchTooLarge(f"{len(rows)} rows don't fit into {self._max_batch_bytes} bytes")
        # aiokafka takes a first record of any size.
        if builder.size() > self._max_batch_bytes:
            raise BatchTooLarge(f"{builder.size()} bytes in {len(rows)} rows exceed {self._max_batch_bytes}")
        return await self._send(producer, builder, topic, partition, timeout_s)

    async def publish(
        self, topic: str, partition: int, records: Sequence[Row], timestamp_ms: int, *, timeout_s: float = 60.0
    ) -> list[int]:
        """Append records in order, in as many batches as needed, and wait for all acks; their offsets.

        Raises as `append`; BatchTooLarge, before any is sent, for a single record over `publish_batch_bytes`.
        """
        producer = self._usable()
        offsets: list[int] = []
        for chunk in self._chunks(records):
            builder = producer.create_batch()
            for key, value, headers in chunk:
                builder.append(timestamp=timestamp_ms, key=key, value=value, headers=list(headers))
            base = await self._send(producer, builder, topic, partition, timeout_s)
            offsets.extend(range(base, base + len(chunk)))
        return offsets

    def _chunks(self, records: Sequence[Row]) -> list[list[Row]]:
        chunks: list[list[Row]] = []
        size = self._publish_batch_bytes
        for record in records:
            record_size = _upper_size(record)
            if record_size + BATCH_OVERHEAD_BYTES > self._publish_batch_bytes:
                raise BatchTooLarge(f"a record of {record_size} bytes exceeds {self._publish_batch_bytes}")
            if size + record_size > self._publish_batch_bytes:
                chunks.append([])
                size = BATCH_OVERHEAD_BYTES
            chunks[-1].append(record)
            size += record_size
        return chunks

    def _usable(self) -> AIOKafkaProducer:
        if self._spent is not None or self._producer is None:
            raise WriteFailed(f"the writer can't be used: {self._spent}")
        return self._producer

    async def _send(
        self, producer: AIOKafkaProducer, builder: Any, topic: str, partition: int, timeout_s: float
    ) -> int:
        builder.close()
        where = f"{topic}-{partition}"
        self._usable()
        try:
            if self._patience is not None:
                metadata = await self._outlast(self._patience, producer, builder, topic, partition)
            else:
                async with asyncio.timeout(timeout_s):
                    acked = await producer.send_batch(builder, topic, partition=partition)
                    metadata = await acked
        except (KafkaError, TimeoutError, asyncio.CancelledError) as exc:
            if isinstance(exc, asyncio.CancelledError):
                if self._patience is None:
                    self._spent = f"{where}: {exc!r}"
                raise
            self._spent = f"{where}: {exc!r}"
            raise _translate(exc, where, timeout_s) from exc
        # -1: acked as a duplicate that the broker remembers no offset of; with one batch in flight it can't be.
        if metadata.offset < 0:
            self._spent = f"{where}: no base offset"
            raise WriteUnavailable(f"{where}: acked without a base offset")
        return int(metadata.offset)

    async def _outlast(
        self, patience: Patience, producer: AIOKafkaProducer, builder: Any, topic: str, partition: int
    ) -> Any:
        """The ack, however long it takes."""
        what, began = f"write to {topic}-{partition}", monotonic()
        # Until it is taken in, nothing was sent and no sequence number used.
        acked = await patience.outlast(what, lambda: producer.send_batch(builder, topic, partition=partition))
        try:
            while not acked.done():
                await asyncio.wait([acked], timeout=TELL_AFTER_S)
                if not acked.done():
                    patience.waiting(what, began, "the broker does not take it, or does not answer")
            return acked.result()
        finally:
            patience.over(what)


def _translate(exc: BaseException, where: str, timeout_s: float) -> WriteError:
    if isinstance(exc, ProducerFenced | OutOfOrderSequenceNumber | InvalidProducerEpoch):
        return WriterFenced(f"{where}: {exc!r}")
    if isinstance(exc, TimeoutError | KafkaTimeoutError):
        return WriteUnavailable(f"{where}: not acked within {timeout_s} s")
    if isinstance(exc, KafkaError) and exc.retriable and not isinstance(exc, ProducerClosed):
        return WriteUnavailable(f"{where}: {exc!r}")
    return WriteFailed(f"{where}: {exc!r}")


def _upper_size(record: Row) -> int:
    key, value, headers = record
    size = RECORD_OVERHEAD_BYTES + len(key or b"") + len(value or b"")
    for name, text in headers:
        size += HEADER_OVERHEAD_BYTES + len(name.encode()) + len(text or b"")
    return size

"""Reads a partition from an offset to its end, in whole batches and without a group (DESIGN, decision 6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError
from faust.types import TP

from streams.engine.batch import RecordBatch
from streams.engine.fetched import FetchDrain, close_consumer
from streams.engine.record_sets import accept_any_header_name
from streams.errors import BrokerUnreachable, UserError

#: Large fetches, for there is nothing else to do meanwhile: aiokafka asks for more only when an answer is used up.
FETCH_BYTES = 8 * 1024 * 1024
FETCH_MAX_WAIT_MS = 50
#: How often to look whether reading has stalled, s.
POLL_S = 1.0
CLOSE_TIMEOUT_S = 10.0


class ReadStalled(Exception):
    """A partition has more to read, but nothing came for the time given. Trying again later may help."""


async def read_partition(
    connection: Mapping[str, Any],
    topic: str,
    partition: int,
    *,
    start: int = 0,
    end: int | None = None,
    max_records: int = 10_000,
    stall_timeout_s: float = 60.0,
) -> AsyncIterator[RecordBatch]:
    """The partition's records from `start` up to `end`, as batches of up to `max_records`.

    `start` before the log's beginning means its beginning. `end` is the end at the time of the call by default; nothing
    at or beyond it is given, though records may be written meanwhile. Reads uncommitted data too. The batches chain:
    each one's start_offset is the next_offset of the one before, and the last one's next_offset is `end`.

    Raises ReadStalled, BrokerUnreachable, UserError (no such topic), KafkaError (not authorized, corrupt data).
    """
    tp = TopicPartition(topic, partition)
    async with _consumer(connection, tp) as consumer:
        begin, log_end = await _range(consumer, tp, stall_timeout_s)
        position = max(start, begin)
        end = log_end if end is None else min(end, log_end)
        if position >= end:
            return
        consumer.assign([tp])
        consumer.seek(tp, position)
        drain = FetchDrain(consumer._fetcher)
        while position < end:
            batch = await _next(drain, TP(*tp), max_records, position, stall_timeout_s)
            if batch.next_offset > end:
                batch.cut(end)
            position = batch.next_offset
            yield batch


async def offsets_range(
    connection: Mapping[str, Any], topic: str, partition: int, *, timeout_s: float = 60.0
) -> tuple[int, int]:
    """The partition's first and its next offset. Raises as `read_partition`."""
    tp = TopicPartition(topic, partition)
    async with _consumer(connection, tp) as consumer:
        return await _range(consumer, tp, timeout_s)


async def end_offset(connection: Mapping[str, Any], topic: str, partition: int, *, timeout_s: float = 60.0) -> int:
    """The offset that the next record of the partition will get. Raises as `read_partition`."""
    return (await offsets_range(connection, topic, partition, timeout_s=timeout_s))[1]


@asynccontextmanager
async def _consumer(connection: Mapping[str, Any], tp: TopicPartition) -> AsyncIterator[AIOKafkaConsumer]:
    accept_any_header_name()
    consumer = AIOKafkaConsumer(
        **dict(connection),
        group_id=None,
        enable_auto_commit=False,
        # Out of range means that the log was cut meanwhile; going on elsewhere would be wrong.
        auto_offset_reset="none",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_bytes=2 * FETCH_BYTES,
        fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        isolation_level="read_uncommitted",
    )
    try:
        try:
            await consumer.start()
        except KafkaError as exc:
            servers = connection.get("bootstrap_servers")
            raise BrokerUnreachable(f"No Kafka broker could be reached at {servers}: {exc}") from exc
        consumer._client.set_topics([tp.topic])
        await consumer._client.force_metadata_update()
        known = consumer._client.cluster.partitions_for_topic(tp.topic)
        if not known or tp.partition not in known:
            raise UserError(f"There is no partition {tp.partition} of topic {tp.topic}; create the topics first")
        yield consumer
    finally:
        await close_consumer(consumer, consumer.stop(), CLOSE_TIMEOUT_S)


async def _range(consumer: AIOKafkaConsumer, tp: TopicPartition, timeout_s: float) -> tuple[int, int]:
    try:
        async with asyncio.timeout(timeout_s):
            # End first: deletion between the two must not give a beginning before the end that was.
            end = (await consumer.end_offsets([tp]))[tp]
            begin = (await consumer.beginning_offsets([tp]))[tp]
    except (TimeoutError, KafkaTimeoutError) as exc:
        raise ReadStalled(f"{tp.topic}-{tp.partition}: the broker didn't tell its offsets in {timeout_s} s") from exc
    return begin, max(begin, end)


async def _next(drain: FetchDrain, tp: TP, max_records: int, position: int, stall_timeout_s: float) -> RecordBatch:
    """The next batch at `position`, waiting for it."""
    began = monotonic()
    while True:
        batch = drain.take(tp, max_records)
        if batch is not None:
            assert batch.start_offset == position, f"{tp}: read on at {batch.start_offset} instead of {position}"
            return batch
        if monotonic() - began > stall_timeout_s:
            raise ReadStalled(
                f"{tp.topic}-{tp.partition}: nothing came after offset {position} for {stall_timeout_s} s"
            )
        waiter = drain.fetcher._create_fetch_waiter()
        await asyncio.wait([waiter], timeout=POLL_S)
        waiter.cancel()

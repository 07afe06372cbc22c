"""The writer, the bulk reader and the topic checks against a real broker."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.broker import EmbeddedBroker
from streams.engine.admin import TopicSpec, check_topics, ensure_topics
from streams.engine.batch import RecordBatch
from streams.engine.log_reader import ReadStalled, end_offset, offsets_range, read_partition
from streams.engine.log_writer import AtomicWriter, BatchTooLarge, Row, WriteFailed, WriteUnavailable
from streams.errors import UserError
from tests.integration.waiting import LONG_S, in_loop

pytestmark = pytest.mark.integration

NUMBERS = itertools.count()
CHANGELOG = {"cleanup.policy": "compact", "max.message.bytes": str(16 * 1024 * 1024)}
AT_MS = 1_700_000_000_000


def connect(broker: EmbeddedBroker) -> dict[str, Any]:
    return {"bootstrap_servers": broker.bootstrap_servers}


async def new_topic(broker: EmbeddedBroker, partitions: int = 2, config: dict[str, str] | None = None) -> str:
    name = f"log-{next(NUMBERS)}"
    # The records bear an old timestamp: with Kafka's default retention they would be deleted as the test looks on.
    settings = {"retention.ms": "-1"} | (CHANGELOG if config is None else config)
    await ensure_topics(connect(broker), [TopicSpec(name, partitions, 1, settings)])
    return name


def rows(count: int, size: int = 20) -> list[Row]:
    return [(b"k%d" % number, b"%d" % number * size, ()) for number in range(count)]


async def read(broker: EmbeddedBroker, topic: str, partition: int = 0, **options: Any) -> list[RecordBatch]:
    return [batch async for batch in read_partition(connect(broker), topic, partition, **options)]


async def drained(batches: AsyncIterator[RecordBatch]) -> None:
    async for _ in batches:
        pass


async def record_batches(broker: EmbeddedBroker, topic: str) -> list[tuple[int, int]]:
    """(base offset, next offset) of each record batch in partition 0, as the broker keeps them."""
    consumer = AIOKafkaConsumer(**connect(broker), auto_offset_reset="earliest", max_partition_fetch_bytes=32_000_000)
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    try:
        async with asyncio.timeout(LONG_S):
            while not consumer._fetcher._records:
                await asyncio.sleep(0.05)
        [fetched] = consumer._fetcher._records.values()
        found = []
        records = fetched._partition_records._records
        while records.has_next():
            batch = records.next_batch()
            found.append((batch.base_offset, batch.next_offset))
        return found
    finally:
        await consumer.stop()


@pytest.mark.parametrize("compression", [None, "lz4"])
@in_loop
async def test_an_append_is_one_record_batch_with_consecutive_offsets(
    broker: EmbeddedBroker, compression: str | None
) -> None:
    topic = await new_topic(broker)
    writer = AtomicWriter(connect(broker), compression=compression)
    await writer.start()
    bases = [await writer.append(topic, 0, rows(count), AT_MS) for count in (1, 10_000, 3, 500)]
    # Another partition goes on side by side and has offsets of its own.
    assert await asyncio.gather(*[writer.append(topic, 1, rows(10), AT_MS) for _ in range(3)]) == [0, 10, 20]
    await writer.stop()
    assert bases == [0, 1, 10_001, 10_004]
    assert await record_batches(broker, topic) == [(0, 1), (1, 10_001), (10_001, 10_004), (10_004, 10_504)]
    assert await offsets_range(connect(broker), topic, 0) == (0, 10_504)
    got = await read(broker, topic, max_records=1000)
    assert max(map(len, got)) == 1000
    assert [value for batch in got for value in batch.values] == [
        value for count in (1, 10_000, 3, 500) for _, value, _ in rows(count)
    ]


@in_loop
async def test_a_cut_of_ten_megabytes_is_one_batch_and_what_is_larger_is_refused(broker: EmbeddedBroker) -> None:
    topic = await new_topic(broker)
    writer = AtomicWriter(connect(broker))
    await writer.start()
    large = [(b"P%07d" % number, b"x" * 150, ()) for number in range(60_000)]
    assert await writer.append(topic, 0, large, AT_MS) == 0
    with pytest.raises(BatchTooLarge):
        await writer.append(topic, 0, large * 3, AT_MS)
    with pytest.raises(BatchTooLarge):
        await writer.append(topic, 0, [(b"one", b"x" * 15_000_001, ())], AT_MS)
    assert await writer.append(topic, 0, rows(1), AT_MS) == 60_000, "the writer stays good"
    await writer.stop()
    assert [at for at, _ in await record_batches(broker, topic)] == [0, 60_000]


@in_loop
async def test_tombstones_headers_and_timestamps_come_back(broker: EmbeddedBroker) -> None:
    # Not compacted: Kafka refuses a record without a key there.
    topic = await new_topic(broker, config={})
    writer = AtomicWriter(connect(broker))
    await writer.start()
    await writer.append(topic, 0, [(b"gone", None, [("epoch", b"7"), ("why", b"")]), (None, b"v", ())], AT_MS)
    await writer.stop()
    [batch] = await read(broker, topic)
    assert (batch.keys, batch.values) == ([b"gone", None], [None, b"v"])
    assert batch.headers == [(("epoch", b"7"), ("why", b"")), ()]
    assert batch.timestamps == [AT_MS, AT_MS]
    assert (batch.start_offset, batch.next_offset, batch.highwater) == (0, 2, 2)


@in_loop
async def test_publish_keeps_the_order_over_many_batches(broker: EmbeddedBroker) -> None:
    topic = await new_topic(broker, config={})
    writer = AtomicWriter(connect(broker), publish_batch_bytes=50_000)
    await writer.start()
    records: list[Row] = [(b"k", b"%d" % number * 100, [("n", b"%d" % number)]) for number in range(2000)]
    assert await writer.publish(topic, 0, records, AT_MS) == list(range(2000))
    assert await writer.publish(topic, 0, [], AT_MS) == []
    with pytest.raises(BatchTooLarge):
        await writer.publish(topic, 0, [(b"k", b"v", ()), (b"k", b"x" * 50_000, ())], AT_MS)
    await writer.stop()
    values = [value for batch in await read(broker, topic) for value in batch.values]
    assert values == [value for _, value, _ in records]
    assert len(await record_batches(broker, topic)) > 10


@in_loop
async def test_a_refused_batch_spends_the_writer(broker: EmbeddedBroker) -> None:
    topic = await new_topic(broker, config={"max.message.bytes": "1000"})
    writer = AtomicWriter(connect(broker))
    await writer.start()
    with pytest.raises(WriteFailed):
        await writer.append(topic, 0, rows(1000), AT_MS)
    with pytest.raises(WriteFailed, match="can't be used"):
        await writer.append(topic, 0, rows(1), AT_MS)
    await writer.stop()
    with pytest.raises(ValueError, match="empty"):
        await writer.append(topic, 0, [], AT_MS)
    assert await end_offset(connect(broker), topic, 0) == 0


@in_loop
async def test_reading_starts_and_ends_where_it_should(broker: EmbeddedBroker) -> None:
    topic = await new_topic(broker)
    writer = AtomicWriter(connect(broker))
    await writer.start()
    for _ in range(5):
        await writer.append(topic, 0, rows(100), AT_MS)
    assert await read(broker, topic, start=500) == []
    assert await read(broker, topic, partition=1) == []

    async def offsets(**options: Any) -> list[int]:
        got = await read(broker, topic, **options)
        position = options.get("start", 0)
        for batch in got:
            assert batch.start_offset == position
            position = batch.next_offset
        assert position == options.get("end", 500)
        return [offset for batch in got for offset in batch.offsets]

    assert await offsets(start=250) == list(range(250, 500))
    assert await offsets(start=150, end=301, max_records=7) == list(range(150, 301))
    # What is written while it reads is beyond the end at the time of the call.
    seen = 0
    async for batch in read_partition(connect(broker), topic, 0, max_records=50):
        seen += len(batch)
        await writer.append(topic, 0, rows(10), AT_MS)
    assert seen == 500
    await writer.stop()


@in_loop
async def test_partitions_are_read_side_by_side(broker: EmbeddedBroker) -> None:
    topic = await new_topic(broker, partitions=4)
    writer = AtomicWriter(connect(broker))
    await writer.start()
    for partition in range(4):
        for _ in range(3):
            await writer.append(topic, partition, rows(5000), AT_MS)
    await writer.stop()
    got = await asyncio.gather(*[read(broker, topic, partition) for partition in range(4)])
    assert [sum(map(len, batches)) for batches in got] == [15_000] * 4


@in_loop
async def test_deleted_records_are_passed_over(broker: EmbeddedBroker) -> None:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.admin.records_to_delete import RecordsToDelete

    topic = await new_topic(broker, config={})
    writer = AtomicWriter(connect(broker))
    await writer.start()
    for _ in range(3):
        await writer.append(topic, 0, rows(100), AT_MS)
    admin = AIOKafkaAdminClient(**connect(broker))
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(150)})
    assert [offset for batch in await read(broker, topic) for offset in batch.offsets] == list(range(150, 300))
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(300)})
    await admin.close()
    await writer.stop()
    assert await read(broker, topic) == []
    assert await offsets_range(connect(broker), topic, 0) == (300, 300)


@in_loop
async def test_topics_are_created_checked_and_what_is_wrong_is_listed(broker: EmbeddedBroker) -> None:
    first, second, third = (f"topic-{next(NUMBERS)}" for _ in range(3))
    one = TopicSpec(first, 3, 1, {"cleanup.policy": "delete", "max.message.bytes": "1000000"})
    assert await ensure_topics(connect(broker), [one]) == [first]
    two = TopicSpec(second, 8, 1, CHANGELOG)
    with pytest.raises(UserError, match=rf"topic {second} is missing\n +create it: flagged-products topics create"):
        await check_topics(connect(broker), [one, two])
    assert await ensure_topics(connect(broker), [one, two]) == [second]
    assert await check_topics(connect(broker), [one, two]) == 3, "as many partitions as there are already"
    assert await ensure_topics(connect(broker), [one, two]) == []
    alone = TopicSpec(third, 2, 1, copartitioned=False)
    await ensure_topics(connect(broker), [one, two, alone])
    assert await check_topics(connect(broker), [one, two, alone]) == 3
    wrong = [
        TopicSpec(first, 3, 1, {"cleanup.policy": "compact,delete", "max.message.bytes": "16777216"}),
        two,
        TopicSpec(third, 2, 1),
        TopicSpec("absent", 1, 1),
    ]
    with pytest.raises(UserError) as refusal:
        await check_topics(connect(broker), wrong)
    text = str(refusal.value)
    assert "topic absent is missing" in text
    assert f"the partition counts differ: {first} has 3, {second} has 3, {third} has 2" in text
    assert f"topic {first} has cleanup.policy=delete, needed is compact,delete" in text
    assert f"topic {first} has max.message.bytes=1000000, needed is 16777216" in text


@in_loop
async def test_an_unreachable_broker_is_told_within_bounds() -> None:
    with socket.socket() as silent:
        # Accepts connections and never says a word.
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        nobody = {"bootstrap_servers": f"127.0.0.1:{silent.getsockname()[1]}"}
        with pytest.raises(UserError, match="didn't answer within 1 s"):
            await check_topics(nobody, [TopicSpec("any", 1)], timeout_s=1.0)
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1"):
        await ensure_topics({"bootstrap_servers": "127.0.0.1:1"}, [TopicSpec("any", 1)])
    with pytest.raises(UserError, match="No Kafka broker"):
        await AtomicWriter({"bootstrap_servers": "127.0.0.1:1"}).start()
    with pytest.raises(UserError, match="No Kafka broker"):
        await end_offset({"bootstrap_servers": "127.0.0.1:1"}, "any", 0)


@in_loop
async def test_a_missing_topic_is_told(broker: EmbeddedBroker) -> None:
    with pytest.raises(UserError, match="no partition 0 of topic nowhere"):
        await read(broker, "nowhere")


@in_loop
async def test_writing_and_reading_end_when_the_broker_is_gone() -> None:
    with EmbeddedBroker() as own:
        topic = await new_topic(own)
        writer = AtomicWriter(connect(own))
        await writer.start()
        # More than one fetch, so that there is something left to ask the broker for.
        for _ in range(3):
            await writer.append(topic, 0, rows(60_000, size=30), AT_MS)
        reading = read_partition(connect(own), topic, 0, end=None, max_records=10, stall_timeout_s=2.0)
        assert len(await anext(reading)) == 10
        own.kill()
        with pytest.raises(WriteUnavailable) as unavailable:
            await writer.append(topic, 0, rows(1), AT_MS, timeout_s=1.0)
        assert unavailable.value.retriable
        began = time.monotonic()
        await writer.stop(timeout_s=1.0)
        with pytest.raises(ReadStalled):
            await asyncio.gather(drained(reading))
        assert time.monotonic() - began < LONG_S

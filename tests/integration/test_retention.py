"""A topic whose records are gone unread holds nobody up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from streams.broker import EmbeddedBroker
from tests.integration.pipeline import Pipeline, pipeline

pytestmark = pytest.mark.integration

NOON = 1_772_452_800_000


@pytest.fixture
def running(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Pipeline]:
    with pipeline(broker, tmp_path, FLAGGED_PARTITIONS="1") as made:
        yield made


async def lose_impressions(running: Pipeline) -> None:
    """Five records in a topic, deleted before anybody read them, as retention does."""
    settings = running.settings
    topic = settings.impressions_topic
    async with AIOKafkaProducer(**settings.kafka_kwargs(), acks="all") as out:
        for _ in range(5):
            await out.send_and_wait(topic, b"{}", partition=0)
    admin = AIOKafkaAdminClient(**settings.kafka_kwargs())
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=5)})
    finally:
        await admin.close()


def test_records_that_are_gone_are_not_waited_for(running: Pipeline) -> None:
    running.run("topics", "create", "--for-replay")
    asyncio.run(lose_impressions(running))
    log = running.directory / "log.jsonl"
    event = {"type": "order.shipped", "event_id": "e", "product_id": "P", "order_id": "O", "occurred_at": NOON}
    log.write_text(json.dumps(event) + "\n")
    worker = running.start_worker()
    running.run("replay", str(log), "--wait")
    assert worker.says("records are gone unread")
    assert any(record.key == b"P" for record in running.read(running.settings.changelog_topic))

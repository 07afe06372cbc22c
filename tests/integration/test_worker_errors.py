"""What a user can mend: one clear message that says what to do, exit code 2, no traceback."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from streams.codecs.event_lines import InputRecord
from streams.codecs.meta import META_KEY, epoch_headers
from streams.engine.admin import TopicSpec, ensure_topics
from streams.engine.log_writer import AtomicWriter, Row
from streams.engine.partitioning import partition_of
from streams.engine.sender import send
from tests.integration.pipeline import Pipeline, pipeline, refused, wait_for

pytestmark = pytest.mark.integration


@pytest.fixture
def running(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Pipeline]:
    with pipeline(broker, tmp_path) as made:
        yield made


@pytest.mark.parametrize("command", ["worker", "topics create", "topics check"])
def test_no_broker(running: Pipeline, command: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        running.environment["FLAGGED_BROKER"] = f"127.0.0.1:{nobody.getsockname()[1]}"
        said = refused(running, *command.split())
    assert running.environment["FLAGGED_BROKER"] in said


def test_missing_topics(running: Pipeline) -> None:
    running.environment["FLAGGED_CREATE_TOPICS"] = "false"
    said = refused(running, "worker")
    assert f"{running.settings.orders_topic} is missing" in said
    assert "flagged-products topics create" in said


def test_unequal_partition_counts(running: Pipeline) -> None:
    settings = running.settings
    asyncio.run(ensure_topics(settings.kafka_kwargs(), [TopicSpec(settings.cancellations_topic, 3, 1)]))
    asyncio.run(ensure_topics(settings.kafka_kwargs(), [TopicSpec(settings.orders_topic, 2, 1)]))
    said = refused(running, "worker")
    assert "partition counts differ" in said


def test_a_changelog_that_is_not_compacted(running: Pipeline) -> None:
    settings = running.settings
    spec = TopicSpec(settings.changelog_topic, settings.partitions, 1, {"cleanup.policy": "delete"})
    asyncio.run(ensure_topics(settings.kafka_kwargs(), [spec]))
    assert "cleanup.policy" in refused(running, "worker")


def test_a_bad_policy(running: Pipeline) -> None:
    policy = running.directory / "policy.toml"
    policy.write_text('[[policy]]\nversion = "1"\neffective_from = "2026-01-01T00:00:00Z"\nexit_ratio = 2\n')
    running.environment["FLAGGED_POLICY_FILE"] = str(policy)
    assert f"{policy}:4: policy.exit_ratio" in refused(running, "worker")


def test_a_port_in_use(running: Pipeline) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert port in refused(running, "worker", "--web-port", port)


def test_an_unknown_setting(running: Pipeline) -> None:
    running.environment["FLAGGED_CLOKC"] = "event"
    assert "FLAGGED_CLOCK" in refused(running, "topics", "check")


def test_a_topic_made_anew_is_refused(running: Pipeline) -> None:
    """State says that records were applied which the topic does not have: its new ones cannot be told from the old."""
    from aiokafka.admin import AIOKafkaAdminClient

    log = running.directory / "log.jsonl"
    event = {"type": "impressions.counted", "count": 1, "product_id": "P", "event_id": "e", "from": 1, "to": 2}
    log.write_text(json.dumps({**event, "occurred_at": 2}) + "\n")
    worker = running.start_worker()
    running.replay(log)
    assert worker.stop() == 0

    async def delete() -> None:
        admin = AIOKafkaAdminClient(**running.settings.kafka_kwargs())
        await admin.start()
        await admin.delete_topics([running.settings.impressions_topic])
        await admin.close()

    asyncio.run(delete())
    said = refused(running, "worker")
    assert "deleted and made anew" in said
    assert "FLAGGED_APP_ID" in said


def test_a_damaged_row_of_a_product_is_told_when_the_product_is_heard_of(running: Pipeline) -> None:
    """It stays dormant until then. The event that wakes it is read again by whoever comes next: nothing is lost."""
    event = {"type": "impressions.counted", "count": 1, "product_id": "P", "from": 1, "to": 2}
    log = running.directory / "log.jsonl"
    log.write_text(json.dumps({**event, "event_id": "e1", "occurred_at": 2}) + "\n")
    worker = running.start_worker()
    running.replay(log)
    assert worker.stop() == 0
    partition = partition_of(b"P", running.settings.partitions)
    state = running.log_state(partition)
    assert state.meta is not None
    good = state.rows[b"P"]

    def write(value: bytes) -> None:
        rows: list[Row] = [
            (key, row, epoch_headers(state.epoch)) for key, row in ((b"P", value), (META_KEY, state.meta))
        ]
        asyncio.run(append(running, running.settings.changelog_topic, partition, rows))

    write(good[:-1] + b"\xc1")
    worker = running.start_worker()
    wait_for(lambda: worker.says("partitions taken over"), "a worker that has left the row as it is")
    assert worker.stop() == 0

    record = InputRecord(3, 3, b"P", json.dumps({**event, "event_id": "e2", "to": 3, "occurred_at": 3}).encode())
    asyncio.run(send(running.settings, [record], lambda _count: None))
    for _ in range(2):
        said = refused(running, "worker")
        assert "a row of product 'P' is damaged" in said
        assert "FLAGGED_APP_ID" in said
    # With the row as it was, the event is applied.
    state.epoch = running.log_state(partition).epoch
    write(good)
    worker = running.start_worker()
    wait_for(lambda: len(running.log_state(partition).rows[b"P"]) > len(good), "the event to be applied")
    assert worker.stop() == 0


async def append(running: Pipeline, topic: str, partition: int, rows: list[Row]) -> None:
    writer = AtomicWriter(running.settings.kafka_kwargs())
    try:
        await writer.start()
        await writer.append(topic, partition, rows, 0)
    finally:
        await writer.stop()

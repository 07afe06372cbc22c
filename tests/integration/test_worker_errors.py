"""What a user can mend: one clear message that says what to do, exit code 2, no traceback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from streams.engine.admin import TopicSpec, ensure_topics
from tests.integration.pipeline import Pipeline, pipeline, refused

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
    import json

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

"""Topics that are deleted, made anew, compacted, or take no more; offsets that are wrong (SPEC 9.3, 9.6)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from faust.types import TP

from streams.broker import EmbeddedBroker
from streams.codecs.event_lines import InputRecord
from tests.chaos.harness import LONG_SESSION, PARTITIONS, Story, chaos, exit_code
from tests.integration.pipeline import wait_for

pytestmark = pytest.mark.chaos


def test_dead_letters_cannot_be_written(broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]) -> None:
    """Input waits and nothing of it is acked, for a refused record must not vanish; and it goes on when it can."""
    name = "dead letter topic deleted, created again"
    with chaos(broker, tmp_path, told, table, name, **LONG_SESSION) as running:
        (worker,) = running.start()
        running.feed(3)
        running.wait_applied()
        at_ms = told.parts[3][-1].timestamp_ms

        def fault() -> None:
            with running.asleep():
                running.feed()
                running.feed_records([InputRecord(0, at_ms, b"P%d" % number, b"no JSON") for number in range(50)])
                running.delete(running.settings.dead_letters_topic)
            wait_for(lambda: worker.page("/readyz")[1].startswith("degraded"), "the worker says that it waits")
            time.sleep(3)
            committed, ends = running.committed(), running.ends
            for partition in range(PARTITIONS):
                orders = TP(running.settings.orders_topic, partition)
                assert committed[orders] < ends[orders], "the refused record at its end was acked"
            assert worker.process.poll() is None, running.logs()
            running.run("topics", "create")

        running.survive(fault)
        running.finish()
        assert worker.process.poll() is None, running.logs()


def test_the_changelog_takes_no_more(broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]) -> None:
    """What is refused for good ends the worker: no retry mends it. Once the topic takes it, another goes on."""
    with chaos(
        broker, tmp_path, told, table, "changelog refuses every cut, mended, started", **LONG_SESSION
    ) as running:
        (worker,) = running.start()
        running.feed(3)
        running.wait_applied()
        topic = running.settings.changelog_topic

        def fault() -> None:
            with running.asleep():
                running.feed()
                running.alter(topic, **{"cleanup.policy": "compact", "max.message.bytes": "60"})
            assert exit_code(worker) == 2, running.logs()
            running.alter(topic, **{"cleanup.policy": "compact", "max.message.bytes": str(16 * 1024 * 1024)})
            running.start()

        running.survive(fault)
        running.finish()


def test_an_input_topic_is_deleted(broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]) -> None:
    """Its records are gone. A worker says so and ends; and none starts with it missing, or made anew."""
    with chaos(broker, tmp_path, told, table, "input topic deleted, made anew: refused") as running:
        (worker,) = running.start()
        running.feed(2)
        running.wait_applied()
        topic = running.settings.orders_topic
        running.delete(topic)
        assert exit_code(running.start_worker(FLAGGED_CREATE_TOPICS="false")) == 2
        assert running.workers[-1].says(f"topic {topic} is missing"), running.logs()
        running.run("topics", "create")
        assert exit_code(worker) == 2, running.logs()
        assert exit_code(running.start_worker()) == 2, running.logs()


def test_a_changelog_made_anew_is_refused(
    broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]
) -> None:
    """Its state is gone: going on would count all that came before as never seen."""
    with chaos(broker, tmp_path, told, table, "changelog deleted and made anew at work: refused") as running:
        (worker,) = running.start()
        running.feed(2)
        running.wait_applied()
        running.delete(running.settings.changelog_topic)
        running.run("topics", "create")
        running.feed()
        assert exit_code(worker) == 2, running.logs()
        assert worker.says("the topic was deleted and made anew"), running.logs()


def test_an_empty_changelog(broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]) -> None:
    """With all of the input still there, everything is computed and published once more, with the same ids."""
    with chaos(broker, tmp_path, told, table, "changelog empty: all computed anew") as running:
        (worker,) = running.start()
        running.feed(4)
        running.wait_applied()
        assert worker.stop() == 0
        running.delete(running.settings.changelog_topic)
        running.run("topics", "create")
        running.survive(lambda: running.start())
        running.finish()


def test_the_changelog_is_compacted_hard(tmp_path: Path, told: Story, table: list[str]) -> None:
    """Segments closed twice a second and compacted at once; killed meanwhile."""
    properties = {"log.cleaner.backoff.ms": "200"}
    name = "kill -9 while the changelog is compacted all the time"
    with (
        EmbeddedBroker(data_dir=tmp_path / "broker", properties=properties) as own,
        chaos(own, tmp_path, told, table, name) as running,
    ):
        running.start()
        hard = {"segment.ms": "500", "min.cleanable.dirty.ratio": "0.0", "min.compaction.lag.ms": "0"}
        hard |= {"max.compaction.lag.ms": "1", "cleanup.policy": "compact", "delete.retention.ms": "0"}
        running.alter(running.settings.changelog_topic, **hard, **{"max.message.bytes": str(16 * 1024 * 1024)})
        for _ in range(4):
            running.feed(2)
            running.workers[-1].kill()
            running.survive(lambda: running.start())
        running.finish()
        rows = running.read(running.settings.changelog_topic)
        ends = {row.partition: row.offset for row in rows}
        assert len(rows) < sum(ends.values()) / 2, "it was compacted"


@pytest.mark.parametrize("offset", [0, 10**9], ids=["lost", "out of range"])
def test_the_groups_offsets_are_wrong(
    broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str], offset: int
) -> None:
    """They are for lag tools: a new owner reads on from its cut."""
    with chaos(broker, tmp_path, told, table, f"committed offsets set to {offset} between kill and start") as running:
        (worker,) = running.start()
        running.feed(4)
        worker.kill()
        running.spoil_offsets(offset)
        running.survive(lambda: running.start())
        running.finish()

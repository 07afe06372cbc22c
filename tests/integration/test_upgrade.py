"""An upgrade on a real broker: a worker takes over what an earlier version left, and refuses what a newer one owns.

What is in the rows is held by `tests/contract/test_golden_changelog.py`. See docs/UPGRADING.md.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from streams.codecs import row
from streams.codecs.event_lines import InputRecord
from streams.codecs.meta import OutboxEntry
from streams.codecs.outputs import encode_transition
from streams.domain.transitions import CLEAR
from streams.engine.backtest import BacktestResult, backtest
from streams.engine.cut import OutputTopics, transition_rows
from streams.engine.ends import LogEnds
from streams.engine.flush import Fenced, Flusher
from streams.engine.kafka_log import KafkaLog
from streams.engine.log_reader import end_offset
from streams.engine.log_writer import AtomicWriter
from streams.engine.patience import Patience
from streams.engine.processor import PartitionProcessor
from streams.engine.restore import restore_partition
from streams.engine.sender import send
from streams.engine.takeover import recover
from streams.engine.waiting import wait_until_applied
from streams.observability.health import Health
from streams.testing.records import time_ms
from tests.core.logs import merged
from tests.golden.changelog_file import Golden, load, versions
from tests.integration.pipeline import REPLAY_S, Pipeline, check_copies, pipeline, refused, wait_for
from tests.integration.waiting import in_loop

pytestmark = pytest.mark.integration


@pytest.fixture(params=versions(), ids=lambda version: f"v{version}")
def golden(request: pytest.FixtureRequest) -> Golden:
    return load(request.param)


@pytest.fixture
def left(golden: Golden, broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline whose topics are as the owners of the golden changelog left them; none of its workers runs."""
    policies = tmp_path / "policies.toml"
    policies.write_text(golden.policies_toml)
    with pipeline(broker, tmp_path, FLAGGED_PARTITIONS="1", FLAGGED_POLICY_FILE=str(policies)) as made:
        asyncio.run(leave(made, golden))
        yield made


def wall() -> int:
    return int(time.time() * 1000)


def output_topics(running: Pipeline) -> OutputTopics:
    settings = running.settings
    return OutputTopics(
        settings.changelog_topic,
        settings.flag_status_changed_topic,
        settings.flag_status_topic,
        settings.dead_letters_topic,
        settings.input_topics,
        settings.ce_source,
    )


@asynccontextmanager
async def writer_to(running: Pipeline) -> AsyncIterator[AtomicWriter]:
    writer = AtomicWriter(running.settings.kafka_kwargs())
    try:
        await writer.start()
        yield writer
    finally:
        await writer.stop()


async def leave(running: Pipeline, golden: Golden) -> None:
    """Fill the topics; the outbox of the last cut was published as well."""
    passed = [record for log, end in zip(golden.logs, golden.positions, strict=True) for record in log[:end]]
    await send(running.settings, passed, lambda _count: None)
    topics = output_topics(running)
    outbox_count = len(golden.says["outbox"]["transitions"])
    events = golden.transitions[: golden.published_count + outbox_count]
    async with writer_to(running) as writer:
        for topic, batches in ((topics.changelog, golden.changelog), (topics.snapshots, golden.snapshots)):
            for batch in batches:
                await writer.append(topic, 0, batch.to_append(), wall())
        published = transition_rows(map(outbox_entry, events), topics.source)
        await writer.append(topics.transitions, 0, published, wall())


def outbox_entry(value: bytes) -> OutboxEntry:
    event = json.loads(value)
    return OutboxEntry(event["product_id"], event["sequence"], time_ms(event["effective_at"]), value)


def rest(golden: Golden) -> list[InputRecord]:
    return [record for log, end in zip(golden.logs, golden.positions, strict=True) for record in log[end:]]


async def feed(running: Pipeline, golden: Golden) -> None:
    """Send the rest of the input, and wait until it is applied."""
    ends = await send(running.settings, rest(golden), lambda _count: None, until_ms=golden.until_ms)
    async with asyncio.timeout(REPLAY_S):
        await wait_until_applied(running.settings, ends, lambda _done, _all: None)


def test_a_worker_takes_over_what_an_earlier_version_left(left: Pipeline, golden: Golden) -> None:
    reference = backtest(merged(golden.logs), golden.policies, partitions=1, until_ms=golden.until_ms)
    expected = [encode_transition(transition) for transition in reference.transitions[0]]
    assert expected == golden.transitions, "this version says what that one would have said"
    before = len(left.read(left.settings.flag_status_changed_topic))
    assert 0 < before < len(expected)

    worker = left.start_worker()
    try:
        asyncio.run(feed(left, golden))
    except TimeoutError:
        pytest.fail(f"not applied after {REPLAY_S} s\n{left.logs()}")
    assert worker.stop() == 0, left.logs()

    records = left.read(left.settings.flag_status_changed_topic)
    check_copies(records)
    assert list(dict.fromkeys(record.value for record in records)) == expected
    copies = [record.value for record in records[before:]]
    assert copies == expected[golden.published_count :], "the outbox first, then what is new"
    snapshots = {record.key: record.value for record in left.read(left.settings.flag_status_topic)}
    flagged = {product.id.encode() for product in reference.products() if product.status != CLEAR}
    assert {key for key, value in snapshots.items() if value is not None} == flagged
    assert left.read(left.settings.dead_letters_topic) == []

    restored = restore_partition(left.log_state(0), golden.book).partition
    assert restored.clock == reference.partitions[0].clock
    assert list(BacktestResult([restored]).rates()) == list(reference.rates())


# -- what a newer version owns


@dataclass
class Owner:
    """A worker of a newer version, as far as its partition is concerned: in all that it writes, one row is newer."""

    processor: PartitionProcessor
    flusher: Flusher

    async def cut(self) -> None:
        """Write a cut. Raises Fenced if somebody has claimed the partition meanwhile."""
        flush = self.flusher.prepare(self.processor, *self.processor.take())
        index = next(index for index, (_, value, _) in enumerate(flush.rows) if value)
        key, value, headers = flush.rows[index]
        flush.rows[index] = (key, bytes((row.VERSION + 1,)) + (value or b"")[1:], headers)
        await self.flusher.send(flush)


@asynccontextmanager
async def owner_of(running: Pipeline, golden: Golden) -> AsyncIterator[Owner]:
    settings = running.settings
    ends = LogEnds(settings.kafka_kwargs(), settings.input_topics)
    try:
        async with writer_to(running) as writer:
            log = KafkaLog(settings.kafka_kwargs(), writer, ends, Patience(Health(), settings.stall_timeout_ms))
            yield Owner(*await recover(0, output_topics(running), log, golden.book, "event", wall))
    finally:
        await ends.stop()


@in_loop
async def test_a_worker_refuses_what_a_newer_version_owns_and_does_not_fence_it(left: Pipeline, golden: Golden) -> None:
    async def ends() -> list[int]:
        topics = output_topics(left)
        names = (topics.changelog, topics.transitions, topics.snapshots, topics.dead_letters)
        return [await end_offset(left.settings.kafka_kwargs(), name, 0) for name in names]

    async with owner_of(left, golden) as newer:
        await newer.cut()
        before = await ends()
        said = await asyncio.to_thread(refused, left, "worker")
        assert f"rows of version {row.VERSION + 1}, and this program reads version" in said
        assert "FLAGGED_APP_ID" in said
        assert await ends() == before, "no claim, and nothing else either"
        newer.processor.partition.cut.changed["large"] = None
        await newer.cut()
        await newer.flusher.look_for_others()


@in_loop
async def test_an_owner_of_whom_the_partition_was_taken_is_fenced(left: Pipeline, golden: Golden) -> None:
    """The same without a newer row: that a worker is not fenced, above, would mean nothing otherwise."""
    async with owner_of(left, golden) as older:
        worker = left.start_worker()
        await asyncio.to_thread(wait_for, lambda: worker.says("partitions taken over"), "a worker")
        with pytest.raises(Fenced):
            await older.flusher.look_for_others()

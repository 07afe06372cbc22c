"""The ranking's view of the flags, on topics of a real broker."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from streams.broker import EmbeddedBroker
from streams.clients.flag_status import FlagStatusView
from streams.clients.flag_table import NotReady, ProductFlag
from streams.clients.topic_reader import TopicReader
from streams.engine.admin import TopicSpec, ensure_topics
from streams.engine.partitioning import partition_of
from streams.errors import UserError
from streams.settings import Settings
from tests.integration.waiting import LONG_S, eventually, in_loop
from tests.unit.cli.examples import snapshot_value

pytestmark = pytest.mark.integration

PARTITIONS = 3
COMPACTED = {"cleanup.policy": "compact"}


class Topic:
    """A flag-status topic of a test's own."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self.name = f"view-{uuid.uuid4().hex[:8]}"
        self.settings = Settings(broker=broker.bootstrap_servers, flag_status_topic=self.name)
        self._connection: dict[str, Any] = {"bootstrap_servers": broker.bootstrap_servers}

    async def create(self) -> None:
        await ensure_topics(self._connection, [TopicSpec(self.name, PARTITIONS, 1, COMPACTED)])

    async def delete(self) -> None:
        async with self.admin() as admin:
            await admin.delete_topics([self.name])

    async def grow(self, partitions: int) -> None:
        async with self.admin() as admin:
            await admin.create_partitions({self.name: NewPartitions(partitions)})

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._connection)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    async def write(
        self, records: Sequence[tuple[str, bytes | None]], partitions: int = PARTITIONS, partition: int | None = None
    ) -> None:
        async with AIOKafkaProducer(**self._connection) as producer:
            for key, value in records:
                to = partition_of(key.encode(), partitions) if partition is None else partition
                await producer.send(self.name, value, key=key.encode(), partition=to)
            await producer.flush()


@in_loop
async def _caught_up_and_followed(broker: EmbeddedBroker) -> None:
    topic = Topic(broker)
    await topic.create()
    records = [(f"P{number}", snapshot_value(f"P{number}", "at_risk")) for number in range(5_000)]
    await topic.write([*records, ("P7", None), ("P8", snapshot_value("P8", "impacted")), ("P9", b"nonsense")])
    changes: list[tuple[str, str | None, str | None]] = []

    def note(product_id: str, before: ProductFlag | None, after: ProductFlag | None) -> None:
        changes.append((product_id, before and before.status, after and after.status))
        raise RuntimeError("not of the view's making")

    async with asyncio.timeout(LONG_S), FlagStatusView(topic.settings, on_change=note) as view:
        with pytest.raises(NotReady):
            view.visibility("P8")
        await view.wait_ready()
        asked = {product: view.visibility(product) for product in ("P0", "P7", "P8", "P9", "P5000")}
        assert asked == {"P0": "at_risk", "P7": "clear", "P8": "impacted", "P9": "at_risk", "P5000": "clear"}
        assert (len(view), view.skipped, changes) == (4_999, 1, [])
        assert view.age_ms is not None

        await topic.write([("P0", None), ("new", snapshot_value("new", "resolved"))])
        await eventually(lambda: view.visibility("new") == "resolved" and view.visibility("P0") == "clear", "news")
        # Numbers that move without the status are no change.
        await topic.write([("new", snapshot_value("new", "resolved", sequence=9))])
        await eventually(lambda: getattr(view.get("new"), "sequence", 0) == 9, "new numbers")
        assert sorted(changes) == [("P0", "at_risk", None), ("new", None, "resolved")]
    with pytest.raises(NotReady):
        view.visibility("P8")


def test_it_catches_up_and_follows(broker: EmbeddedBroker) -> None:
    _caught_up_and_followed(broker)


@in_loop
async def _made_anew(broker: EmbeddedBroker) -> None:
    topic = Topic(broker)
    await topic.create()
    await topic.write([(f"P{number}", snapshot_value(f"P{number}", "impacted")) for number in range(100)])
    async with asyncio.timeout(2 * LONG_S), FlagStatusView(topic.settings) as view:
        await view.wait_ready()
        await topic.delete()
        await eventually(lambda: not view.is_ready, "the view to notice that the topic is gone")
        with pytest.raises(NotReady):
            view.visibility("P1")
        await topic.create()
        await topic.write([("P1", snapshot_value("P1", "at_risk"))])
        await eventually(lambda: view.is_ready and len(view) > 0, "the view to have read the new topic")
        assert (view.visibility("P1"), view.visibility("P2"), len(view)) == ("at_risk", "clear", 1)


def test_a_topic_made_anew_leaves_nothing_stale(broker: EmbeddedBroker) -> None:
    _made_anew(broker)


@in_loop
async def _made_anew_at_once(broker: EmbeddedBroker) -> None:
    topic = Topic(broker)
    await topic.create()
    await topic.write([(f"P{number}", snapshot_value(f"P{number}", "impacted")) for number in range(100)])
    async with asyncio.timeout(2 * LONG_S), FlagStatusView(topic.settings) as view:
        await view.wait_ready()
        await topic.delete()
        while True:
            try:
                await topic.create()
                break
            except UserError:  # it is not gone quite yet
                await asyncio.sleep(0.1)
        await eventually(lambda: len(view) == 0, "the old flags to be forgotten")
        await topic.write([("P1", snapshot_value("P1", "at_risk"))])
        await eventually(lambda: view.is_ready and view.visibility("P1") == "at_risk", "the new topic's flags")
        assert view.visibility("P2") == "clear"


def test_a_topic_made_anew_at_once_is_noticed_too(broker: EmbeddedBroker) -> None:
    _made_anew_at_once(broker)


@in_loop
async def _grown(broker: EmbeddedBroker) -> None:
    topic = Topic(broker)
    await topic.create()
    await topic.write([("P1", snapshot_value("P1", "impacted"))])
    async with asyncio.timeout(2 * LONG_S), TopicReader(topic.settings, [topic.name]) as reader:
        await reader.begin_at({})
        keys: list[bytes] = []

        async def until(count: int) -> None:
            while len(keys) < count:
                for part in await reader.read():
                    keys.extend(record.key for record in part.records)

        await until(1)
        await topic.grow(PARTITIONS + 1)
        await topic.write([("new", b"1")], partition=PARTITIONS)
        # It asks by itself every 30 s, for which no test needs to wait.
        await reader._consumer._client.force_metadata_update()
        await until(2)
        await topic.write([("P1", None)])
        await until(3)
        assert keys == [b"P1", b"new", b"P1"]
        assert len(reader.partitions) == PARTITIONS + 1


def test_a_partition_that_is_added_is_read_too(broker: EmbeddedBroker) -> None:
    _grown(broker)


@in_loop
async def _no_topic(broker: EmbeddedBroker) -> None:
    with pytest.raises(UserError, match="missing"):
        async with FlagStatusView(Topic(broker).settings):
            pass
    with pytest.raises(UserError, match=r"127\.0\.0\.1:1'"):
        async with FlagStatusView(Settings(broker="127.0.0.1:1")):
            pass


def test_a_missing_topic_or_broker_is_told_at_once(broker: EmbeddedBroker) -> None:
    _no_topic(broker)
    with (
        pytest.raises(UserError, match=r"127\.0\.0\.1:1'"),
        FlagStatusView.in_thread(Settings(broker="127.0.0.1:1")),
    ):
        pass


def test_a_program_without_a_loop_has_it_in_a_thread(broker: EmbeddedBroker) -> None:
    topic = Topic(broker)
    asyncio.run(topic.create())
    asyncio.run(topic.write([("P1", snapshot_value("P1", "impacted"))]))
    with FlagStatusView.in_thread(topic.settings) as view:
        view.wait_ready(LONG_S)
        assert (view.visibility("P1"), view.visibility("P2"), len(view)) == ("impacted", "clear", 1)
    with pytest.raises(NotReady):
        view.visibility("P1")


def test_without_its_broker_it_answers_what_it_knows(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker:
        topic = Topic(broker)
        asyncio.run(topic.create())
        asyncio.run(topic.write([("P1", snapshot_value("P1", "impacted"))]))
        view = FlagStatusView.in_thread(topic.settings).__enter__()
        try:
            view.wait_ready(LONG_S)
        except BaseException:
            view.__exit__(None, None, None)
            raise
    try:

        async def grows() -> None:
            await eventually(lambda: (view.age_ms or 0) > 3_000, "the age to grow")

        asyncio.run(grows())
        assert (view.is_ready, view.visibility("P1")) == (True, "impacted")
    finally:
        view.__exit__(None, None, None)

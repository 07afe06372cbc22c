"""The batch transport against a real broker: what arrives, from where, and what happens in rebalances."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from faust.types import TP

from streams.broker import EmbeddedBroker
from streams.engine.admin import TopicSpec, ensure_topics
from streams.engine.batch import RecordBatch
from streams.engine.hooks import Place
from streams.engine.log_reader import read_partition
from streams.engine.transport import BatchConsumer, TransportSettings, consumer_of, install
from streams.errors import UserError
from tests.core.foreign_headers import BytesName, Record, send_one_batch
from tests.integration.waiting import LONG_S, eventually, in_loop

pytestmark = pytest.mark.integration

NUMBERS = itertools.count()


class Engine:
    """Keeps what it is handed, and its own offsets, as the real engine does."""

    def __init__(self, start: Mapping[TP, int] | None = None) -> None:
        self.start = dict(start or {})
        self.batches: dict[TP, list[RecordBatch]] = {}
        self.next: dict[TP, int] = {}
        self.calls: list[tuple[str, frozenset[TP]]] = []
        self.consumer: BatchConsumer | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.revoking = asyncio.Event()
        self.revoking.set()
        self.fail: Exception | None = None
        self.committed: list[bool] = []
        self.gapless: list[bool] = []

    async def on_rebalance(self, owned: frozenset[TP]) -> None:
        self.calls.append(("rebalance", owned))
        await self.revoking.wait()
        await self.commit(owned)
        self.calls.append(("flushed", owned))

    async def on_assigned(self, assigned: frozenset[TP], place: Place, *, gapless: bool) -> None:
        self.gapless.append(gapless)
        self.calls.append(("assigned", assigned))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.calls.append(("cancelled", assigned))
            raise
        if self.fail is not None:
            raise self.fail
        known = self.start | self.next
        for tp in assigned & known.keys():
            await place({tp: known[tp]})

    async def on_revoked(self, revoked: frozenset[TP]) -> None:
        self.calls.append(("revoked", revoked))
        await self.revoking.wait()
        await self.commit(revoked)
        self.calls.append(("let go", revoked))

    async def commit(self, tps: frozenset[TP]) -> None:
        mine = {tp: offset for tp, offset in self.next.items() if tp in tps}
        if self.consumer is not None and mine:
            self.committed.append(await self.consumer.commit_offsets(mine))

    async def on_stopped(self) -> None:
        self.calls.append(("stopped", frozenset()))

    def offer(self, batch: RecordBatch) -> None:
        expected = self.next.get(batch.tp)
        assert expected is None or batch.start_offset == expected, f"{batch.tp}: {batch.start_offset} after {expected}"
        assert len(batch.offsets) == len(batch.timestamps) == len(batch.keys) == len(batch.values) == len(batch.headers)
        assert batch.next_offset <= batch.highwater
        self.next[batch.tp] = batch.next_offset
        self.batches.setdefault(batch.tp, []).append(batch)

    def values(self, tp: TP) -> list[bytes | None]:
        return [value for batch in self.batches.get(tp, []) for value in batch.values]

    def count(self, what: str) -> int:
        return sum(1 for call, _ in self.calls if call == what)


def make_app(
    broker: EmbeddedBroker, group: str, topics: list[str], engine: Engine, settings: TransportSettings
) -> faust.App:
    number = next(NUMBERS)
    app = faust.App(
        group,
        broker=f"kafka://{broker.bootstrap_servers}",
        web_enabled=False,
        web_port=20000 + number,
        canonical_url=f"http://worker-{number}",
        topic_disable_leader=True,
        topic_allow_declare=False,
        stream_wait_empty=False,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=0.5,
        broker_commit_interval=0.2,
    )
    install(app, {"bootstrap_servers": broker.bootstrap_servers}, engine, settings)
    for name in topics:

        @app.agent(app.topic(name, key_serializer="raw", value_serializer="raw"), name=f"read-{name}")
        async def read(stream: Any) -> None:
            async for batches in stream:
                for batch in batches:
                    engine.offer(batch)

    return app


@asynccontextmanager
async def running(
    broker: EmbeddedBroker,
    group: str,
    topics: list[str],
    engine: Engine,
    settings: TransportSettings | None = None,
) -> AsyncIterator[faust.App]:
    app = make_app(broker, group, topics, engine, settings or TransportSettings())
    await app.start()
    engine.consumer = consumer_of(app)
    try:
        yield app
    finally:
        async with asyncio.timeout(LONG_S):
            await app.stop()


async def new_topics(broker: EmbeddedBroker, count: int = 1, partitions: int = 1) -> list[str]:
    names = [f"input-{next(NUMBERS)}-{index}" for index in range(count)]
    connection = {"bootstrap_servers": broker.bootstrap_servers}
    # The records bear old timestamps: with Kafka's default retention they would be deleted as the test looks on.
    kept = {"retention.ms": "-1"}
    await ensure_topics(connection, [TopicSpec(name, partitions, 1, kept) for name in names])
    return names


@asynccontextmanager
async def producer(broker: EmbeddedBroker, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    made = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all", **options)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def fill(broker: EmbeddedBroker, topic: str, values: list[bytes], partition: int = 0, **options: Any) -> None:
    async with producer(broker, max_batch_size=20_000, **options) as out:
        sent = [
            await out.send(topic, value, key=b"k", partition=partition, timestamp_ms=1_700_000_000_000 + number,
                           headers=[("n", b"%d" % number)] if number % 3 == 0 else None)
            for number, value in enumerate(values)
        ]  # fmt: skip
        await asyncio.gather(*sent)


def numbered(prefix: bytes, count: int) -> list[bytes]:
    return [b"%s-%d-%s" % (prefix, number, b"x" * (number % 50)) for number in range(count)]


async def fill_mixed(broker: EmbeddedBroker, topic: str) -> list[bytes]:
    """All compressions, a committed and two aborted transactions; what a reader must see."""
    seen: list[bytes] = []
    for compression in (None, "lz4", "gzip", "snappy", "zstd"):
        values = numbered(str(compression).encode(), 900)
        await fill(broker, topic, values, compression_type=compression)
        seen += values
    async with producer(broker, transactional_id=f"tx-{topic}", compression_type="lz4") as out:
        for kind in (b"aborted", b"committed", b"aborted"):
            await out.begin_transaction()
            for value in numbered(kind, 50):
                await out.send(topic, value, key=b"k", partition=0)
            if kind == b"committed":
                await out.commit_transaction()
                seen += numbered(kind, 50)
            else:
                await out.abort_transaction()
    return seen


@pytest.mark.parametrize("batch_transport", [True, False])
@pytest.mark.parametrize("max_records", [1, 7, 2000])
@in_loop
async def test_batches_are_complete_and_in_order(
    broker: EmbeddedBroker, max_records: int, batch_transport: bool
) -> None:
    [topic] = await new_topics(broker)
    seen = await fill_mixed(broker, topic)
    tp = TP(topic, 0)
    engine = Engine()
    settings = TransportSettings(max_records=max_records, batch_transport=batch_transport)
    async with running(broker, f"group-{topic}", [topic], engine, settings) as app:
        await eventually(lambda: len(engine.values(tp)) >= len(seen), "all records")
        # The last transaction was aborted: its records and its marker are passed over as well.
        await eventually(lambda: at_end(app, engine, tp), "the end of the log")
        later = numbered(b"later", 20)
        await fill(broker, topic, later)
        await eventually(lambda: len(engine.values(tp)) >= len(seen) + 20, "what came later")
    assert engine.values(tp) == seen + later
    batches = engine.batches[tp]
    limit = max_records if batch_transport else 1
    assert max(map(len, batches)) == limit or limit == 2000
    assert all(len(batch) <= limit for batch in batches)
    assert batches[0].start_offset == 0
    offsets = [offset for batch in batches for offset in batch.offsets]
    assert offsets == sorted(set(offsets))
    assert offsets[:4500] == list(range(4500))
    rows = [(batch.keys[0], batch.timestamps[0], batch.headers[0]) for batch in batches if len(batch)]
    assert rows[0] == (b"k", 1_700_000_000_000, (("n", b"0"),))
    headers = [headers for batch in batches for headers in batch.headers][:900]
    assert headers == [(("n", b"%d" % number),) if number % 3 == 0 else () for number in range(900)]


@pytest.mark.parametrize("batch_transport", [True, False])
@pytest.mark.parametrize("compression", [None, "lz4"])
@pytest.mark.parametrize("max_records", [2, 2000])
@in_loop
async def test_a_header_name_that_is_not_utf8_stops_nothing(
    broker: EmbeddedBroker, max_records: int, compression: str | None, batch_transport: bool
) -> None:
    [topic] = await new_topics(broker)
    before, after = numbered(b"before", 20), numbered(b"after", 20)
    foreign: list[Record] = [(b"k", value, [("n", b"1")]) for value in numbered(b"foreign", 7)]
    foreign[3] = (b"k", foreign[3][1], [("n", b"1"), (BytesName(b"a\xffb"), b"2")])
    await fill(broker, topic, before)
    base = await send_one_batch(broker.bootstrap_servers, topic, 0, foreign, 1_700_000_000_000, compression)
    assert base == 20
    await fill(broker, topic, after)
    values = [*before, *(value for _, value, _ in foreign), *after]
    tp = TP(topic, 0)
    engine = Engine()
    settings = TransportSettings(max_records=max_records, batch_transport=batch_transport)
    async with running(broker, f"group-{topic}", [topic], engine, settings):
        await eventually(lambda: len(engine.values(tp)) >= len(values), "all records")
    assert engine.values(tp) == values
    assert [offset for batch in engine.batches[tp] for offset in batch.offsets] == list(range(47))
    headers = [headers for batch in engine.batches[tp] for headers in batch.headers]
    assert headers[23] == (("n", b"1"), ("a\udcffb", b"2"))
    assert headers[22] == headers[24] == (("n", b"1"),)
    for start in (0, 22, 23, 24):
        connection = {"bootstrap_servers": broker.bootstrap_servers}
        read = [b async for b in read_partition(connection, topic, 0, start=start, max_records=max_records)]
        assert [value for batch in read for value in batch.values] == values[start:]
        assert [names for batch in read for names in batch.headers] == headers[start:]


@in_loop
async def test_a_large_record_batch_is_read_from_its_middle(broker: EmbeddedBroker) -> None:
    [topic] = await new_topics(broker)
    values = numbered(b"v", 3000)
    async with producer(broker, max_batch_size=900_000, linger_ms=500, compression_type="lz4") as out:
        await asyncio.gather(*[await out.send(topic, value, partition=0) for value in values])
    tp = TP(topic, 0)
    engine = Engine({tp: 1234})
    async with running(broker, f"group-{topic}", [topic], engine, TransportSettings(max_records=100)):
        await eventually(lambda: len(engine.values(tp)) >= 3000 - 1234, "the rest")
    assert engine.values(tp) == values[1234:]
    assert engine.batches[tp][0].start_offset == 1234


@pytest.mark.parametrize("batch_transport", [True, False])
@in_loop
async def test_positions_come_from_the_hook_and_not_from_the_group(
    broker: EmbeddedBroker, batch_transport: bool
) -> None:
    topics = await new_topics(broker, 2, partitions=2)
    for topic, partition in itertools.product(topics, range(2)):
        await fill(broker, topic, numbered(b"p%d" % partition, 100), partition)
    group = f"group-{topics[0]}"
    first, second = topics
    settings = TransportSettings(batch_transport=batch_transport)
    engine = Engine()
    async with running(broker, group, topics, engine, settings) as app:
        await eventually(lambda: sum(len(b) for bs in engine.batches.values() for b in bs) == 400, "all 400")
        assert await consumer_of(app).commit_offsets({TP(first, 0): 90, TP(second, 1): 100})
    assert engine.committed == [True]
    # The group has committed everything by now; the hook says otherwise, and says nothing about one partition.
    start = {TP(first, 0): 40, TP(first, 1): 100, TP(second, 0): 99}
    engine = Engine(start)
    engine.gate.clear()
    async with running(broker, group, topics, engine, settings):
        await eventually(lambda: engine.count("assigned") == 1, "the hook")
        await asyncio.sleep(1.0)
        assert not engine.batches, "nothing is handed out before the hook says from where"
        engine.gate.set()
        await eventually(lambda: sum(len(b) for bs in engine.batches.values() for b in bs) >= 161, "60 + 0 + 1 + 100")
    counts = {tp: sum(map(len, batches)) for tp, batches in engine.batches.items()}
    assert counts == {TP(first, 0): 60, TP(second, 0): 1, TP(second, 1): 100}
    assert engine.batches[TP(first, 0)][0].start_offset == 40


@in_loop
async def test_nothing_is_committed_but_by_commit_offsets(broker: EmbeddedBroker) -> None:
    [topic] = await new_topics(broker)
    await fill(broker, topic, numbered(b"v", 500))
    tp, group = TP(topic, 0), f"group-{topic}"
    engine = Engine()
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    async with running(broker, group, [topic], engine) as app:
        await eventually(lambda: len(engine.values(tp)) == 500, "all records")
        await asyncio.sleep(1.0)  # several of Faust's commit intervals
        assert await admin.list_consumer_group_offsets(group) == {}
        consumer = consumer_of(app)
        assert not consumer._unacked_messages
        assert not any(consumer._acked.values())
        assert not any(consumer._gap.values())
        assert await consumer.commit_offsets({tp: 123})
        assert {at.offset for at in (await admin.list_consumer_group_offsets(group)).values()} == {123}
        assert not await consumer.commit_offsets({TP("not-mine", 0): 1})
        engine.next.clear()
    await admin.close()


@in_loop
async def test_a_paused_partition_is_held_and_others_go_on(broker: EmbeddedBroker) -> None:
    [topic] = await new_topics(broker, partitions=2)
    one, other = TP(topic, 0), TP(topic, 1)
    engine = Engine()
    async with running(broker, f"group-{topic}", [topic], engine, TransportSettings(max_records=100)) as app:
        consumer = consumer_of(app)
        await eventually(lambda: consumer.flowing, "flow")
        consumer.pause([one])
        await asyncio.sleep(0.2)
        values = numbered(b"v", 20_000)
        await fill(broker, topic, values, 0)
        await fill(broker, topic, values, 1)
        await eventually(lambda: len(engine.values(other)) == len(values), "the other partition")
        assert not engine.values(one)
        consumer.resume([one])
        await eventually(lambda: len(engine.batches.get(one, [])) >= 3, "some of the one")
        consumer.pause([one])
        at_pause = len(engine.batches[one])
        await asyncio.sleep(0.5)
        held = len(engine.batches[one])
        assert held <= at_pause + 2, "only what was queued and what was on its way came after the pause"
        await fill(broker, topic, [b"more"], 1)
        await eventually(lambda: engine.values(other)[-1] == b"more", "more of the other")
        assert len(engine.batches[one]) == held
        consumer.resume([one])
        await eventually(lambda: len(engine.values(one)) == len(values), "all of the one")
    assert engine.values(one) == values


@pytest.mark.parametrize("batch_transport", [True, False])
@in_loop
async def test_work_goes_on_while_a_second_worker_joins(broker: EmbeddedBroker, batch_transport: bool) -> None:
    topics = await new_topics(broker, 2, partitions=4)
    everything = frozenset(TP(topic, number) for topic in topics for number in range(4))
    for tp in everything:
        await fill(broker, tp.topic, numbered(b"a", 200), tp.partition)
    group = f"group-{topics[0]}"
    settings = TransportSettings(batch_transport=batch_transport)
    first, second = Engine(), Engine()
    async with running(broker, group, topics, first, settings):
        await eventually(lambda: all(len(first.values(tp)) == 200 for tp in everything), "all to the first")
        first.revoking.clear()
        app = make_app(broker, group, topics, second, settings)
        # It starts in full only once it has its partitions.
        starting = asyncio.create_task(app.start())
        await eventually(lambda: first.count("rebalance") == 1, "revocation")
        assert owned(first) == everything
        if batch_transport:
            for tp in everything:
                await fill(broker, tp.topic, numbered(b"m", 50), tp.partition)
            await eventually(lambda: all(len(first.values(tp)) == 250 for tp in everything), "more, in the rebalance")
        await asyncio.sleep(1.0)
        assert not second.calls, "the second gets nothing before the first has flushed"
        second.start = dict(first.next)
        first.revoking.set()
        await starting
        second.consumer = consumer_of(app)
        await eventually(lambda: bool(owned(first)) and bool(owned(second)), "both have partitions")
        assert owned(first) | owned(second) == everything
        assert not owned(first) & owned(second)
        assert {len({tp.topic for tp in owned(second) if tp.partition == number}) for number in range(4)} == {0, 2}
        assert first.committed == [True], "commits are accepted while letting go"
        for tp in everything:
            await fill(broker, tp.topic, numbered(b"b", 100), tp.partition)
        meanwhile = numbered(b"m", 50) if batch_transport else []
        total = 300 + len(meanwhile)
        await eventually(lambda: all(len(both(first, second, tp)) >= total for tp in everything), "the rest, by either")
        # What the second has done is known to the first by the time it goes on, as the real engine reads it in its log.
        first.next |= second.next
        async with asyncio.timeout(LONG_S):
            await app.stop()
        assert [call for call, _ in second.calls] == ["assigned", "revoked", "let go", "stopped"]
        await eventually(lambda: owned(first) == everything, "all back to the first")
        # The engine hears of what it owns a little later than the consumer.
        await eventually(lambda: first.gapless[1:] == [True, True], "told of both generations, none missed")
    for tp in everything:
        assert both(first, second, tp) == numbered(b"a", 200) + meanwhile + numbered(b"b", 100)


def owned(engine: Engine) -> frozenset[TP]:
    assert engine.consumer is not None
    return engine.consumer.owned if engine.consumer.flowing else frozenset()


def both(first: Engine, second: Engine, tp: TP) -> list[bytes | None]:
    return first.values(tp) + second.values(tp)


def at_end(app: faust.App, engine: Engine, tp: TP) -> bool:
    progress = consumer_of(app).progress(tp)
    return progress is not None and engine.next[tp] == progress.end


@in_loop
async def test_a_recovery_that_is_overtaken_by_a_rebalance_is_cancelled(broker: EmbeddedBroker) -> None:
    topics = await new_topics(broker, 1, partitions=2)
    for number in range(2):
        await fill(broker, topics[0], numbered(b"v", 10), number)
    group = f"group-{topics[0]}"
    first, second = Engine(), Engine()
    first.gate.clear()
    async with running(broker, group, topics, first):
        await eventually(lambda: first.count("assigned") == 1, "the first's recovery")
        async with running(broker, group, topics, second):
            await eventually(lambda: first.count("assigned") == 2, "its second recovery")
            calls = [call for call, _ in first.calls]
            assert calls == ["assigned", "rebalance", "flushed", "cancelled", "assigned"]
            first.gate.set()
            everything = [TP(topics[0], number) for number in range(2)]
            await eventually(lambda: all(len(both(first, second, tp)) == 10 for tp in everything), "all records, once")


@in_loop
async def test_stop_is_awaited_and_quick_also_in_the_middle_of_a_recovery(broker: EmbeddedBroker) -> None:
    [topic] = await new_topics(broker)
    engine = Engine()
    engine.gate.clear()
    loop = asyncio.get_running_loop()
    async with running(broker, f"group-{topic}", [topic], engine):
        await eventually(lambda: engine.count("assigned") == 1, "the recovery")
        began = loop.time()
    logging.getLogger(__name__).info("stopped in %.2f s", loop.time() - began)
    assert [call for call, _ in engine.calls] == ["assigned", "cancelled", "revoked", "let go", "stopped"]


@in_loop
async def test_a_hook_that_never_ends_does_not_hold_up_the_stop(broker: EmbeddedBroker) -> None:
    [topic] = await new_topics(broker)
    engine = Engine()
    engine.revoking.clear()
    async with running(broker, f"group-{topic}", [topic], engine, TransportSettings(stop_timeout_s=1.0)) as app:
        await eventually(lambda: consumer_of(app).flowing, "flow")
    assert [call for call, _ in engine.calls] == ["assigned", "revoked", "stopped"]


@in_loop
async def test_a_failing_takeover_crashes_the_app(broker: EmbeddedBroker) -> None:
    [topic] = await new_topics(broker)
    engine = Engine()
    engine.fail = UserError("no state")
    async with running(broker, f"group-{topic}", [topic], engine) as app:
        await eventually(lambda: app.crashed, "the crash")
        assert app.crash_reason is engine.fail


@in_loop
async def test_an_offset_beyond_the_end_is_refused(broker: EmbeddedBroker) -> None:
    [topic] = await new_topics(broker)
    engine = Engine({TP(topic, 0): 17})
    async with running(broker, f"group-{topic}", [topic], engine) as app:
        await eventually(lambda: app.crashed, "the crash")
        assert isinstance(app.crash_reason, UserError)
        assert "recreated" in str(app.crash_reason)


@in_loop
async def test_the_app_stops_also_when_the_broker_is_gone() -> None:
    with EmbeddedBroker() as own:
        [topic] = await new_topics(own)
        await fill(own, topic, numbered(b"v", 10))
        engine = Engine()
        settings = TransportSettings(stop_timeout_s=2.0)
        async with running(own, f"group-{topic}", [topic], engine, settings):
            await eventually(lambda: len(engine.values(TP(topic, 0))) == 10, "all records")
            own.kill()
            await asyncio.sleep(1.0)
    assert [call for call, _ in engine.calls][-1] == "stopped"


@in_loop
async def test_reading_goes_on_after_a_broker_restart() -> None:
    with EmbeddedBroker() as own:
        [topic] = await new_topics(own)
        tp = TP(topic, 0)
        await fill(own, topic, numbered(b"a", 100))
        engine = Engine()
        async with running(own, f"group-{topic}", [topic], engine):
            await eventually(lambda: len(engine.values(tp)) == 100, "all records")
            own.kill()
            own.start()
            await fill(own, topic, numbered(b"b", 100))
            await eventually(lambda: len(engine.values(tp)) == 200, "the rest")
    assert engine.values(tp) == numbered(b"a", 100) + numbered(b"b", 100)

"""The flush protocol over a log in memory: what lands when, and what somebody else's writing does to it (SPEC 9)."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from streams.codecs.meta import META_KEY, encode_meta, epoch_headers
from streams.codecs.refusals import Reason, Refused
from streams.domain.cut import Cut
from streams.domain.dormant import wake_all
from streams.domain.partition import Partition
from streams.domain.policy import PolicySet
from streams.domain.rulebook import Rulebook
from streams.domain.transitions import STATUS_NAMES
from streams.engine import cut as cuts
from streams.engine import restore
from streams.engine.batch import RecordBatch
from streams.engine.changelog import LogState
from streams.engine.cut import OutputTopics
from streams.engine.flush import Fenced, Flusher
from streams.engine.kafka_log import Outputs
from streams.engine.log_writer import BatchTooLarge, Row, WriteUnavailable
from streams.engine.processor import DeadLetter, PartitionProcessor, Tally
from streams.engine.restore import Restored, restore_partition
from streams.engine.takeover import recover
from streams.engine.tasks import side_by_side
from tests.core.scene import STOCK, T0, Scene, policy
from tests.integration.waiting import in_loop

TOPICS = OutputTopics("changelog", "transitions", "snapshots", "letters", ("o", "c", "f", "i"), "/test")
LIMIT = 100_000
# One line cancelled is enough to be at risk, so that a scene is short.
POLICY = policy(only=STOCK, metrics={STOCK: {"n_min": 1, "k_min": 1}})


class MemoryLog:
    """Every append is acked at once, but for what a test forbids; before an append a test may have others write."""

    def __init__(self) -> None:
        self.topics: dict[str, list[Row]] = defaultdict(list)
        self.batches: list[tuple[str, int]] = []
        self.forbidden: set[str] = set()
        self.before: dict[str, Callable[[], None]] = {}

    async def append(self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int) -> int:
        if topic in self.forbidden:
            raise WriteUnavailable(topic)
        if sum(map(cuts.row_size, rows)) > LIMIT:
            raise BatchTooLarge(topic)
        self.before.pop(topic, lambda: None)()
        base = len(self.topics[topic])
        self.topics[topic].extend(rows)
        self.batches.append((topic, len(rows)))
        return base

    async def publish(self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int) -> list[int]:
        if any(cuts.row_size(row) > LIMIT for row in rows):
            raise BatchTooLarge(topic)
        return [await self.append(topic, partition, [row], timestamp_ms) for row in rows]

    async def publish_all(self, partition: int, outputs: Outputs, timestamp_ms: int) -> list[list[int]]:
        return await side_by_side(self.publish(topic, partition, rows, timestamp_ms) for topic, rows in outputs)

    async def read(self, topic: str, partition: int, start: int, end: int | None = None) -> AsyncIterator[RecordBatch]:
        stop = len(self.topics[topic]) if end is None else end
        rows = self.topics[topic][start:stop]
        yield RecordBatch(
            topic,
            partition,
            start_offset=start,
            next_offset=stop,
            highwater=stop,
            offsets=list(range(start, stop)),
            timestamps=[0] * len(rows),
            keys=[row[0] for row in rows],
            values=[row[1] for row in rows],
            headers=[tuple(row[2]) for row in rows],
        )

    async def end(self, topic: str, partition: int) -> int:
        return len(self.topics[topic])

    def transitions(self) -> list[str]:
        return [json.loads(value or b"")["event_id"] for _, value, _ in self.topics["transitions"]]


class Owner:
    """A worker's side of one partition, told by hand."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.flusher = Flusher(0, TOPICS, log, lambda: T0)
        self.state = LogState()

    async def take_over(self) -> Restored:
        await self.flusher.read_on(self.state)
        await self.flusher.claim(self.state)
        restored = restore_partition(self.state, Rulebook(PolicySet((POLICY,))))
        self.processor = PartitionProcessor(restored.partition, "event", lambda: T0)
        snapshots = cuts.snapshot_rows(restored.partition, restored.outbox.snapshots, self.flusher.epoch)
        await self.flusher.publish(restored.outbox.transitions, snapshots)
        return restored

    async def flush(self, cut: Cut | None = None, tally: Tally | None = None) -> None:
        taken = self.processor.partition.take_cut()
        await self.flusher.send(self.flusher.prepare(self.processor, cut or taken, tally or Tally()))


def flag(partition: Partition, products: Sequence[str], at: int) -> None:
    """Move products to at risk."""
    scene = Scene(POLICY)
    scene.partition = partition
    for product in products:
        scene.placed(f"{product}-O", at, product_id=product)
    for product in products:
        scene.cancelled(f"{product}-O", at + 1, product_id=product)
    partition.cut.transitions[:0] = scene.transitions


async def owner_of(log: MemoryLog) -> Owner:
    owner = Owner(log)
    await owner.take_over()
    return owner


@in_loop
async def test_a_large_outbox_is_many_rows_in_many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "BATCH_BYTES_MAX", 20_000)
    log = MemoryLog()
    owner = await owner_of(log)
    products = [f"P{number:03d}" for number in range(100)]
    flag(owner.processor.partition, products, T0)
    log.forbidden.add("transitions")
    with pytest.raises(WriteUnavailable):
        await owner.flush()
    changelog = [count for topic, count in log.batches if topic == "changelog"]
    assert len(changelog) > 5, "the cut was not large enough to prove anything"
    assert owner.flusher.durable_positions == [], "positions count only once all is published"
    log.forbidden.clear()
    heir = Owner(log)
    restored = await heir.take_over()
    assert len(restored.outbox.transitions) == 100
    assert log.transitions() == [f"{product}:1" for product in products]
    assert {key for key, value, _ in log.topics["snapshots"] if value} == {p.encode() for p in products}
    # Published, so the next cut takes it out of the log, and who comes then repeats nothing. It writes the snapshots
    # again, for the failed owner's stand before its own; and takes them out in turn.
    assert heir.flusher.must_write
    for _ in range(2):
        await heir.flush()
    assert not heir.flusher.must_write
    assert (await Owner(log).take_over()).outbox.is_empty


@in_loop
async def test_a_cut_without_its_meta_row_never_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "BATCH_BYTES_MAX", 5_000)
    log = MemoryLog()
    owner = await owner_of(log)
    flag(owner.processor.partition, ["A"], T0)
    await owner.flush()
    flag(owner.processor.partition, [f"P{number}" for number in range(50)], T0 + 2)
    # It dies after the second of several batches.
    batches = len(log.batches)
    log.before["changelog"] = lambda: log.before.update(changelog=lambda: log.forbidden.add("changelog"))
    with pytest.raises(WriteUnavailable):
        await owner.flush()
        await owner.flush()
    assert len(log.batches) > batches
    log.forbidden.clear()
    restored = await Owner(log).take_over()
    assert set(wake_all(restored.partition)) == {"A"}


@in_loop
async def test_a_dead_letter_no_batch_takes_goes_without_its_value() -> None:
    log = MemoryLog()
    owner = await owner_of(log)
    value = b"x" * (LIMIT + 1)
    batch = RecordBatch("o", 0, 0, 1, 1, [5], [T0], [b"k"], [value], [(("h", b"1"),)])
    await owner.flush(tally=Tally(dead_letters=[DeadLetter(0, batch, 0, Refused(Reason.TOO_LARGE, "too large"))]))
    ((key, told, headers),) = log.topics["letters"]
    assert (key, told) == (b"k", None)
    said = dict(headers)
    assert (said["h"], said["fp-error-offset"]) == (b"1", b"5")
    assert said["fp-error-value-bytes"] == str(len(value)).encode()


@in_loop
async def test_a_zombies_rows_are_written_again() -> None:
    log = MemoryLog()
    owner = await owner_of(log)
    flag(owner.processor.partition, ["A", "B"], T0)
    await owner.flush()
    await owner.flush()
    stale = epoch_headers(owner.flusher.epoch - 1)
    alone = b"\x01\x91\x01"
    log.topics["changelog"] += [
        (b"A", alone, stale),
        (b"Z", alone, stale),
        (b"\x80", b"?", stale),
        (META_KEY, b"", stale),
    ]
    flag(owner.processor.partition, ["C"], T0 + 2)
    await owner.flush()
    assert owner.flusher.must_write, "before compaction could prefer the stale rows"
    await owner.flush()
    last = {key: value for key, value, _ in log.topics["changelog"]}
    assert last[b"Z"] is None
    assert last[b"\x80"] is None, "nobody's row, which must not stop the owner either"
    assert len(last[b"A"] or b"") > 3
    restored = await Owner(log).take_over()
    assert set(wake_all(restored.partition)) == {"A", "B", "C"}


@in_loop
async def test_transitions_and_snapshots_go_out_side_by_side() -> None:
    class Waiting(MemoryLog):
        """Acks each topic's output only once the other's is on its way."""

        def __init__(self) -> None:
            super().__init__()
            self.begun = {topic: asyncio.Event() for topic in ("transitions", "snapshots")}

        async def publish(self, topic: str, partition: int, rows: Sequence[Row], timestamp_ms: int) -> list[int]:
            self.begun[topic].set()
            for event in self.begun.values():
                await event.wait()
            return await super().publish(topic, partition, rows, timestamp_ms)

    log = Waiting()
    owner = await owner_of(log)
    flag(owner.processor.partition, ["A"], T0)
    async with asyncio.timeout(60):
        await owner.flush()
    assert log.transitions() == ["A:1"]
    assert len(log.topics["snapshots"]) == 1


@in_loop
async def test_who_finds_a_higher_epoch_publishes_nothing() -> None:
    log = MemoryLog()
    sleeper = await owner_of(log)
    await owner_of(log)
    flag(sleeper.processor.partition, ["A"], T0)
    with pytest.raises(Fenced, match="another worker took it over"):
        await sleeper.flush()
    assert log.topics["transitions"] == log.topics["snapshots"] == []
    assert (await Owner(log).take_over()).partition.products == {}, "its rows are of a lower epoch"


@in_loop
async def test_a_cut_that_lands_before_the_claim_is_honoured() -> None:
    log = MemoryLog()
    old = await owner_of(log)
    flag(old.processor.partition, ["A"], T0)
    flush = old.flusher.prepare(old.processor, *old.processor.take())
    rows = [*flush.rows]

    def land() -> None:
        log.topics["changelog"] += [*rows, (META_KEY, encode_meta(flush.meta), epoch_headers(old.flusher.epoch))]

    log.before["changelog"] = land
    restored = await Owner(log).take_over()
    assert set(wake_all(restored.partition)) == {"A"}
    assert log.transitions() == ["A:1"]


@in_loop
async def test_a_sleepers_snapshot_is_written_again() -> None:
    log = MemoryLog()
    owner = await owner_of(log)
    flag(owner.processor.partition, ["A"], T0)
    await owner.flush()
    await owner.flush()
    await owner.flusher.look_for_others()
    assert not owner.flusher.must_write
    log.topics["snapshots"] += [(b"A", None, epoch_headers(owner.flusher.epoch - 1)), (b"\x80", b"nobody's", ())]
    await owner.flusher.look_for_others()
    assert owner.flusher.must_write
    await owner.flush()
    key, value, _ = log.topics["snapshots"][-1]
    assert key == b"A"
    assert json.loads(value or b"")["current_status"] == STATUS_NAMES[1]
    log.topics["snapshots"].append((b"A", None, epoch_headers(owner.flusher.epoch + 1)))
    with pytest.raises(Fenced):
        await owner.flusher.look_for_others()


def test_the_log_in_memory_is_one() -> None:
    log = MemoryLog()
    assert asyncio.run(log.append("t", 0, [(b"k", b"v", ())], 0)) == 0
    assert asyncio.run(log.end("t", 0)) == 1


@in_loop
async def test_the_loop_has_its_turn_while_a_partition_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "_ROWS_AT_ONCE", 10)
    log = MemoryLog()
    owner = await owner_of(log)
    scene = Scene(POLICY)
    scene.partition = owner.processor.partition
    for number in range(200):
        scene.placed("O", product_id=f"P{number}")
    await owner.flush()
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(count_turns())
    book = Rulebook(PolicySet((POLICY,)))
    processor, _ = await recover(0, TOPICS, log, book, "event", lambda: T0)
    beside.cancel()
    assert len(processor.partition.dormant.rows) == 200
    assert turns >= 20


@in_loop
async def test_a_claim_that_compaction_took_before_it_was_read_is_outbid_all_the_same() -> None:
    """Two workers claim the same epoch, one after the other, and the second sleeps until the first claim is gone."""
    log = MemoryLog()
    log.before["changelog"] = lambda: log.topics["changelog"].append((None, None, ()))  # where the first claim was
    owner = await owner_of(log)
    assert owner.flusher.epoch == 2

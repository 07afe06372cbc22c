"""Events at a steady rate, and how long each takes until the transition it causes can be read.

Some of the events are triggers: each is the 20th line of a product of its own, three lines of which are cancelled, so
that it, and nothing before it, makes the product at risk (for Kafka Streams' simpler job: impacted). All that went
before it is loaded first. The other events are of a trade that causes no transitions.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.harness import PARTITIONS, Bench, Inputs, settings_of
from benchmarks.workload import Trade, cancelled, placed
from streams.engine.partitioning import partition_of
from streams.testing.records import SimulatedRecord

PRODUCTS = 50_000
_LINES, _CANCELLED = 19, 3
_TICK_S = 0.01
# So many records are made within a ms, even on a busy machine.
_MADE_PER_MS = 20
_BATCH_BYTES = 400_000
# A transition that has not come so long after the last event was sent does not come, s.
_LAST_S = 60.0
_HISTORY_MS = 600_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent: `rate` events a second for `seconds`; of them, about `triggers_per_s` are triggers.

    `tag` keeps its products and orders apart from those of another plan on the same topics.
    """

    rate: int
    seconds: int
    triggers_per_s: int
    tag: str = "T"

    @property
    def every(self) -> int:
        """One event in so many is a trigger."""
        return max(1, self.rate // self.triggers_per_s)

    @property
    def triggers(self) -> list[str]:
        """The products that are triggered, in order."""
        return [f"{self.tag}{number:06d}" for number in range(-(-self.rate * self.seconds // self.every))]


def prepare(bench: Bench, *plans: Plan) -> Inputs:
    """Input topics of their own, with the histories of the products that are to be triggered."""
    now = time.time_ns() // 1_000_000 - _HISTORY_MS
    records: list[SimulatedRecord] = []
    for number, product in enumerate(product for plan in plans for product in plan.triggers):
        at = now + number % 60_000
        records += [placed(product, f"{product}-{line}", at) for line in range(_LINES)]
        records += [cancelled(product, f"{product}-{line}", at + 1) for line in range(_CANCELLED)]
    records.sort(key=lambda record: record.timestamp_ms)
    return bench.load("paced", records, len(records))


@dataclass
class Paced:
    """What came of it. Times are monotonic, in s, by product: `sent` before the broker was called, `received`.

    `began`: when the first event was sent, 0 before that.
    """

    sent: dict[str, float] = field(default_factory=dict)
    received: dict[str, float] = field(default_factory=dict)
    began: float = 0.0
    ended: float = 0.0
    events: int = 0

    @property
    def rate(self) -> float:
        """Events sent a second."""
        return self.events / (self.ended - self.began)

    @property
    def lost(self) -> int:
        """Triggers whose transition never came."""
        return len(self.sent) - len(self.received)

    def latencies_ms(self, after_s: float = 0.0) -> list[float]:
        """From produce to readable, in ascending order; of what was sent this long after the beginning, or later."""
        return sorted(
            1000 * (at - self.sent[product])
            for product, at in self.received.items()
            if self.sent[product] >= self.began + after_s
        )


def percentile(ascending: Sequence[float], share: float) -> float | None:
    """The least value that this share of all is at or below; None of none."""
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))] if ascending else None


async def pace(
    environment: Mapping[str, str],
    plan: Plan,
    output_topic: str,
    enough: Callable[[], bool] = lambda: False,
    result: Paced | None = None,
) -> Paced:
    """Send what the plan says, or until it is `enough`, and read the transitions meanwhile; `result` is filled."""
    settings, result = settings_of(environment), result or Paced()
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, acks="all", linger_ms=0, max_batch_size=_BATCH_BYTES
    )
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        fetch_max_wait_ms=100,
    )
    await producer.start()
    await consumer.start()
    try:
        tps = [TopicPartition(output_topic, partition) for partition in range(PARTITIONS)]
        consumer.assign(tps)
        await consumer.seek_to_end(*tps)
        reading = asyncio.create_task(_read(consumer, result))
        try:
            with _no_collections():
                await _send(producer, settings.input_topics, plan, result, enough)
            async with asyncio.timeout(_LAST_S):
                while result.lost:
                    await asyncio.sleep(_TICK_S)
        except TimeoutError:
            pass  # it is told by `lost`
        finally:
            reading.cancel()
    finally:
        await consumer.stop()
        await producer.stop()
    return result


async def _read(consumer: AIOKafkaConsumer, result: Paced) -> None:
    async for record in consumer:
        product = record.key.decode()
        if product in result.sent:
            result.received.setdefault(product, time.monotonic())


async def _send(
    producer: AIOKafkaProducer, topics: Sequence[str], plan: Plan, result: Paced, enough: Callable[[], bool]
) -> None:
    begins_ms = time.time_ns() // 1_000_000 + 1_000 + plan.rate * plan.seconds // _MADE_PER_MS
    records = _records(plan, begins_ms)
    await asyncio.sleep(max(0.0, begins_ms / 1000 - time.time()))
    result.began = time.monotonic()
    lanes: dict[tuple[int, int], _Lane] = {}
    while result.events < len(records) and not enough():
        due = min(len(records), int((time.monotonic() - result.began) * plan.rate) + 1)
        triggered = []
        for partition, trigger, record in records[result.events : due]:
            if trigger is not None:
                triggered.append(trigger)
            lane = lanes.get((record.topic, partition))
            if lane is None:
                lane = lanes[record.topic, partition] = _Lane(producer, topics[record.topic], partition)
            lane.waiting.append(record)
        sent = time.monotonic()
        result.sent.update(dict.fromkeys(triggered, sent))
        for lane in lanes.values():
            lane.go_on()
        result.events = due
        await asyncio.sleep(_TICK_S)
    for lane in lanes.values():
        await lane.finish()
    result.ended = time.monotonic()


@contextmanager
def _no_collections() -> Iterator[None]:
    """Python's garbage collector would go through all the records now and then, and stop sender and reader for that."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Lane:
    """What goes to one partition: one batch is on its way at a time, and what comes meanwhile is in the next one."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int) -> None:
        self.waiting: list[SimulatedRecord] = []
        self._producer, self._topic, self._partition = producer, topic, partition
        self._sending: asyncio.Task[None] | None = None

    def go_on(self) -> None:
        """Begin to send what waits, unless something is on its way, which goes on with it."""
        if self.waiting and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send())

    async def finish(self) -> None:
        """Wait until all is acked."""
        self.go_on()
        if self._sending is not None:
            await self._sending

    async def _send(self) -> None:
        while self.waiting:
            batch, taken = self._producer.create_batch(), 0
            for record in self.waiting:
                if batch.append(key=record.key, value=record.value, timestamp=record.timestamp_ms) is None:
                    break
                taken += 1
            del self.waiting[:taken]
            batch.close()
            await (await self._producer.send_batch(batch, self._topic, partition=self._partition))


def _records(plan: Plan, begins_ms: int) -> list[tuple[int, str | None, SimulatedRecord]]:
    """All that is to be sent, made before the time begins: partition, the product that it triggers, and the record."""
    trade, triggers = Trade(PRODUCTS, plan.tag), iter(plan.triggers)
    records: list[tuple[int, str | None, SimulatedRecord]] = []
    for number in range(plan.rate * plan.seconds):
        at = begins_ms + number * 1000 // plan.rate
        product = next(triggers) if number % plan.every == 0 else None
        record = trade.next(at) if product is None else placed(product, f"{product}-last", at)
        records.append((partition_of(record.key, PARTITIONS), product, record))
    return records

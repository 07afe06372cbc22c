"""State that is there before a worker starts: written into its changelog, as a worker would have written it.

To have a million products with a history would take an hour of events. So a few thousand products live through a
market, and their rows are written under as many names as are asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice

from benchmarks.harness import OURS, PARTITIONS, Bench, settings_of
from benchmarks.plain_faust import BOOK, ProductCodec, changelog_of
from benchmarks.workload import DAY_MS, market, placed, product_id
from streams.codecs.event_lines import InputRecord
from streams.codecs.meta import Meta, Outbox, epoch_headers
from streams.codecs.row import RowWriter
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.domain.product import Product
from streams.engine.admin import TopicSpec, ensure_topics
from streams.engine.backtest import backtest
from streams.engine.cut import Flush, OutputTopics
from streams.engine.ends import LogEnds
from streams.engine.flush import Flusher
from streams.engine.kafka_log import KafkaLog
from streams.engine.log_writer import AtomicWriter, Row
from streams.engine.partitioning import partition_of
from streams.engine.patience import Patience
from streams.engine.takeover import recover
from streams.observability.health import Health
from streams.settings import Settings
from streams.testing.market import START_MS
from streams.topics import topic_specs

EVENTS_PER_PRODUCT = 20
DAYS = 14
CLOCK_MS = START_MS + DAYS * DAY_MS
#: A cut of some megabytes, as a worker makes them.
_ROWS_PER_CUT = 5_000

NamedRow = tuple[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class Stored:
    """Products as of CLOCK_MS: (name, a product whose state it has)."""

    products: Iterable[tuple[str, Product]]
    count: int


def ordinary(count: int) -> Stored:
    """Products with an ordinary history: 20 events each on the average, in the last two weeks, of skewed popularity."""
    lived = min(2_000, count)
    records = market(lived, lived * EVENTS_PER_PRODUCT, DAYS)
    models = _live(InputRecord(r.topic, r.timestamp_ms, r.key, r.value) for r in records)
    return Stored(((product_id(number), models[number % len(models)]) for number in range(count)), count)


def with_open_lines(name: str, lines: int) -> Stored:
    """One product with so many lines that are neither shipped nor due."""
    records = [placed(name, f"open-{number}", CLOCK_MS - 1 - number % DAY_MS) for number in range(lines)]
    records.sort(key=lambda record: record.timestamp_ms)
    (product,) = _live(InputRecord(r.topic, r.timestamp_ms, r.key, r.value) for r in records)
    return Stored([(name, product)], 1)


def _live(records: Iterable[InputRecord]) -> list[Product]:
    result = backtest(records, PolicySet((DEFAULT_POLICY,)), partitions=1, until_ms=CLOCK_MS)
    return result.products()


def store(bench: Bench, subject: str, stored: Stored, names: Mapping[str, str]) -> str:
    """Write the state of a new application of a subject that reads these inputs; its app_id."""
    app_id = bench.new_name("stored")
    settings = settings_of(bench.environment(names, app_id))
    asyncio.run((_store_ours if subject == OURS else _store_plain)(settings, stored))
    return app_id


def _by_partition(stored: Stored) -> list[list[tuple[str, Product]]]:
    found: list[list[tuple[str, Product]]] = [[] for _ in range(PARTITIONS)]
    for name, product in stored.products:
        found[partition_of(name.encode(), PARTITIONS)].append((name, product))
    return found


@asynccontextmanager
async def _log(settings: Settings) -> AsyncIterator[KafkaLog]:
    connection = settings.kafka_kwargs()
    patience = Patience(Health(), settings.stall_timeout_ms)
    writer, ends = AtomicWriter(connection), LogEnds(connection, settings.input_topics)
    await writer.start()
    try:
        yield KafkaLog(connection, writer, ends, patience)
    finally:
        await writer.stop()
        await ends.stop()


async def _store_ours(settings: Settings, stored: Stored) -> None:
    await ensure_topics(settings.kafka_kwargs(), topic_specs(settings, keep_input=True))
    outputs = OutputTopics(settings.changelog_topic, *settings.output_topics, settings.input_topics, settings.ce_source)
    encoded: dict[int, list[NamedRow]] = {}
    async with _log(settings) as log:
        for partition, products in enumerate(_by_partition(stored)):
            _, flusher = await recover(partition, outputs, log, BOOK, "event", _now_ms)
            await _write_cuts(flusher, products, encoded)


async def _write_cuts(
    flusher: Flusher, products: list[tuple[str, Product]], encoded: dict[int, list[NamedRow]]
) -> None:
    headers = epoch_headers(flusher.epoch)
    left = iter(products)
    done = 0
    while part := list(islice(left, _ROWS_PER_CUT)):
        done += len(part)
        rows: list[Row] = []
        for name, product in part:
            if id(product) not in encoded:
                product.touched = None
                encoded[id(product)] = RowWriter().encode(product.id, product, BOOK)
            model = product.id.encode()
            rows += [(_renamed(key, model, name.encode()), value, headers) for key, value in encoded[id(product)]]
        meta = Meta(clock=CLOCK_MS, lands_at=flusher.expected, products=done, rules=BOOK.digest)
        await flusher.send(Flush(rows=rows, meta=meta, outbox=Outbox(), dead_letters=[], snapshots=[], size=0))


def _renamed(key: bytes, model: bytes, name: bytes) -> bytes:
    """A row's key with another product in it."""
    return key.removesuffix(model) + name


async def _store_plain(settings: Settings, stored: Stored) -> None:
    topic = changelog_of(settings.app_id)
    spec = TopicSpec(topic, PARTITIONS, 1, {"cleanup.policy": "compact"})
    await ensure_topics(settings.kafka_kwargs(), [spec])
    codec = ProductCodec()
    encoded: dict[int, bytes] = {}
    async with _log(settings) as log:
        for partition, products in enumerate(_by_partition(stored)):
            rows: list[Row] = []
            for name, product in products:
                if id(product) not in encoded:
                    encoded[id(product)] = codec.dumps(product)
                rows.append((name.encode(), codec.renamed(encoded[id(product)], name), ()))
            if rows:
                await log.publish(topic, partition, rows, _now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

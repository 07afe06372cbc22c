"""A partition processor fed as a worker feeds it: in batches, with cuts, a changelog and restarts, but no broker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from streams.codecs.event_lines import InputRecord
from streams.codecs.meta import CLAIM_KEY, META_KEY, encode_meta, epoch_headers
from streams.domain.dormant import wake_all
from streams.domain.partition import Partition
from streams.domain.policy import PolicySet
from streams.domain.rulebook import Rulebook
from streams.engine.backtest import BacktestResult
from streams.engine.batch import Headers, RecordBatch
from streams.engine.changelog import LogState
from streams.engine.cut import OutputTopics
from streams.engine.flush import AWAKE_MAX, Flusher
from streams.engine.processor import ClockMode, PartitionProcessor, Wall
from streams.engine.restore import restore_partition
from tests.core.logs import Logs

LogRow = tuple[bytes, bytes | None, Headers]
TOPICS = OutputTopics(
    "changelog", "transitions", "snapshots", "dead-letters", ("orders", "cancellations", "fees", "impressions"), "/test"
)


def no_wall() -> int:
    raise AssertionError("the event clock asks no wall clock")


def input_batch(records: Sequence[InputRecord], start: int, end: int) -> RecordBatch:
    """Records `start` to the end of the sequence, as fetched from a log that ends at `end`."""
    stop = start + len(records)
    return RecordBatch(
        topic="",
        partition=0,
        start_offset=start,
        next_offset=stop,
        highwater=end,
        offsets=list(range(start, stop)),
        timestamps=[record.timestamp_ms for record in records],
        keys=[record.key for record in records],
        values=[record.value for record in records],
        headers=[()] * len(records),
    )


def log_batch(log: Sequence[LogRow], offsets: Sequence[int]) -> RecordBatch:
    """Rows of a changelog as one fetched batch: those at these offsets, which are none or ascend."""
    rows = [log[offset] for offset in offsets]
    start, stop = (offsets[0], offsets[-1] + 1) if offsets else (0, 0)
    return RecordBatch(
        topic="changelog",
        partition=0,
        start_offset=start,
        next_offset=stop,
        highwater=stop,
        offsets=list(offsets),
        timestamps=[0] * len(rows),
        keys=[key for key, _, _ in rows],
        values=[value for _, value, _ in rows],
        headers=[headers for _, _, headers in rows],
    )


def read_log(log: Sequence[LogRow], *, compacted: int = 0, batch_rows: int = 1000) -> LogState:
    """What a changelog says, in batches of so many rows; below offset `compacted`, of every key the last row is left.

    Compaction keeps the offsets of what it leaves.
    """
    last = {key: offset for offset, (key, _, _) in enumerate(log[:compacted])}
    offsets = [*sorted(last.values()), *range(compacted, len(log))]
    state = LogState()
    for start in range(0, len(offsets), batch_rows):
        state.read(log_batch(log, offsets[start : start + batch_rows]))
    return state


class Pipeline:
    """One partition of a worker, its changelog in memory.

    `log`: the rows of the changelog. `published`: the transitions of all cuts so far, as bytes. `page_counts`: how
    many pages products had after a cut. `processor` and `flusher` are another's after `restart`.
    """

    def __init__(self, policies: PolicySet, clock_mode: ClockMode = "event", wall: Wall = no_wall) -> None:
        self.policies = policies
        self.log: list[LogRow] = []
        self.published: list[bytes] = []
        self.page_counts: list[dict[str, int]] = []
        self._clock_mode, self._wall = clock_mode, wall
        self._epoch = 0
        self._settled = 0  # rows up to and with the last meta row, which compaction may take
        self.restart()

    @property
    def partition(self) -> Partition:
        return self.processor.partition

    def restart(self, *, compact: bool = False, batch_rows: int = 1000) -> None:
        """Begin anew from the changelog, as who takes a partition over does; all since the last cut is lost."""
        state = read_log(self.log, compacted=self._settled if compact else 0, batch_rows=batch_rows)
        restored = restore_partition(state, Rulebook(self.policies))
        partition, meta = restored.partition, restored.meta
        # Only `prepare` is asked of it, which sends nothing: it needs no log.
        self.flusher = Flusher(0, TOPICS, cast(Any, None), no_wall)
        assert state.epoch == self._epoch
        self._epoch = state.epoch + 1
        self.flusher.succeed(state, self._epoch, len(self.log))
        self.log.append((CLAIM_KEY, b"", epoch_headers(self._epoch)))
        self.flusher.rows.pages = restored.pages
        self.processor = PartitionProcessor(partition, self._clock_mode, self._wall)
        for queue, position, awaited in zip(self.processor.queues, meta.positions, meta.awaited, strict=True):
            queue.position = queue.fetched = position
            queue.awaited = awaited

    def haunt(self, random: Random) -> None:
        """Somebody who has lost the partition writes old rows once more; the owner notices at its next cut."""
        old = [(key, value, epoch_headers(self._epoch - 1)) for key, value, _ in self.log if random.random() < 0.3]
        between = LogState(epoch=self._epoch)
        between.read(log_batch(old, range(len(old))))
        self.flusher._stale |= between.stale_keys()
        self.log += old

    def tear(self, random: Random) -> None:
        """A cut of which only a beginning reaches the changelog, and its meta row does not. Then comes a restart."""
        rows = self.flusher.prepare(self.processor, *self.processor.take()).rows
        self.log += cast(list[LogRow], rows[: random.randint(0, len(rows))])

    def cut(self) -> None:
        """Write what changed to the changelog, and publish the transitions."""
        flush = self.flusher.prepare(self.processor, *self.processor.take())
        assert flush.dead_letters == []
        self.log += cast(list[LogRow], flush.rows)
        self.log.append((META_KEY, encode_meta(flush.meta), epoch_headers(self._epoch)))
        self._settled = len(self.log)
        self.published += [entry.value for entry in flush.outbox.transitions]
        self.page_counts.append(dict(self.flusher.rows.pages))

    def feed(self, logs: Logs, sizes: Sequence[int], random: Random) -> bool:
        """Fetch what is needed, in batches of random `sizes`, and apply some of it; False at the end of the logs."""
        for topic, (queue, log) in enumerate(zip(self.processor.queues, logs, strict=True)):
            queue.end = len(log)
            if not queue.chunks and queue.fetched < len(log):
                start = queue.fetched
                fetched = log[start : start + random.choice(sizes)]
                self.processor.offer(topic, input_batch(fetched, start, len(log)))
        return self.processor.run(random.choice(sizes)) > 0

    def rates(self) -> dict[str, dict[str, Any]]:
        """Numbers and status of all products that have anything left, as the oracle gives them."""
        return rates_of(self.partition)


def rates_of(partition: Partition) -> dict[str, dict[str, Any]]:
    """Numbers and status of all products that have anything left, as the oracle gives them."""
    found = {}
    for rates in BacktestResult([partition]).rates():
        found[rates["product_id"]] = {"status": rates["status"], "metrics": rates["metrics"]}
    return found


@dataclass(frozen=True)
class Risks:
    """How often what may happen between two runs of a processor does."""

    cut: float = 0.5
    restart: float = 0.4
    torn: float = 0.3  # of the restarts
    haunted: float = 0.1
    asleep: float = 0.5  # of the cuts
    sizes: tuple[int, ...] = (1, 7, 1000)


def run_pipeline(
    logs: Logs, policies: PolicySet, until_ms: int | None, random: Random, risks: Risks | None = None
) -> Pipeline:
    """A pipeline through all of the logs and on to `until_ms`, with batches, cuts and restarts where chance has them.

    A restart loses what was applied since the last cut, which is then applied again.
    """
    pipeline, risks = Pipeline(policies), risks or Risks()
    while pipeline.feed(logs, risks.sizes, random):
        if random.random() < risks.cut:
            pipeline.flusher.awake_max = random.choice((0, 1)) if random.random() < risks.asleep else AWAKE_MAX
            pipeline.cut()
        if random.random() < risks.haunted:
            pipeline.haunt(random)
        if random.random() < risks.restart:
            if random.random() < risks.torn:
                pipeline.tear(random)
            pipeline.restart(compact=random.random() < 0.5, batch_rows=random.choice((1, 3, 1000)))
    pipeline.cut()
    if until_ms is not None:
        pipeline.processor.advance(until_ms)
    pipeline.cut()
    return pipeline


def same_end(one: Pipeline, other: Pipeline) -> None:
    """Two pipelines have said the same, and will whatever comes."""
    assert one.published == other.published
    assert one.partition.clock == other.partition.clock
    assert one.rates() == other.rates()
    assert one.partition.statuses == other.partition.statuses
    assert products_of(one) == products_of(other)


def products_of(pipeline: Pipeline) -> dict[str, tuple[object, ...]]:
    """All that is kept of each product, so that two partitions can be told apart by more than what they said so far."""
    clock = pipeline.partition.clock
    assert clock is not None
    found: dict[str, tuple[object, ...]] = {}
    for product in wake_all(pipeline.partition).values():
        product.catch_up(pipeline.partition.book, clock)
        if product.is_empty:
            continue
        found[product.id] = (
            product.sequence,
            product.status,
            product.relapse_count,
            product.resolved_at,
            product.effective_at,
            product.buckets,
            product.impressions,
            product.totals,
            product.seen,
            sorted(product.high_fees),
            product.threats,
            {key: line.facts for key, line in product.lines.items()},
            [(s.level, s.since, s.breach_since, s.exit_since) for s in product.states or ()],
            (product.seller, product.region, product.category),
            (product.snapshot_at, product.snapshot_pending),
        )
    return found

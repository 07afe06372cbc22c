"""The same core without a broker: what a log of events would have given (SPEC section 5, event clock).

It is the reference the pipeline is checked against: the same processor, fed from memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from streams.codecs.event_lines import InputRecord
from streams.domain.dormant import wake_all
from streams.domain.partition import Partition
from streams.domain.policy import METRICS, PolicySet
from streams.domain.product import Product
from streams.domain.rulebook import ALLOWED_LATENESS_MS, BUCKET_MS, Rulebook
from streams.domain.transitions import STATUS_NAMES, Transition
from streams.engine.batch import RecordBatch
from streams.engine.partitioning import partition_of
from streams.engine.processor import TOPIC_COUNT, PartitionProcessor

_CHUNK = 2000


@dataclass(slots=True)
class BacktestResult:
    """What came of a log: `transitions` by partition, in order of emission; `outcomes`: (type, outcome) -> events."""

    partitions: list[Partition] = field(default_factory=list)
    transitions: list[list[Transition]] = field(default_factory=list)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def statuses(self) -> dict[str, int]:
        """How many products are in each status at the end (of those that have anything left, or are flagged)."""
        counts = Counter(STATUS_NAMES[product.status] for product in self.products())
        return {name: counts[name] for name in STATUS_NAMES}

    def products(self) -> list[Product]:
        """Products that have anything left but their sequence, caught up to the end, sorted by id."""
        left = []
        for partition in self.partitions:
            for product in wake_all(partition).values():
                assert partition.clock is not None
                product.catch_up(partition.book, partition.clock)
                if not product.is_empty:
                    left.append(product)
        return sorted(left, key=lambda product: product.id)

    def rates(self) -> Iterator[dict[str, Any]]:
        """One object per product that has anything left but its sequence, sorted by product_id."""
        for product in self.products():
            metrics = {}
            for name, rule in zip(METRICS, product.plan.rules, strict=True):
                numerator, denominator = rule.counts(product.totals)
                metrics[name] = {"numerator": numerator, "denominator": denominator}
            yield {"product_id": product.id, "status": STATUS_NAMES[product.status], "metrics": metrics}


def backtest(
    records: Iterable[InputRecord],
    policies: PolicySet,
    *,
    partitions: int,
    until_ms: int | None = None,
    bucket_ms: int = BUCKET_MS,
    allowed_lateness_ms: int = ALLOWED_LATENESS_MS,
) -> BacktestResult:
    """Apply a closed log, and move the clock of every partition on to `until_ms` at the end, if given."""
    logs: list[list[list[InputRecord]]] = [[[] for _ in range(TOPIC_COUNT)] for _ in range(partitions)]
    for record in records:
        logs[partition_of(record.key, partitions)][record.topic].append(record)
    result = BacktestResult()
    for number, log in enumerate(logs):
        partition = Partition(Rulebook(policies, bucket_ms, allowed_lateness_ms))
        processor = PartitionProcessor(partition, "event", _no_wall)
        _feed(processor, number, log)
        if until_ms is not None:
            processor.advance(until_ms)
        cut, tally = processor.take()
        result.partitions.append(partition)
        result.transitions.append(cut.transitions)
        result.outcomes.update(tally.outcomes)
        result.refused.update(letter.refused.reason.value for letter in tally.dead_letters)
    return result


def _feed(processor: PartitionProcessor, partition: int, log: list[list[InputRecord]]) -> None:
    offered = [0] * TOPIC_COUNT
    for topic, records in enumerate(log):
        processor.queues[topic].end = len(records)
    while True:
        for topic, records in enumerate(log):
            # A topic is read on when what is at hand runs out, as a consumer would.
            if not processor.queues[topic].chunks and offered[topic] < len(records):
                start = offered[topic]
                offered[topic] = min(start + _CHUNK, len(records))
                processor.offer(topic, _batch(partition, records[start : offered[topic]], start, len(records)))
        if processor.run(_CHUNK) == 0:
            assert processor.read_to_end
            return


def _batch(partition: int, records: list[InputRecord], start: int, end: int) -> RecordBatch:
    stop = start + len(records)
    return RecordBatch(
        topic="",
        partition=partition,
        start_offset=start,
        offsets=list(range(start, stop)),
        timestamps=[record.timestamp_ms for record in records],
        keys=[record.key for record in records],
        values=[record.value for record in records],
        headers=[()] * len(records),
        next_offset=stop,
        highwater=end,
    )


def _no_wall() -> int:
    raise AssertionError("a backtest has no wall clock")

"""An owner of one partition, moved by hand: the real recovery, processor and flusher, on a log in memory."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any

from streams.codecs.event_lines import InputRecord
from streams.domain.dormant import wake_all
from streams.domain.policy import METRICS, PolicySet
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook
from streams.domain.transitions import STATUS_NAMES
from streams.engine.changelog import LogState
from streams.engine.cut import Flush, OutputTopics
from streams.engine.flush import Flusher
from streams.engine.processor import PartitionProcessor
from streams.engine.restore import Restored
from streams.engine.takeover import recover
from streams.testing.fake_log import FakeBroker, FakeLog, Task
from tests.core.pipeline import input_batch
from tests.unit.codecs.row_views import meta_view

TOPICS = OutputTopics(
    "changelog", "transitions", "snapshots", "dead-letters", ("orders", "cancellations", "fees", "impressions"), "/test"
)
#: A timestamp for what is written; nothing depends on it.
AT_MS = 1_772_000_000_000


def new_broker() -> FakeBroker:
    """A log in memory, empty."""
    return FakeBroker(Random(0), lambda _place, _base, _rows: None)


class Owner:
    """Takes the partition over when it is made."""

    def __init__(self, broker: FakeBroker, policies: PolicySet) -> None:
        self._broker = broker
        self._log = FakeLog(broker, Random(0))
        recovery = recover(0, TOPICS, self._log, Rulebook(policies), "event", lambda: AT_MS)
        self.processor: PartitionProcessor
        self.flusher: Flusher
        self.processor, self.flusher = self._drive(recovery)

    def _drive(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end: whatever it asks for happens at once."""
        task = Task(coroutine)
        while not task.finished:
            assert task.request is not None
            self._broker.apply(task.request)
            task.resume()
        if task.error is not None:
            raise task.error
        return task.result

    def feed(self, logs: Sequence[Sequence[InputRecord]], most: int) -> int:
        """Apply up to `most` more records of the logs; how many were applied."""
        for topic, (queue, log) in enumerate(zip(self.processor.queues, logs, strict=True)):
            queue.end = len(log)
            if not queue.chunks and queue.fetched < queue.end:
                fetched = log[queue.fetched :][:most]
                self.processor.offer(topic, input_batch(fetched, queue.fetched, queue.end))
        return self.processor.run(most)

    def prepare(self) -> Flush:
        """Encode what has changed since the last cut."""
        return self.flusher.prepare(self.processor, *self.processor.take())

    def cut(self) -> Flush:
        """Write it, and publish."""
        flush = self.prepare()
        self.send(flush)
        return flush

    def send(self, flush: Flush) -> None:
        """Write and publish what was prepared."""
        self._drive(self.flusher.send(flush))

    def send_a_part(self, flush: Flush, rows: int) -> None:
        """Write the first of two batches of a cut; the second one, with the meta row, never comes."""
        self._drive(self._log.append(TOPICS.changelog, 0, flush.rows[:rows], AT_MS))


def published(broker: FakeBroker) -> list[bytes]:
    """The transitions that were published, in order."""
    return [entry.value or b"" for entry in broker[TOPICS.transitions, 0].entries]


def log_state(broker: FakeBroker) -> LogState:
    """What there is in the changelog."""
    state, log = LogState(), broker[TOPICS.changelog, 0]
    while state.next_offset < log.end:
        state.read(log.fetch((TOPICS.changelog, 0), state.next_offset, log.end, 7))
    return state


def told(state: LogState, restored: Restored) -> dict[str, Any]:
    """What a changelog says, as plain values fit for JSON: the readable half of the golden file."""
    return {
        "epoch": state.epoch,
        "stale": sorted(key.decode("latin-1") for key in state.stale_keys()),
        "meta": meta_view(restored.meta),
        "outbox": {
            "transitions": [f"{entry.product_id}:{entry.sequence}" for entry in restored.outbox.transitions],
            "snapshots": restored.outbox.snapshots,
        },
        "products": {product.id: _told(product, restored) for product in wake_all(restored.partition).values()},
    }


def _told(product: Product, restored: Restored) -> dict[str, Any]:
    rates = zip(METRICS, product.plan.rules, strict=True)
    return {
        "status": STATUS_NAMES[product.status],
        "sequence": product.sequence,
        "relapse_count": product.relapse_count,
        "lines": len(product.lines),
        "pages": restored.pages.get(product.id, 0),
        "rates": {name: list(rule.counts(product.totals)) for name, rule in rates},
    }

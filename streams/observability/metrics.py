"""What the program counts about itself, for Prometheus.

Base units (seconds, bytes), prefix `flagged_products_`. Labels come from a short closed list, so that no metric can
grow with the number of products or sellers.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from streams import __version__
from streams.domain.events import TOPIC_OF_TYPE
from streams.domain.transitions import STATUS_NAMES
from streams.observability.labels import BoundedLabel

PREFIX = "flagged_products_"
OUTCOMES = ("applied", "repeat", "late", "refused", "skipped")
STATUSES = STATUS_NAMES

# Each has few values by its nature or is bounded below. There is none for a product, a seller, an order or a region,
# and a metric with a label that isn't here can't be made.
ALLOWED_LABELS = frozenset(
    {
        *("type", "outcome", "reason", "cause", "from_status", "to_status", "status"),
        *("topic", "partition", "version", "python"),
    }
)

# Applying a batch of 2,000 events takes milliseconds; a flush waits for the broker; a recovery reads a changelog.
_APPLY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_FLUSH_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RECOVERY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metrics:
    """All metrics of one process, in a registry of its own. Counts are 0 or more, times are seconds."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        # Types come from producers; known ones always have their place.
        self._types = BoundedLabel(TOPIC_OF_TYPE)
        self._reasons = BoundedLabel()
        self._causes = BoundedLabel(others_max=20)

        self._events = self._counter("events", "Input records by type and what became of them.", ("type", "outcome"))
        self._late = self._counter("late_facts", "Events dropped as too far behind the clock.", ("type",))
        self._skipped = self._counter("skipped_events", "Events of a type that is not known here.", ("type",))
        self._dead_letters = self._counter("dead_letters", "Refused records by reason.", ("reason",))
        self._transitions = self._counter(
            "transitions", "Transitions of products.", ("from_status", "to_status", "cause")
        )
        self._apply = self._histogram("apply_seconds", "Time to apply one batch of a partition.", _APPLY_BUCKETS)
        self._flush = self._histogram("flush_seconds", "Time from the start of a flush to its ack.", _FLUSH_BUCKETS)
        self._flush_bytes = self._counter("flush_bytes", "Bytes of state flushed.")
        self._flush_rows = self._counter("flush_rows", "Rows of state flushed.")
        self._recovery = self._histogram("recovery_seconds", "Time to recover one partition.", _RECOVERY_BUCKETS)
        self._rebalances = self._counter("rebalances", "Rebalances of the consumer group seen by this worker.")
        self._lag = self._gauge("lag_records", "Records of an input partition not read yet.", ("topic", "partition"))
        self._clock_delay = self._gauge(
            "clock_delay_seconds", "How far the partition's clock is behind the time of day.", ("partition",)
        )
        self._products = self._gauge("products", "Products held, by status.", ("partition", "status"))
        self._outbox = self._gauge("outbox_pending", "Transitions durable but not yet published.", ("partition",))
        info = self._gauge("build_info", "Always 1; the labels say what runs.", ("version", "python"))
        info.labels(__version__, platform.python_version()).set(1)
        ProcessCollector(registry=self.registry)

    def _counter(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(PREFIX + name, meaning, _allowed(labels), registry=self.registry)

    def _gauge(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(PREFIX + name, meaning, _allowed(labels), registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(PREFIX + name, meaning, buckets=buckets, registry=self.registry)

    def events(self, type_name: str | None, outcome: str, count: int = 1) -> None:
        """Counts input records of a type (None where it couldn't be read); `outcome` is one of `OUTCOMES`.

        Late facts and skipped types are counted under their own names too. Raises ValueError for another outcome.
        """
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome {outcome!r} is not one of {', '.join(OUTCOMES)}")
        label = self._types.value(type_name)
        self._events.labels(label, outcome).inc(count)
        if outcome == "late":
            self._late.labels(label).inc(count)
        elif outcome == "skipped":
            self._skipped.labels(label).inc(count)

    def dead_letters(self, reason: str, count: int = 1) -> None:
        """Counts dead letters by reason, such as `bad_number`."""
        self._dead_letters.labels(self._reasons.value(reason)).inc(count)

    def transition(self, from_status: str, to_status: str, cause: str) -> None:
        """Counts one transition; the statuses are of `STATUSES`. Raises ValueError for another."""
        if from_status not in STATUSES or to_status not in STATUSES:
            raise ValueError(f"{from_status!r} to {to_status!r}: statuses are {', '.join(STATUSES)}")
        self._transitions.labels(from_status, to_status, self._causes.value(cause)).inc()

    def applied(self, duration_s: float) -> None:
        """One batch of a partition was applied."""
        self._apply.observe(duration_s)

    def flushed(self, duration_s: float, rows: int, size_bytes: int) -> None:
        """One flush was acked."""
        self._flush.observe(duration_s)
        self._flush_rows.inc(rows)
        self._flush_bytes.inc(size_bytes)

    def recovered(self, duration_s: float) -> None:
        """One partition has its state back."""
        self._recovery.observe(duration_s)

    def rebalanced(self) -> None:
        """The group was rebalanced."""
        self._rebalances.inc()

    def lag(self, topic: str, partition: int, records: int) -> None:
        """How many records of an input partition are unread."""
        self._lag.labels(topic, str(partition)).set(records)

    def clock_delay(self, partition: int, delay_s: float) -> None:
        """How far a partition's clock is behind the time of day."""
        self._clock_delay.labels(str(partition)).set(delay_s)

    def products(self, partition: int, by_status: Mapping[str, int]) -> None:
        """How many products a partition holds; a status left out has none. Raises ValueError for an unknown status."""
        if not by_status.keys() <= set(STATUSES):
            raise ValueError(f"statuses are {', '.join(STATUSES)}")
        for status in STATUSES:
            self._products.labels(str(partition), status).set(by_status.get(status, 0))

    def outbox_pending(self, partition: int, transitions: int) -> None:
        """How many transitions of a partition are not published yet."""
        self._outbox.labels(str(partition)).set(transitions)

    def forget_partition(self, partition: int) -> None:
        """Drops the gauges of a partition that this worker no longer has, which would else stand still for ever."""
        for gauge in (self._lag, self._clock_delay, self._products, self._outbox):
            gauge.remove_by_labels({"partition": str(partition)})

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """The page for a scrape and its content type, in the format that the `Accept` header asks for."""
        return exposition(self.registry, accept)


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The page of a registry, and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _allowed(labels: Sequence[str]) -> Sequence[str]:
    """The labels, if each of them is bounded; else raises ValueError."""
    unbounded = set(labels) - ALLOWED_LABELS
    if unbounded:
        raise ValueError(f"{', '.join(sorted(unbounded))}: not a label that is known to stay small")
    return labels

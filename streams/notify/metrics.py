"""What the notifier counts about itself, for Prometheus. The label `webhook` has the names of one file."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from streams.notify.verdict import Verdict
from streams.observability.metrics import PREFIX, exposition

#: Of an attempt, and `given_up`.
OUTCOMES = (*(verdict.value for verdict in Verdict), "given_up")


class NotifyMetrics:
    """All metrics of one notifier, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.attempts = self._counter("deliveries", "Attempts by outcome, and those given up.", ("webhook", "outcome"))
        self.transitions = self._counter("transitions", "Transitions queued for at least one webhook.")
        self.skipped = self._counter("skipped_records", "Records of the topic that are no transitions.")
        self.missed = self._counter("missed_records", "Records that were deleted by age before they were read.")
        self.queued = self._gauge("queued", "Deliveries that wait.", ("webhook",))
        self.oldest_age_s = self._gauge("oldest_age_seconds", "How long the oldest of them has waited.", ("webhook",))
        self.in_flight = self._gauge("in_flight", "Requests that are being made.", ("webhook",))
        self.failed = self._gauge("failed", "Deliveries given up, which are kept.", ("webhook",))
        self.circuit_open = self._gauge("circuit_open", "1 while the endpoint is in trouble.", ("webhook",))
        self.disabled = self._gauge("disabled", "1 once the endpoint has said that it is gone.", ("webhook",))
        self.topic_age_s = self._gauge("topic_age_seconds", "How long ago all of the topic was known to be read.")
        ProcessCollector(registry=self.registry)

    def begin(self, webhook: str) -> None:
        """Show a webhook from the start, with nothing counted."""
        for outcome in OUTCOMES:
            self.attempts.labels(webhook, outcome)
        for gauge in (self.queued, self.oldest_age_s, self.in_flight, self.failed, self.circuit_open, self.disabled):
            gauge.labels(webhook).set(0)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """The page for a scrape and its content type, in the format that the `Accept` header asks for."""
        return exposition(self.registry, accept)

    def _counter(self, name: str, meaning: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"{PREFIX}notify_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"{PREFIX}notify_{name}", meaning, labels, registry=self.registry)

"""One partition in event clock: four logs merged, and all that falls due between their records (SPEC section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.oracle.levels import evaluate, timers
from tests.oracle.output import transition
from tests.oracle.policies import DAY_MS, HOUR_MS, Policy, longest_window_ms, policies_from, select
from tests.oracle.products import Horizon, Product


@dataclass(frozen=True)
class Record:
    """One accepted record.

    `topic` is 0 for orders, 1 cancellations, 2 shipping-fees, 3 impressions; `timestamp` the record's own, in ms;
    `event` the decoded event with the fields of SPEC section 3: times in int ms, fees as Decimal.
    """

    topic: int
    timestamp: int
    event: dict[str, Any]


class Oracle:
    """What the contract says of one partition.

    `transitions` are the values of `flag-status-changed`, in order of emission; `clock_ms` is None until the first
    record; `late_count` counts the events dropped as late.
    """

    def __init__(
        self,
        policies: list[dict[str, Any]] | None = None,
        *,
        bucket_ms: int = 6 * HOUR_MS,
        allowed_lateness_ms: int = 7 * DAY_MS,
    ) -> None:
        self.policies = policies_from(policies)
        self.horizon = Horizon(bucket_ms, allowed_lateness_ms, longest_window_ms(self.policies))
        self.products: dict[str, Product] = {}
        self.clock_ms: int | None = None
        self.transitions: list[bytes] = []
        self.late_count = 0

    def run(self, records_by_topic: list[list[Record]], until: int | None = None) -> None:
        """Read four logs, each in offset order, then move the clock on to `until` (ms), if that is ahead of it."""
        unread = [list(log) for log in records_by_topic]
        while any(unread):
            head = min((log[0] for log in unread if log), key=lambda record: (record.timestamp, record.topic))
            unread[head.topic].pop(0)
            self._read(head.event)
        # The first accepted record sets the clock: without one there is nothing to move on.
        if until is not None and self.clock_ms is not None:
            self._advance(until)

    def rates(self) -> dict[str, dict[str, Any]]:
        """Status, k and n of every product that has anything left but its sequence, at the present clock."""
        found: dict[str, dict[str, Any]] = {}
        for product in self._products():
            assert self.clock_ms is not None
            product.settle(self.clock_ms)
            if product.has_anything(self.clock_ms):
                counts = product.count(self._policy(product).metrics, self.clock_ms)
                found[product.product_id] = {
                    "status": product.standing.status,
                    "metrics": {name: {"numerator": k, "denominator": n} for name, (k, n) in counts.items()},
                }
        return found

    def _products(self) -> list[Product]:
        return sorted(self.products.values(), key=lambda product: product.product_id.encode())

    def _policy(self, product: Product) -> Policy:
        assert self.clock_ms is not None
        return select(self.policies, self.clock_ms, product.attribute("region"), product.attribute("category"))

    def _read(self, event: dict[str, Any]) -> None:
        self._advance(event["occurred_at"])
        assert self.clock_ms is not None
        if self.clock_ms - event["occurred_at"] > self.horizon.allowed_lateness_ms:
            self.late_count += 1
            return
        product = self.products.setdefault(event["product_id"], Product(event["product_id"], self.horizon))
        # What the new clock forgets is gone before the record is applied.
        product.settle(self.clock_ms)
        if event["type"].startswith("order."):
            product.tell_line(event)
        elif not product.is_repeat(event["event_id"], self.clock_ms):
            product.take_attributes(event)
            if event["type"] == "shipping_fee.charged":
                product.tell_fee(event, self._policy(product).high_fee_ratio)
            else:
                product.tell_impressions(event)
        self._evaluate(product, reversion=event["type"] == "order.cancellation_reverted")

    def _advance(self, to_ms: int) -> None:
        """Let all that is due up to `to_ms` happen, in order of time, then of product id."""
        while self.clock_ms is not None:
            due = {product.product_id: self._next_due(product, self.clock_ms) for product in self._products()}
            at_ms = min((at_ms for at_ms in due.values() if at_ms is not None), default=None)
            if at_ms is None or at_ms > to_ms:
                break
            self.clock_ms = at_ms
            for product in self._products():
                if due[product.product_id] == at_ms:
                    self._evaluate(product)
        self.clock_ms = to_ms if self.clock_ms is None else max(self.clock_ms, to_ms)

    def _next_due(self, product: Product, clock_ms: int) -> int | None:
        """The next ms after `clock_ms` at which something is due for a product; None if it has nothing left."""
        if not product.has_anything(clock_ms):
            return None
        due = [(self.horizon.bucket(clock_ms) + 1) * self.horizon.bucket_ms]
        due += [policy.effective_from_ms for policy in self.policies if policy.effective_from_ms is not None]
        due += [line.state.ship_by_ms + 1 for line in product.lines.values() if line.state.ship_by_ms is not None]
        due += timers(product.standing, self._policy(product))
        return min(at_ms for at_ms in due if at_ms > clock_ms)

    def _evaluate(self, product: Product, reversion: bool = False) -> None:
        assert self.clock_ms is not None
        product.settle(self.clock_ms)
        policy = self._policy(product)
        counts = product.count(policy.metrics, self.clock_ms)
        outcome = evaluate(product.standing, policy, counts, self.clock_ms, reversion)
        if outcome.cause is not None:
            product.sequence += 1
            self.transitions.append(transition(product, policy, outcome, self.clock_ms))
        product.settle(self.clock_ms)

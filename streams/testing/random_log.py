"""Small closed logs and the policies they are judged by, from a seed: in a few dozen events, many transitions."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import msgspec

from streams.codecs.event_lines import InputRecord
from streams.domain.events import IMPRESSIONS, TOPIC_OF_TYPE
from streams.domain.policy import DAY_MS, HOUR_MS, METRICS, MetricPolicy, Policy, PolicySet
from streams.domain.rulebook import BUCKET_MS
from streams.engine.partitioning import partition_of
from streams.engine.processor import CLOCK_ADVANCED_TYPE, TOPIC_COUNT
from streams.testing.bad import bad_record
from streams.testing.records import encode

START_MS = 1_772_000_000_000
_FEES = (3.6, 3.61, 9)
_REASONS = ("out_of_stock", "out_of_stock", "buyer_request", "unable_to_ship")
_BAD = ("not_json", "null_value", "missing_field", "key_missing", "wrong_topic", "negative_fee")


class RandomLog:
    """A closed log of `events` events.

    `logs[partition][topic]`: its records, by offset. `refused`: (partition, topic, offset) of those that SPEC 3
    refuses. The last record of each partition's impressions moves its clock on by some days, as `replay --until` does.
    Times often lie on boundaries; some events are told late, some too late, some twice; products differ in how busy
    they are; timestamps are now and then out of order.
    """

    def __init__(self, random: Random, *, events: int, products: int, days: int, partitions: int) -> None:
        self.logs: list[list[list[InputRecord]]] = [[[] for _ in range(TOPIC_COUNT)] for _ in range(partitions)]
        self.refused: set[tuple[int, int, int]] = set()
        self.end_ms = START_MS
        self._random = random
        self._products = [f"P{number}" for number in range(products)]
        self._told: list[InputRecord] = []
        self._orders: list[tuple[str, str]] = []
        for number in range(events):
            self.end_ms += int(random.random() * 2 * days * DAY_MS / events)
            if random.random() < 0.3:
                self.end_ms -= self.end_ms % BUCKET_MS
            self._one(number)
        until_ms = self.end_ms + random.choice((1, DAY_MS, 5 * DAY_MS, 40 * DAY_MS))
        control = msgspec.json.encode({"type": CLOCK_ADVANCED_TYPE, "until_ms": until_ms})
        for topics in self.logs:
            topics[IMPRESSIONS].append(InputRecord(IMPRESSIONS, self.end_ms + 10, None, control))

    def _one(self, number: int) -> None:
        random, now = self._random, self.end_ms
        kind = random.random()
        product_id = self._products[int(random.random() ** 2 * len(self._products))]
        at = now - (int(random.random() * 5 * DAY_MS) if random.random() < 0.15 else 0)
        if kind < 0.02:
            at = now - 8 * DAY_MS
        if kind < 0.04:
            self._add(InputRecord(*_reordered(bad_record(random.choice(_BAD), now, product_id, f"b{number}"))), True)
        elif kind < 0.07 and self._told:
            self._add(random.choice(self._told))
        elif kind < 0.45 or not self._orders:
            order_id = f"o{number}"
            self._orders.append((product_id, order_id))
            self._tell("order.placed", number, product_id, at, order_id=order_id, **self._placed(at))
        elif kind < 0.84:
            product_id, order_id = random.choice(self._orders[-8:])
            type_, fields = self._fact(at)
            self._tell(type_, number, product_id, at, order_id=order_id, **fields)
        elif kind < 0.95:
            fields = {"fee": random.choice(_FEES), "reference_fee": 3, "currency": "USD", "seller_id": "S"}
            fields |= {"order_id": random.choice((None, "o1", "o2")), "region": random.choice(("US", "EU"))}
            self._tell("shipping_fee.charged", number, product_id, at, **fields)
        else:
            self._tell("impressions.counted", number, product_id, at, count=4, **{"from": at - 1, "to": at})

    def _placed(self, at: int) -> dict[str, Any]:
        random = self._random
        return {
            "seller_id": "S",
            "region": random.choice(("US", "EU")),
            "category": random.choice((None, "toys")),
            "quantity": 1,
            "item_price": 1,
            "currency": "USD",
            "ship_by": at + random.choice((HOUR_MS, DAY_MS, 5 * DAY_MS)),
        }

    def _fact(self, at: int) -> tuple[str, dict[str, Any]]:
        random = self._random
        kind = random.random()
        if kind < 0.45:
            return "order.cancelled", {"reason": random.choice(_REASONS)}
        if kind < 0.6:
            return "order.cancellation_reverted", {}
        if kind < 0.9:
            return "order.shipped", {}
        return "order.deadline_extended", {"ship_by": at + random.choice((DAY_MS, 3 * DAY_MS))}

    def _tell(self, type_: str, number: int, product_id: str, at: int, **fields: Any) -> None:
        event = {"type": type_, "event_id": f"e{number}", "product_id": product_id, "occurred_at": at, **fields}
        timestamp_ms = self.end_ms + self._random.choice((0, 0, 0, 5, -5))
        self._add(InputRecord(TOPIC_OF_TYPE[type_], timestamp_ms, product_id.encode(), encode(event)))

    def _add(self, record: InputRecord, bad: bool = False) -> None:
        partition = partition_of(record.key, len(self.logs))
        log = self.logs[partition][record.topic]
        if bad:
            self.refused.add((partition, record.topic, len(log)))
        else:
            self._told.append(record)
        log.append(record)


def _reordered(record: Any) -> tuple[int, int, bytes | None, bytes | None]:
    timestamp_ms, topic, key, value = record
    return topic, timestamp_ms, key, value


def random_policies(random: Random, end_ms: int) -> PolicySet:
    """Up to three policies whose gates open after a few events; some take effect in the course of the log."""
    policies: dict[tuple[int, str | None], Policy] = {}
    for number in range(random.choice((1, 1, 2, 3))):
        effective_ms = 0 if number == 0 else random.randrange(START_MS, end_ms + 10 * DAY_MS)
        region = random.choice((None, "US")) if number else None
        policies[effective_ms, region] = Policy(
            version=f"v{number}",
            effective_from_ms=effective_ms,
            region=region,
            dwell_ms=random.choice((0, DAY_MS, 3 * DAY_MS)),
            resolved_for_ms=random.choice((1, DAY_MS, 14 * DAY_MS)),
            severe_k_min=random.choice((1, 3)),
            metrics=tuple(_random_metric(random) for _ in METRICS),
        )
    return PolicySet(policies.values())


def _random_metric(random: Random) -> MetricPolicy:
    return MetricPolicy(
        window_ms=random.choice((BUCKET_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS)),
        n_min=random.choice((1, 2)),
        k_min=1,
        at_risk=Decimal(random.choice(("0.025", "0.3"))),
        impacted=Decimal(random.choice(("0.3", "0.5"))),
        grace_ms=random.choice((0, HOUR_MS, 2 * DAY_MS)),
        enabled=random.random() < 0.9,
    )

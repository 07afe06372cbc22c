"""Logs and policy files from a seed: longer than Hypothesis makes them, and with every kind of accident in them."""

from __future__ import annotations

import json
from decimal import Decimal
from random import Random
from typing import Any

from streams.codecs.event_lines import InputRecord
from streams.domain.events import TOPIC_OF_TYPE
from streams.domain.policy import DAY_MS, HOUR_MS, METRICS
from streams.domain.rulebook import BUCKET_MS
from streams.testing.records import rfc3339
from streams.testing.strategies import PolicyTable
from tests.core.logs import Logs

START_MS = 1_772_000_000_000
FEES = (3.6, 3.61, 9)
REASONS = ("out_of_stock", "out_of_stock", "buyer_request", "unable_to_ship")


class RandomLogs:
    """`logs` of `events` events about `products` products within some `days` days, ending at `end_ms`.

    Times often lie on boundaries; three in ten events are told late, some too late; event_ids are told again, with the
    same content or another, of the same line or not; the timestamps of records are now and then out of order.
    """

    def __init__(self, random: Random, *, events: int = 250, products: int = 4, days: int = 80) -> None:
        self.logs: Logs = [[], [], [], []]
        self.end_ms = START_MS
        self._random = random
        self._ids = events * 3
        self._orders: list[tuple[str, str]] = []
        for _ in range(events):
            self.end_ms += int(random.expovariate(events / (days * DAY_MS)))
            if random.random() < 0.4:
                self.end_ms -= self.end_ms % BUCKET_MS
            self._one(f"P{random.randrange(products)}")

    def _one(self, product_id: str) -> None:
        random, now = self._random, self.end_ms
        at = now - (int(random.expovariate(1 / (2 * DAY_MS))) if random.random() < 0.3 else 0)
        kind = random.random()
        if kind < 0.45 or not self._orders:
            order_id = f"o{len(self._orders)}"
            self._orders.append((product_id, order_id))
            self._tell("order.placed", product_id, at, order_id=order_id, **self._placed(at))
        elif kind < 0.88:
            # Of the latest orders: so facts of one line meet.
            product_id, order_id = random.choice(self._orders[-12:])
            type_, fields = self._fact(at)
            self._tell(type_, product_id, at, order_id=order_id, **fields)
        elif kind < 0.98:
            fields = {"fee": random.choice(FEES), "reference_fee": 3, "currency": "USD", "seller_id": "S"}
            fields |= {"order_id": random.choice((None, "o1", "o2")), "region": random.choice(("US", "EU"))}
            self._tell("shipping_fee.charged", product_id, at, **fields)
        else:
            self._tell("impressions.counted", product_id, at, count=4, **{"from": at - 1, "to": at})

    def _placed(self, at: int) -> dict[str, Any]:
        random = self._random
        return {
            "line_id": random.choice((None, "1", "1", "2")),
            "seller_id": "S",
            "region": random.choice(("US", "EU")),
            "category": random.choice((None, "toys")),
            "quantity": 1,
            "item_price": 1,
            "currency": "USD",
            "ship_by": at + random.choice((HOUR_MS, DAY_MS, 5 * DAY_MS, 40 * DAY_MS)),
            "fulfilled_by": random.choice(("seller",) * 8 + ("platform",)),
        }

    def _fact(self, at: int) -> tuple[str, dict[str, Any]]:
        random = self._random
        kind = random.random()
        if kind < 0.4:
            return "order.cancelled", {"reason": random.choice(REASONS)}
        if kind < 0.55:
            return "order.cancellation_reverted", {}
        if kind < 0.85:
            return "order.shipped", {}
        return "order.deadline_extended", {"line_id": "1", "ship_by": at + random.choice((DAY_MS, 3 * DAY_MS))}

    def _tell(self, type_: str, product_id: str, at: int, **fields: Any) -> None:
        event = {
            "type": type_,
            "event_id": f"e{self._random.randrange(self._ids)}",
            "product_id": product_id,
            "occurred_at": at,
            **fields,
        }
        topic = TOPIC_OF_TYPE[type_]
        timestamp_ms = self.end_ms + self._random.choice((0, 0, 0, 5, -5))
        self.logs[topic].append(InputRecord(topic, timestamp_ms, product_id.encode(), json.dumps(event).encode()))


def random_policies(random: Random, end_ms: int) -> list[PolicyTable]:
    """A policy file of up to four policies, some of which take effect in the course of logs that end at `end_ms`."""
    tables: dict[tuple[int, str | None, str | None], PolicyTable] = {}
    for number in range(random.randrange(1, 5)):
        effective_ms = random.choice(
            (0, end_ms - 40 * DAY_MS - number, end_ms - end_ms % BUCKET_MS - 20 * DAY_MS + number * BUCKET_MS)
        )
        region, category = random.choice((None, "US")), random.choice((None, None, "toys"))
        table: PolicyTable = {
            "version": f"v{number}",
            "effective_from": rfc3339(effective_ms),
            "dwell": random.choice(("0d", "1d", "3d")),
            "resolved_for": random.choice(("1ms", "1d", "14d")),
            "severe_k_min": random.choice((1, 3)),
            "metrics": {name: _random_metric(random) for name in METRICS},
        }
        selectors = {"region": region, "category": category}
        tables[effective_ms, region, category] = table | {k: v for k, v in selectors.items() if v is not None}
    return list(tables.values())


def _random_metric(random: Random) -> dict[str, Any]:
    return {
        "n_min": random.choice((1, 3)),
        "k_min": 1,
        "window": random.choice(("6h", "24h", "7d", "30d", "60d")),
        "grace": random.choice(("0h", "1h", "48h")),
        "enabled": random.random() < 0.9,
        "at_risk": Decimal(random.choice(("0.025", "0.3"))),
        "impacted": Decimal(random.choice(("0.3", "0.5"))),
    }

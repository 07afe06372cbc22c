"""Histories written by hand for the oracle's own tests, and short views of what it answers.

Everything begins on Monday 2026-03-02 at 00:00 UTC, which is a boundary. Lines are due 60 days after they were placed
unless a history says otherwise, so that most histories concern the two cancellation rates only; both always move
together when the reason is `out_of_stock`.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.oracle.partition import Oracle, Record

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
STOCK = "out_of_stock_cancellation_rate"
FAULT = "seller_fault_cancellation_rate"
OVERDUE = "unshipped_overdue_rate"
LATE = "late_dispatch_rate"
FEES = "high_shipping_fee_rate"


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


T0 = ms("2026-03-02T00:00:00Z")


class History:
    """Events in the order they are told, each read at its occurred_at unless told otherwise."""

    def __init__(self, product_id: str = "P1") -> None:
        self.product_id = product_id
        self.logs: list[list[Record]] = [[], [], [], []]
        self.count = 0

    def add(self, topic: int, type_: str, at: int, timestamp: int | None = None, **fields: Any) -> None:
        self.count += 1
        base = {"type": type_, "event_id": f"e{self.count:04d}", "product_id": self.product_id, "occurred_at": at}
        self.logs[topic].append(Record(topic, at if timestamp is None else timestamp, base | fields))

    def placed(self, order: str, at: int, ship_by: int | None = None, **fields: Any) -> None:
        base: dict[str, Any] = {"order_id": order, "line_id": "1", "seller_id": "S1", "region": "US", "quantity": 1}
        price = {"item_price": Decimal("9.5"), "currency": "USD"}
        deadline = {"ship_by": at + 60 * DAY if ship_by is None else ship_by}
        self.add(0, "order.placed", at, **(base | price | deadline | fields))

    def shipped(self, order: str, at: int, **fields: Any) -> None:
        self.add(0, "order.shipped", at, order_id=order, **fields)

    def extended(self, order: str, at: int, ship_by: int) -> None:
        self.add(0, "order.deadline_extended", at, order_id=order, line_id="1", ship_by=ship_by)

    def cancelled(self, order: str, at: int, reason: str = "out_of_stock", **fields: Any) -> None:
        self.add(1, "order.cancelled", at, order_id=order, reason=reason, **fields)

    def reverted(self, order: str, at: int) -> None:
        self.add(1, "order.cancellation_reverted", at, order_id=order)

    def fee(self, at: int, fee: str, order: str | None = None, **fields: Any) -> None:
        base: dict[str, Any] = {
            "fee": Decimal(fee),
            "reference_fee": Decimal("3"),
            "currency": "USD",
            "order_id": order,
        }
        self.add(2, "shipping_fee.charged", at, **(base | {"seller_id": "S1", "region": "US"} | fields))

    def twenty_placed(self) -> None:
        for i in range(1, 21):
            self.placed(f"O{i:02d}", T0 + i * MINUTE)

    def three_of_twenty_cancelled(self) -> None:
        """At risk at 01:02, impacted 48 h later if nothing else happens: 3 of 20 is 0.15, lower bound 0.0747."""
        self.twenty_placed()
        for i in range(3):
            self.cancelled(f"O{i + 1:02d}", T0 + HOUR + i * MINUTE)

    def run(self, until: str | None = None, policies: list[dict[str, Any]] | None = None) -> Oracle:
        oracle = Oracle(policies)
        oracle.run(self.logs, ms(until) if until else None)
        return oracle


def values(oracle: Oracle) -> list[dict[str, Any]]:
    return [json.loads(value) for value in oracle.transitions]


def summary(oracle: Oracle) -> list[tuple[int, str, str, str, str]]:
    """(sequence, effective_at, previous -> current, cause, levels of the reasons)."""
    return [
        (
            value["sequence"],
            value["effective_at"],
            f"{value['previous_status']} -> {value['current_status']}",
            value["cause"],
            ", ".join(f"{reason['metric']} {reason['level']}" for reason in value["reasons"]),
        )
        for value in values(oracle)
    ]


def numbers(oracle: Oracle, product_id: str = "P1") -> dict[str, tuple[int, int]]:
    metrics = oracle.rates()[product_id]["metrics"]
    return {name: (metric["numerator"], metric["denominator"]) for name, metric in metrics.items()}


def policy(version: str, effective_from: str, **settings: Any) -> dict[str, Any]:
    return {"version": version, "effective_from": ms(effective_from), **settings}

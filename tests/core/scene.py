"""A partition told one event at a time, for tests by hand.

Everything begins on Monday 2026-03-02 at 00:00 UTC, a boundary. Lines are due 60 days after they were placed unless a
test says otherwise, so that most scenes concern the two cancellation rates only; `policy` can disable one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from streams.domain.events import (
    CancellationReverted,
    DeadlineExtended,
    ImpressionsCounted,
    InputEvent,
    OrderCancelled,
    OrderPlaced,
    OrderShipped,
    ShippingFeeCharged,
)
from streams.domain.partition import Partition
from streams.domain.policy import (
    DAY_MS,
    DEFAULT_METRICS,
    DEFAULT_POLICY,
    HOUR_MS,
    METRICS,
    MINUTE_MS,
    Policy,
    PolicySet,
)
from streams.domain.product import Product
from streams.domain.rulebook import BUCKET_MS, Rulebook
from streams.domain.transitions import Transition

T0 = 1_772_409_600_000
STOCK, FAULT, OVERDUE, LATE, FEES = METRICS
__all__ = ["BUCKET_MS", "DAY_MS", "FAULT", "FEES", "HOUR_MS", "LATE", "MINUTE_MS", "OVERDUE", "STOCK", "T0"]


def policy(
    version: str = "test",
    effective_from_ms: int = 0,
    *,
    only: str | None = None,
    metrics: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: Any,
) -> Policy:
    """The default policy with other settings; `metrics`: fields by metric; `only`: all other metrics are disabled."""
    changed = []
    for name, metric in zip(METRICS, DEFAULT_METRICS, strict=True):
        fields = dict((metrics or {}).get(name, {}))
        for threshold in {"at_risk", "impacted"} & fields.keys():
            fields[threshold] = Decimal(fields[threshold])
        if only is not None and name != only:
            fields["enabled"] = False
        changed.append(replace(metric, **fields))
    return replace(
        DEFAULT_POLICY, version=version, effective_from_ms=effective_from_ms, metrics=tuple(changed), **settings
    )


class Scene:
    """Events of one product `P1` (or another), each told at its occurred_at unless the clock is ahead of it."""

    def __init__(self, *policies: Policy, **settings: int) -> None:
        self.partition = Partition(Rulebook(PolicySet(policies or (DEFAULT_POLICY,)), **settings))
        self.transitions: list[Transition] = []
        self.count = 0

    # -- the clock and events

    def until(self, at: int) -> None:
        """Let the clock come to `at`."""
        if self.partition.clock is None:
            self.partition.clock = at
        self.partition.advance(at)
        self._gather()

    def tell(self, event: InputEvent) -> str:
        """Apply an event; its outcome."""
        self.partition.advance(event.occurred_at)
        outcome = self.partition.apply(event)
        self._gather()
        return outcome

    def _gather(self) -> None:
        self.transitions += self.partition.cut.transitions
        self.partition.cut.transitions = []

    def _common(self, at: int, given: dict[str, Any]) -> dict[str, Any]:
        self.count += 1
        return {"event_id": f"e{self.count:04d}", "product_id": "P1", "occurred_at": at} | given

    def placed(self, order_id: str, at: int = T0, ship_by: int | None = None, **given: Any) -> str:
        fields = {"order_id": order_id, "seller_id": "S1", "region": "US", "quantity": 1, "item_price": Decimal(1)}
        fields |= {"currency": "USD", "ship_by": at + 60 * DAY_MS if ship_by is None else ship_by}
        return self.tell(OrderPlaced(**self._common(at, fields | given)))

    def shipped(self, order_id: str, at: int, **given: Any) -> str:
        return self.tell(OrderShipped(**self._common(at, {"order_id": order_id} | given)))

    def extended(self, order_id: str, at: int, ship_by: int, **given: Any) -> str:
        return self.tell(DeadlineExtended(**self._common(at, {"order_id": order_id, "ship_by": ship_by} | given)))

    def cancelled(self, order_id: str, at: int, reason: str = "out_of_stock", **given: Any) -> str:
        return self.tell(OrderCancelled(**self._common(at, {"order_id": order_id, "reason": reason} | given)))

    def reverted(self, order_id: str, at: int, **given: Any) -> str:
        return self.tell(CancellationReverted(**self._common(at, {"order_id": order_id} | given)))

    def fee(self, at: int, fee: str = "9", reference_fee: str = "3", **given: Any) -> str:
        fields: dict[str, Any] = {"fee": Decimal(fee), "reference_fee": Decimal(reference_fee), "currency": "USD"}
        return self.tell(ShippingFeeCharged(**self._common(at, fields | {"seller_id": "S1", "region": "US"} | given)))

    def impressions(self, at: int, count: int, **given: Any) -> str:
        return self.tell(ImpressionsCounted(**self._common(at, {"count": count} | given)))

    def many_placed(self, orders: Iterable[int], at: int = T0, **given: Any) -> None:
        for number in orders:
            self.placed(f"O{number:03d}", at, **given)

    def many_cancelled(self, orders: Iterable[int], at: int, reason: str = "out_of_stock") -> None:
        for number in orders:
            self.cancelled(f"O{number:03d}", at, reason)

    # -- what is to be seen

    @property
    def clock(self) -> int:
        assert self.partition.clock is not None
        return self.partition.clock

    def product(self, product_id: str = "P1") -> Product:
        """The product, its counters brought up to the clock."""
        product = self.partition.products[product_id]
        product.catch_up(self.partition.book, self.clock)
        return product

    def numbers(self, metric: str, product_id: str = "P1") -> tuple[int, int]:
        """k and n of a metric now."""
        product = self.product(product_id)
        return product.plan.rules[METRICS.index(metric)].counts(product.totals)

    def counted(self) -> dict[str, int]:
        """All counters over the longest window of the default policy, those that are 0 left out."""
        stock, fault, overdue, late = (self.numbers(name) for name in (STOCK, FAULT, OVERDUE, LATE))
        names = ("placed", "stock_cancelled", "seller_cancelled", "due", "late", "overdue")
        found = dict(zip(names, (stock[1], stock[0], fault[0], late[1], late[0], overdue[0]), strict=True))
        return {name: count for name, count in found.items() if count}

    def story(self) -> list[tuple[int, str, str]]:
        """(ms since T0, previous -> current status, cause) of each transition so far."""
        return [
            (told.effective_at - T0, f"{told.previous_status} -> {told.current_status}", told.cause)
            for told in self.transitions
        ]

    def levels(self) -> list[tuple[int, dict[str, str]]]:
        """(ms since T0, level by metric) after each transition so far."""
        return [
            (told.effective_at - T0, {reason.metric: reason.level for reason in told.reasons})
            for told in self.transitions
        ]

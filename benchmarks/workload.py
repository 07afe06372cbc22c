"""The events that are measured with. All follow from seeds: the same call, the same bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import cycle
from random import Random
from typing import Any, Final
from zlib import crc32

import msgspec

from streams.domain.events import TOPIC_OF_TYPE
from streams.testing.market import Market
from streams.testing.records import SimulatedRecord, encode

SEED: Final = 7
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
HOT_PRODUCT: Final = "HOT"
# More than half of the orders, for what names no order stays with its product.
_HOT_SIXTEENTHS: Final = 9


def market(products: int, events: int, days: int) -> list[SimulatedRecord]:
    """A simulated market: popularity goes down as 1 / rank; late events, repeats and all types are in it."""
    return list(Market(SEED, products=products, events=events, days=days))


def with_hot_product(records: list[SimulatedRecord]) -> list[SimulatedRecord]:
    """The same market, if one product had so many of its orders that it has half of all events."""
    return [_of_hot_product(record) for record in records]


def _of_hot_product(record: SimulatedRecord) -> SimulatedRecord:
    fields: dict[str, Any] = msgspec.json.decode(record.value or b"{}")
    order_id = fields.get("order_id")
    if order_id is None or crc32(order_id.encode()) % 16 >= _HOT_SIXTEENTHS:
        return record
    return record._replace(key=HOT_PRODUCT.encode(), value=encode(fields | {"product_id": HOT_PRODUCT}))


def product_id(number: int) -> str:
    """The id of a product of `trade`."""
    return f"P{number:07d}"


def placed(product: str, order: str, at: int) -> SimulatedRecord:
    """A line placed at `at` (ms), to be shipped within two days."""
    return _record(
        at,
        product,
        type="order.placed",
        event_id=f"p-{order}",
        order_id=order,
        seller_id="S1",
        region="US",
        category="toys",
        quantity=1,
        item_price=19.99,
        currency="USD",
        ship_by=at + 2 * DAY_MS,
    )


def shipped(product: str, order: str, at: int) -> SimulatedRecord:
    """The line's first scan at `at` (ms)."""
    return _record(at, product, type="order.shipped", event_id=f"s-{order}", order_id=order)


def cancelled(product: str, order: str, at: int) -> SimulatedRecord:
    """The line cancelled at `at` (ms), for the seller has none left."""
    return _record(at, product, type="order.cancelled", event_id=f"c-{order}", order_id=order, reason="out_of_stock")


def fee(product: str, order: str, at: int) -> SimulatedRecord:
    """An ordinary shipping fee charged at `at` (ms)."""
    return _record(
        at,
        product,
        type="shipping_fee.charged",
        event_id=f"f-{order}",
        order_id=order,
        fee=4.99,
        currency="USD",
        reference_fee=5.0,
        seller_id="S1",
        region="US",
    )


def _record(at: int, product: str, **fields: Any) -> SimulatedRecord:
    event = {"event_id": fields.pop("event_id"), "type": fields.pop("type"), "product_id": product, "occurred_at": at}
    return SimulatedRecord(at, TOPIC_OF_TYPE[event["type"]], product.encode(), encode(event | fields))


class Trade:
    """Orders of many products, whose popularity goes down as 1 / rank: placed, charged a fee, shipped a while later.

    It goes on as long as one asks, in whatever time one tells it. `products`: how many; `tag` keeps orders apart.
    """

    _OPEN = 1_000

    def __init__(self, products: int, tag: str, *, even: bool = False) -> None:
        self._products, self._tag, self._even = products, tag, even
        self._random = Random(SEED)
        self._orders = 0
        self._open: deque[tuple[str, str]] = deque()
        self._steps = cycle((self._place, self._charge, self._ship))

    def next(self, at: int) -> SimulatedRecord:
        """The next event, at `at` (ms)."""
        return next(self._steps)(at)

    def _place(self, at: int) -> SimulatedRecord:
        self._orders += 1
        self._open.append((product_id(self._rank()), f"{self._tag}-{self._orders}"))
        return placed(*self._open[-1], at)

    def _rank(self) -> int:
        if self._even:
            return int(self._products * self._random.random())
        return int(self._products ** self._random.random()) - 1

    def _charge(self, at: int) -> SimulatedRecord:
        return fee(*self._open[-1], at)

    def _ship(self, at: int) -> SimulatedRecord:
        # Until there are enough open ones, no line is so old.
        return shipped(*self._open.popleft(), at) if len(self._open) > self._OPEN else self.next(at)


def trade(products: int, events: int, from_ms: int, span_ms: int, *, even: bool = False) -> list[SimulatedRecord]:
    """So many events of a trade, evenly over a time; `even`: all products are as popular as each other."""
    trading = Trade(products, "t", even=even)
    return [trading.next(from_ms + span_ms * number // events) for number in range(events)]


def trade_of_one(product: str, events: int, from_ms: int, span_ms: int) -> Iterator[SimulatedRecord]:
    """Orders of one product, each placed and shipped."""
    for number in range(events):
        at = from_ms + span_ms * number // events
        order = f"one-{number // 2}"
        yield shipped(product, order, at) if number % 2 else placed(product, order, at)

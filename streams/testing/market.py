"""A marketplace, played from a seed: the events of some weeks, with good and failing sellers.

Nothing here depends on a clock, on partitions or on the order of a hash: the same arguments give the same bytes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from functools import cached_property
from math import isqrt
from typing import Any, Final

from streams.domain.events import CANCELLATIONS, TOPIC_OF_TYPE
from streams.errors import UserError
from streams.testing.bad import BAD_KINDS, bad_record
from streams.testing.catalogue import CURRENCIES, Product, catalogue, share_orders
from streams.testing.dice import Dice
from streams.testing.fates import DAY_MS, HOUR_MS, MINUTE_MS, Step, fate
from streams.testing.records import SimulatedRecord, encode, rfc3339

START_MS: Final = 1_767_571_200_000
"""2026-01-05T00:00:00Z, a Monday."""

EVENTS_PER_PRODUCT_AND_DAY: Final = 12

# The year 2096: whatever is added to it stays a time that every codec can write.
_LATEST_START_MS: Final = 4_000_000_000_000

# Orders of each hour of the day (UTC), as a share of the busiest.
_DAY_CURVE: Final = (30, 20, 15, 15, 20, 30, 45, 60, 70, 80, 85, 85, 90, 85, 80, 80, 85, 90, 95, 100, 100, 85, 65, 45)
_MEAN_OF_PEAK: Final = sum(_DAY_CURVE) / len(_DAY_CURVE) / 100

_SECOND_LINE: Final = 0.1
_WITH_FEE: Final = 0.92
_IMPRESSIONS_PER_ORDER: Final = 60
# Steps that fall after the market's end are lost: about the time a line takes to be shipped.
_LOST_AT_END_DAYS: Final = 1.3
_IMPRESSIONS_EVERY_H: Final = (1, 6, 24, 168)
_IMPRESSIONS_SHARE: Final = 0.4
# The platform judges by the last days, so impressions follow a seller's behaviour after a while.
_VISIBILITY_DELAY_DAYS: Final = 2.0
_CLOCK_SKEW_MS: Final = 5 * MINUTE_MS


class Market:
    """The events of a marketplace, in the order they arrive. Iterate it, as often as you like, for the same records.

    It yields `SimulatedRecord(timestamp_ms, topic, key, value)` by timestamp; that is occurred_at, but for impressions
    (sent within two minutes of their interval's end), late events and repeats. Values are plain JSON.
    It keeps only what is under way in memory, not the log.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        products: int = 120,
        sellers: int | None = None,
        days: int = 42,
        events: int | None = None,
        start_ms: int = START_MS,
        impressions_every_h: int | None = None,
        duplicate_rate: float = 0.01,
        late_rate: float = 0.01,
        bad_rate: float = 0.0,
    ) -> None:
        """A market of so many products, sellers (default: a third as many) and days.

        `events`: so many different events are told in about these days, and then it ends, somewhat before the last
        day is over; by default it ends with the last day, after some 12 per product and day. Repeats and bad records
        come on top. `start_ms`: when it opens, ms since the epoch. `impressions_every_h`: the interval of impression
        counts in hours; None takes the shortest of 1, 6, 24 and 168 that leaves 60 % of the events to orders.
        `duplicate_rate`: share of events that are told again, bytes and all, up to 6 h later. `late_rate`: share of
        events that arrive late, by minutes to days, or whose producer's clock is ahead. `bad_rate`: bad records per
        event, of all kinds in turn.
        """
        sellers = max(1, products // 3) if sellers is None else sellers
        _check("seed", seed, 0, 2**53)
        _check("products", products, 1, 10_000_000)
        _check("sellers", sellers, 1, products)
        _check("days", days, 1, 3650)
        _check("start_ms", start_ms, 0, _LATEST_START_MS)
        for name, rate in ("duplicate", duplicate_rate), ("late", late_rate), ("bad", bad_rate):
            _check(f"{name}_rate", rate, 0, 1)
        if events is not None:
            _check("events", events, 1, 10_000_000_000)
        self.seed, self.days, self.start_ms = seed, days, start_ms
        self.end_ms = start_ms + days * DAY_MS
        self.last_event = events
        """The market closes after so many different events, or None: when its days are over."""
        self.expected_events = products * days * EVENTS_PER_PRODUCT_AND_DAY if events is None else events
        self.duplicate_rate, self.late_rate, self.bad_rate = duplicate_rate, late_rate, bad_rate
        if impressions_every_h is None:
            impressions_every_h = _impressions_interval_h(products, days, self.expected_events)
        _check("impressions_every_h", impressions_every_h, 1, 24 * 28)
        self.impressions_every_ms = impressions_every_h * HOUR_MS
        self.products = self._listings(products, sellers)

    def _listings(self, products: int, sellers: int) -> list[Product]:
        dice = Dice(self.seed, 0)
        listings = catalogue(dice, products, sellers)
        # Chance must not leave the market short of events: what is too much is cut off at its end.
        wanted = self.expected_events + self.expected_events // 100 + 5 * isqrt(self.expected_events)
        impressions = products * (self.days * DAY_MS // self.impressions_every_ms)
        lines = 1 + _SECOND_LINE
        per_order = lines + lines * max(0.0, 1 - _LOST_AT_END_DAYS / self.days) + _WITH_FEE
        share_orders(dice, listings, max(0, wanted - impressions) / per_order, self.days)
        return listings

    @cached_property
    def stories(self) -> dict[str, str]:
        """The story that each product's seller lives through, in words, by product_id."""
        return {product.product_id: product.seller.story.name for product in self.products}

    def __iter__(self) -> Iterator[SimulatedRecord]:
        return _Play(self).records()


def _check(name: str, value: float, least: int, most: int) -> None:
    if not least <= value <= most:
        raise UserError(f"simulated market: {name} is {value}; it must be from {least} to {most}")


def _impressions_interval_h(products: int, days: int, events: int) -> int:
    for hours in _IMPRESSIONS_EVERY_H:
        if products * (days * 24 // hours) <= _IMPRESSIONS_SHARE * events:
            return hours
    return _IMPRESSIONS_EVERY_H[-1]


class _Play:
    """One performance of a market: a heap of what is to happen, and handlers that make it happen."""

    def __init__(self, market: Market) -> None:
        self._market = market
        # Disorder and bad records have dice of their own: their rates don't change the story.
        self._dice, self._disorder, self._repeats, self._bad = (Dice(market.seed, stream) for stream in range(1, 5))
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._scheduled = self._events = self._orders = self._bad_records = 0
        self._told = 0
        self._out: list[SimulatedRecord] = []

    def records(self) -> Iterator[SimulatedRecord]:
        market = self._market
        for product in market.products:
            self._schedule_order(market.start_ms, product)
            self._schedule_impressions(market.start_ms, product)
        while self._heap:
            now, _, handler, args = heapq.heappop(self._heap)
            if now >= market.end_ms:
                return
            handler(now, *args)
            yield from self._out
            self._out.clear()
            if self._told == market.last_event:
                return

    def _at(self, time: int, handler: Callable[..., None], *args: Any) -> None:
        # The running number keeps what falls on one ms in the order it was planned.
        self._scheduled += 1
        heapq.heappush(self._heap, (time, self._scheduled, handler, args))

    # What happens on the market

    def _schedule_order(self, now: int, product: Product) -> None:
        peak_per_day = product.orders_per_day / _MEAN_OF_PEAK
        if peak_per_day > 0:
            self._at(now + 1 + int(self._dice.exponential() * DAY_MS / peak_per_day), self._order, product)

    def _order(self, now: int, product: Product) -> None:
        self._schedule_order(now, product)
        behaviour = product.seller.behaviour((now - self._market.start_ms) / DAY_MS)
        if not self._dice.chance(_DAY_CURVE[now // HOUR_MS % 24] / 100 * behaviour.demand):
            return
        self._orders += 1
        order_id = f"O{self._market.seed}-{self._orders}"
        if self._dice.chance(_SECOND_LINE):
            other = product if self._dice.chance(0.5) else self._dice.pick(tuple(product.seller.products))
            self._line(now, product, order_id, "1")
            self._line(now, other, order_id, "2")
        else:
            self._line(now, product, order_id, None)
        if self._dice.chance(_WITH_FEE):
            high = self._dice.chance(behaviour.high_fee)
            self._at(now + self._dice.between(0, MINUTE_MS), self._fee, product, order_id, high)

    def _line(self, now: int, product: Product, order_id: str, line_id: str | None) -> None:
        seller, dice = product.seller, self._dice
        behaviour = seller.behaviour((now - self._market.start_ms) / DAY_MS)
        ship_by = seller.ship_by(now)
        line: dict[str, Any] = {"order_id": order_id} if line_id is None else {"order_id": order_id, "line_id": line_id}
        fields = {**line, "seller_id": seller.seller_id, "region": seller.region}
        if product.category is not None or dice.chance(0.5):
            fields["category"] = product.category
        currency = CURRENCIES[seller.region]
        fields["quantity"] = dice.pick((1, 1, 1, 1, 2, 3))
        fields["item_price"] = _money(product.price, currency)
        fields |= {"currency": currency, "ship_by": ship_by}
        if product.platform or dice.chance(0.02):
            fields["fulfilled_by"] = "platform"
        if dice.chance(0.005):
            fields["sample"] = True
        self._tell(now, "order.placed", product, fields)
        for step in fate(dice, behaviour, now, ship_by):
            self._at(step.at, self._step, product, line, step)

    def _step(self, now: int, product: Product, line: dict[str, Any], step: Step) -> None:
        fields = dict(line)
        if step.type == "order.cancelled":
            fields["reason"] = step.detail
        elif step.type == "order.deadline_extended":
            fields["ship_by"] = step.detail
        self._tell(now, step.type, product, fields)

    def _fee(self, now: int, product: Product, order_id: str, high: bool) -> None:
        dice, seller = self._dice, product.seller
        # Twentieths of a multiple of 20 are exact: many fees are just the 1.2 times that is not yet too much.
        reference = 20 * dice.between(15, 60)
        twentieths = dice.between(25, 40) if high else dice.pick((18, 20, 20, 20, 21, 22, 24))
        currency = CURRENCIES[seller.region]
        fields: dict[str, Any] = {"fee": _money(reference * twentieths // 20, currency), "currency": currency}
        fields["reference_fee"] = _money(reference, currency)
        if not dice.chance(0.05):
            fields["order_id"] = order_id
        fields |= {"seller_id": seller.seller_id, "region": seller.region}
        self._tell(now, "shipping_fee.charged", product, fields)

    def _schedule_impressions(self, now: int, product: Product) -> None:
        every_ms = self._market.impressions_every_ms
        to = now - now % every_ms + every_ms
        self._at(to + self._dice.between(5_000, 2 * MINUTE_MS), self._impressions, product, to)

    def _impressions(self, now: int, product: Product, to: int) -> None:
        self._schedule_impressions(to, product)
        market = self._market
        day = (to - market.start_ms) / DAY_MS
        expected = product.orders_per_day * _IMPRESSIONS_PER_ORDER * market.impressions_every_ms / DAY_MS
        shown = product.seller.behaviour(day - _VISIBILITY_DELAY_DAYS).visibility
        count = int(expected * shown * (0.7 + 0.6 * self._dice.roll()))
        fields = {"count": count, "from": to - market.impressions_every_ms, "to": to}
        self._tell(now, "impressions.counted", product, fields, occurred_at=to)

    # How it is told

    def _tell(
        self, now: int, type_: str, product: Product, fields: dict[str, Any], occurred_at: int | None = None
    ) -> None:
        """Send an event on its way; it occurred now unless occurred_at (ms) says otherwise."""
        delay_ms = 0
        if self._disorder.chance(self._market.late_rate):
            if occurred_at is None and self._disorder.chance(0.1):
                occurred_at = now + _ahead_ms(self._disorder)
            else:
                delay_ms = _delay_ms(self._disorder)
        occurred_at = now if occurred_at is None else occurred_at
        topic = TOPIC_OF_TYPE[type_]
        self._events += 1
        event_id = f"m{self._market.seed}-{self._events}"
        # The cancellations service writes its times as text, the others as numbers: both are allowed.
        time = rfc3339(occurred_at) if topic == CANCELLATIONS else occurred_at
        event = {"event_id": event_id, "type": type_, "product_id": product.product_id, "occurred_at": time, **fields}
        record = SimulatedRecord(now + delay_ms, topic, product.key, encode(event))
        if delay_ms:
            self._at(record.timestamp_ms, self._arrive, record)
        else:
            self._arrive(now, record)
        if self._repeats.chance(self._market.duplicate_rate):
            again_ms = record.timestamp_ms + self._repeats.between(0, self._repeats.pick((MINUTE_MS, HOUR_MS * 6)))
            self._at(again_ms, self._repeat, record)
        if self._bad.chance(self._market.bad_rate):
            self._at(now + self._bad.between(0, MINUTE_MS), self._go_bad, product)

    def _arrive(self, now: int, record: SimulatedRecord) -> None:
        if self._told != self._market.last_event:
            self._told += 1
            self._out.append(record)

    def _repeat(self, now: int, record: SimulatedRecord) -> None:
        self._out.append(record._replace(timestamp_ms=now))

    def _go_bad(self, now: int, product: Product) -> None:
        kind = BAD_KINDS[self._bad_records % len(BAD_KINDS)]
        self._bad_records += 1
        self._out.append(bad_record(kind, now, product.product_id, f"bad{self._market.seed}-{self._bad_records}"))


def _delay_ms(dice: Dice) -> int:
    """How late a late event is: minutes mostly, hours, days, and now and then too late to count (SPEC section 4)."""
    longest_ms = dice.pick((30 * MINUTE_MS,) * 30 + (12 * HOUR_MS,) * 14 + (3 * DAY_MS,) * 4 + (9 * DAY_MS,) * 2)
    return dice.between(MINUTE_MS, longest_ms)


def _ahead_ms(dice: Dice) -> int:
    """How far a producer's clock is ahead, up to what is just allowed."""
    return _CLOCK_SKEW_MS if dice.chance(0.1) else dice.between(1, _CLOCK_SKEW_MS)


def _money(amount: int, currency: str) -> int | float:
    """An amount in the currency's least unit (yen have none) as its number."""
    return amount if currency == "JPY" else amount / 100

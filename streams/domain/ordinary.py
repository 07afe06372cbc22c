"""The short way: what an ordinary event does to an ordinary product, in a few steps and without an evaluation.

`Partition.apply` is the general way, and says what an event does. Here are its usual cases, which come to the same:
a new line whose ship_by is to come; that line shipped, or cancelled, in time; a fee; impressions.
They are told about a product that is known, clear, and `leeway` bad facts from anything that could give it a level:
so no rule of SPEC 7 can change anything, and nothing is evaluated. Nor is the product caught up with the clock, beyond
what its lines need: it stays as of an earlier time, and `Product.catch_up` brings it on whenever somebody asks.

Each function returns False, with nothing changed that catching up would not change, where the case is not the usual one
and the general way must be taken: an event told before, out of order, of another region or category, of a line that is
due already ... tests/property/test_ordinary.py holds both ways against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import Any

from streams.domain.buckets import ONE_FEE, ONE_HIGH_FEE, ONE_PLACED, ONE_SELLER_CANCELLED
from streams.domain.counters import IMPRESSIONS_MAX
from streams.domain.events import (
    CancellationReverted,
    DeadlineExtended,
    ImpressionsCounted,
    OrderCancelled,
    OrderPlaced,
    OrderShipped,
    ShippingFeeCharged,
)
from streams.domain.fees import is_high
from streams.domain.lines import CANCELLED, PLACED, SHIPPED, Line
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook

Way = Callable[[Product, Any, int, Rulebook], bool]


def _placed(product: Product, event: OrderPlaced, now: int, book: Rulebook) -> bool:
    at, ship_by = event.occurred_at, event.ship_by
    key = (event.order_id, event.line_id)
    region, category = product.region, event.category
    if (
        ship_by < now
        or key in product.lines
        or event.fulfilled_by != "seller"
        or event.sample
        or region is None
        or event.region != region[0]
        or at <= region[1]
    ):
        return False
    if category is not None:
        known = product.category
        if known is None or category != known[0] or at <= known[1]:
            return False
    agenda = product.agenda
    if agenda and agenda[0][0] < now:
        # A new line makes room for itself: what is to be forgotten is, and what comes due while many lines are open is
        # not left to the next evaluation.
        product.catch_up(book, now)
        if product.leeway <= 0:
            return False
    event_id = event.event_id
    line = product.lines[key] = Line(key)
    line.facts.append((PLACED, at, event_id, ship_by))
    line.placed_at = line.last_fact_at = at
    line.ship_by = line.wake_at = ship_by
    line.counts = line.threatens = True
    line.placed_share = ONE_PLACED
    product.threats += 1
    heappush(agenda, (ship_by, key))
    product.add(at // book.bucket_ms, ONE_PLACED)
    product.seller = (event.seller_id, at, event_id)
    product.region = (event.region, at, event_id)
    if category is not None:
        product.category = (category, at, event_id)
    if product.touched is not None:
        product.touched.add(key)
    return True


def _shipped(product: Product, event: OrderShipped, now: int, book: Rulebook) -> bool:
    key = (event.order_id, event.line_id)
    line = product.lines.get(key)
    if line is None or not line.threatens or len(line.facts) != 1:
        return False
    at, event_id = event.occurred_at, event.event_id
    ship_by = line.ship_by
    if at > ship_by or now > ship_by or event_id == line.facts[0][2]:  # type: ignore[operator]
        return False
    line.facts.append((SHIPPED, at, event_id, None))
    line.shipped_at = at
    if at > line.last_fact_at:
        line.last_fact_at = at
    line.threatens = False
    product.threats -= 1
    if product.touched is not None:
        product.touched.add(key)
    return True


def _cancelled(product: Product, event: OrderCancelled, now: int, book: Rulebook) -> bool:
    key = (event.order_id, event.line_id)
    line = product.lines.get(key)
    if line is None or not line.threatens or len(line.facts) != 1:
        return False
    at, event_id, reason = event.occurred_at, event.event_id, event.reason
    ship_by, placed_at = line.ship_by, line.placed_at
    if at > ship_by or now > ship_by or event_id == line.facts[0][2]:  # type: ignore[operator]
        return False
    assert placed_at is not None
    line.cancelled_at, line.reason = at, reason
    share = line.share_of_placed()
    if share & ONE_SELLER_CANCELLED:
        if product.leeway <= 1:
            line.cancelled_at = line.reason = None
            return False
        product.leeway -= 1
    line.facts.append((CANCELLED, at, event_id, reason))
    if at > line.last_fact_at:
        line.last_fact_at = at
    line.threatens = False
    product.threats -= 1
    if share != ONE_PLACED:
        product.add(placed_at // book.bucket_ms, share - ONE_PLACED)
        line.placed_share = share
    if product.touched is not None:
        product.touched.add(key)
    return True


def _fee(product: Product, event: ShippingFeeCharged, now: int, book: Rulebook) -> bool:
    at, event_id = event.occurred_at, event.event_id
    region = product.region
    if event_id in product.seen or region is None or event.region != region[0] or at <= region[1]:
        return False
    bucket = at // book.bucket_ms
    if is_high(event.fee, event.reference_fee, product.plan.policy.high_fee_ratio):
        if product.leeway <= 1:
            return False
        product.leeway -= 1
        product.add(bucket, ONE_FEE + ONE_HIGH_FEE)
        order_id = event.order_id
        if order_id is not None:
            product.high_fees.append((at, bucket, order_id))
            if product.touched is not None:
                product.touched.add(order_id)
    else:
        product.add(bucket, ONE_FEE)
    product.seen[event_id] = bucket
    product.seller = (event.seller_id, at, event_id)
    product.region = (event.region, at, event_id)
    if product.touched is not None:
        product.touched.add(event_id)
    return True


def _impressions(product: Product, event: ImpressionsCounted, now: int, book: Rulebook) -> bool:
    event_id = event.event_id
    if event_id in product.seen:
        return False
    bucket = event.occurred_at // book.bucket_ms
    product.seen[event_id] = bucket
    if bucket < product.oldest:
        product.oldest = bucket
    impressions = product.impressions
    impressions[bucket] = min(impressions.get(bucket, 0) + event.count, IMPRESSIONS_MAX)
    if product.touched is not None:
        product.touched.add(event_id)
    return True


def _general(product: Product, event: object, now: int, book: Rulebook) -> bool:
    return False


ORDINARY: dict[type, Way] = {
    DeadlineExtended: _general,
    CancellationReverted: _general,
    OrderPlaced: _placed,
    OrderShipped: _shipped,
    OrderCancelled: _cancelled,
    ShippingFeeCharged: _fee,
    ImpressionsCounted: _impressions,
}

"""The short way: what an ordinary event does to an ordinary product, in a few steps and without an evaluation.

`Partition.apply` is the general way, and says what an event does. Here are its usual cases, which come to the same:
a new line whose ship_by is to come; that line shipped, or cancelled, in time; a fee; impressions.
They are told about a product that is known, clear, and `leeway` bad facts from anything that could give it a level:
so no rule of SPEC 7 can change anything, and nothing is evaluated. Nor is the product caught up with the clock, beyond
what its lines need: it stays as of an earlier time, and `Product.catch_up` brings it on whenever somebody asks.

Each function returns `UNUSUAL`, with nothing changed that catching up would not change, where the case is not the usual
one and the general way must be taken: an event told before, out of order, of another region or category, of a line that
is due already ... `DONE` if it was told; `LOOK` if it was, and the product may have to be looked at earlier than it
would be. tests/property/test_ordinary.py holds both ways against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import Any, Final

from streams.domain.attributes import is_later
from streams.domain.buckets import ONE_FEE, ONE_HIGH_FEE, ONE_PLACED
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
from streams.domain.lines import CANCELLED, PLACED, PLACED_UNCOUNTED, SHIPPED, Line
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook

UNUSUAL: Final = 0
DONE: Final = 1
LOOK: Final = 2

Way = Callable[[Product, Any, int, Rulebook], int]


def _placed(product: Product, event: OrderPlaced, now: int, book: Rulebook) -> int:
    at, ship_by, event_id = event.occurred_at, event.ship_by, event.event_id
    key = (event.order_id, event.line_id)
    if ship_by < now or key in product.lines:
        return UNUSUAL
    # An attribute told later than this event stands, whatever the event says.
    region, category, known = product.region, event.category, product.category
    newer = is_later(region, at, event_id)
    newer_category = category is not None and is_later(known, at, event_id)
    if (newer and (region is None or event.region != region[0])) or (
        newer_category and (known is None or category != known[0])
    ):
        told_region = event.region if newer else region[0]  # type: ignore[index]
        told_category = category if newer_category else known and known[0]
        if book.plan(told_region, told_category, now) is not product.plan:
            return UNUSUAL
    agenda = product.agenda
    if agenda and agenda[0][0] < now - book.idle_ms:
        # A new line makes room for itself: what is to be forgotten is. Not at each one, for a popular product.
        product.catch_up(book, now)
        if product.leeway <= 0:
            return UNUSUAL
    line = product.lines[key] = Line(key)
    line.placed_at = line.last_fact_at = at
    line.ship_by = line.wake_at = ship_by
    heappush(agenda, (ship_by, key))
    if event.fulfilled_by == "seller" and not event.sample:
        line.facts.append((PLACED, at, event_id, ship_by))
        line.counts = line.threatens = True
        line.placed_share = ONE_PLACED
        product.threats += 1
        product.add(at // book.bucket_ms, ONE_PLACED)
    else:
        line.facts.append((PLACED_UNCOUNTED, at, event_id, ship_by))
    if newer:
        product.seller = (event.seller_id, at, event_id)
        product.region = (event.region, at, event_id)
    if newer_category:
        assert category is not None
        product.category = (category, at, event_id)
    if product.touched is not None:
        product.touched.add(key)
    if product.threats < product.late_leeway:
        return DONE
    wake_at = product.wake_at
    return LOOK if wake_at is None or ship_by + 1 < wake_at else DONE


def _shipped(product: Product, event: OrderShipped, now: int, book: Rulebook) -> int:
    key = (event.order_id, event.line_id)
    line = product.lines.get(key)
    if line is None or len(line.facts) != 1:
        return UNUSUAL
    at, event_id = event.occurred_at, event.event_id
    ship_by = line.ship_by
    if ship_by is None or at > ship_by or now > ship_by or event_id == line.facts[0][2]:
        return UNUSUAL
    line.facts.append((SHIPPED, at, event_id, None))
    line.shipped_at = at
    if at > line.last_fact_at:
        line.last_fact_at = at
    if line.threatens:
        line.threatens = False
        product.threats -= 1
    if product.touched is not None:
        product.touched.add(key)
    return DONE


def _cancelled(product: Product, event: OrderCancelled, now: int, book: Rulebook) -> int:
    key = (event.order_id, event.line_id)
    line = product.lines.get(key)
    if line is None or not line.threatens or len(line.facts) != 1:
        return UNUSUAL
    at, event_id, reason = event.occurred_at, event.event_id, event.reason
    ship_by, placed_at = line.ship_by, line.placed_at
    if at > ship_by or now > ship_by or event_id == line.facts[0][2]:  # type: ignore[operator]
        return UNUSUAL
    assert placed_at is not None
    line.cancelled_at, line.reason = at, reason
    share = line.share_of_placed()
    if share != ONE_PLACED:  # one more to count against it, or one less that it counts against
        if product.leeway <= 1:
            line.cancelled_at = line.reason = None
            return UNUSUAL
        product.leeway -= 1
    line.facts.append((CANCELLED, at, event_id, reason))
    if at > line.last_fact_at:
        line.last_fact_at = at
    line.threatens = False
    product.threats -= 1
    if product.touched is not None:
        product.touched.add(key)
    if share == ONE_PLACED:
        return DONE
    product.add(placed_at // book.bucket_ms, share - ONE_PLACED)
    line.placed_share = share
    return LOOK  # if the bucket is empty now, the product may be so earlier


def _fee(product: Product, event: ShippingFeeCharged, now: int, book: Rulebook) -> int:
    at, event_id = event.occurred_at, event.event_id
    region, known = product.region, product.category
    if event_id in product.seen:
        return UNUSUAL
    newer = is_later(region, at, event_id)
    moved = newer and (region is None or event.region != region[0])
    if moved and book.plan(event.region, known and known[0], now) is not product.plan:
        return UNUSUAL
    bucket = at // book.bucket_ms
    if is_high(event.fee, event.reference_fee, product.plan.policy.high_fee_ratio):
        if product.leeway <= 1:
            return UNUSUAL
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
    if newer:
        product.seller = (event.seller_id, at, event_id)
        product.region = (event.region, at, event_id)
    if product.touched is not None:
        product.touched.add(event_id)
    return DONE


def _impressions(product: Product, event: ImpressionsCounted, now: int, book: Rulebook) -> int:
    event_id = event.event_id
    if event_id in product.seen:
        return UNUSUAL
    bucket = event.occurred_at // book.bucket_ms
    product.seen[event_id] = bucket
    if bucket < product.oldest:
        product.oldest = bucket
    impressions = product.impressions
    impressions[bucket] = min(impressions.get(bucket, 0) + event.count, IMPRESSIONS_MAX)
    if product.touched is not None:
        product.touched.add(event_id)
    return DONE


def _general(product: Product, event: object, now: int, book: Rulebook) -> int:
    return UNUSUAL


ORDINARY: dict[type, Way] = {
    DeadlineExtended: _general,
    CancellationReverted: _general,
    OrderPlaced: _placed,
    OrderShipped: _shipped,
    OrderCancelled: _cancelled,
    ShippingFeeCharged: _fee,
    ImpressionsCounted: _impressions,
}

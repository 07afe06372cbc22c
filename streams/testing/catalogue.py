"""Who sells what on the simulated market, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from streams.testing.dice import Dice
from streams.testing.fates import DAY_MS, HOUR_MS
from streams.testing.stories import STEADY, STORIES, STORY_DAYS, Behaviour, Story

REGIONS: Final = ("US", "US", "US", "US", "DE", "DE", "UK", "UK", "FR", "JP")
CURRENCIES: Final = {"US": "USD", "DE": "EUR", "UK": "GBP", "FR": "EUR", "JP": "JPY"}
CATEGORIES: Final = ("electronics", "toys", "books", "garden", "Haushalt & Küche", "beauté", "家電", None)

# Popularity goes down as 1 / (rank + this): a few bestsellers, and a long tail.
_BESTSELLERS: Final = 8
# The first sellers' stories are told in full unless they would take more than this share of all orders.
_STORIES_SHARE: Final = 0.5
_OTHERS_WITH_STORY: Final = 0.125
_PLATFORM_PRODUCTS: Final = 0.08


@dataclass(slots=True)
class Seller:
    """A seller in one region."""

    seller_id: str
    region: str
    story: Story
    ahead_days: int
    """How far into its story the seller is when the market opens."""
    handling_ms: int
    """Time it promises to ship within."""
    until_midnight: bool
    """Whether it promises the end of that day (UTC) rather than the minute."""
    products: list[Product] = field(default_factory=list, repr=False)

    def behaviour(self, day: float) -> Behaviour:
        """What it does on a day of the market; before the first day, what it does on the first."""
        return self.story.at(max(day, 0.0) + self.ahead_days)

    def ship_by(self, placed_at: int) -> int:
        """The promise for a line placed at this time (ms)."""
        ship_by = placed_at + self.handling_ms
        return ship_by if not self.until_midnight else ship_by - ship_by % DAY_MS + DAY_MS

    def busy_days(self, days: int) -> float:
        """So many days of usual demand it sees in the first `days` days."""
        if self.story is STEADY:
            return float(days)
        return sum(self.behaviour(day).demand for day in range(days))


@dataclass(slots=True)
class Product:
    """A listing."""

    product_id: str
    key: bytes
    seller: Seller
    category: str | None
    platform: bool
    """Fulfilled by the platform: its lines count in no metric."""
    price: int
    """In the currency's least unit, for JPY in yen."""
    orders_per_day: float = 0.0
    """At usual demand."""


def catalogue(dice: Dice, products: int, sellers: int) -> list[Product]:
    """So many products, of so many sellers (at least 1, at most one per product); the orders are still to be shared."""
    people = [_seller(dice, index) for index in range(sellers)]
    listings = []
    for index in range(products):
        seller = people[index % sellers]
        listings.append(_product(dice, index, seller))
        seller.products.append(listings[-1])
    return listings


def _seller(dice: Dice, index: int) -> Seller:
    story, ahead_days = STEADY, 0
    if index < len(STORIES):
        story = STORIES[index]
    elif dice.chance(_OTHERS_WITH_STORY):
        story, ahead_days = dice.pick(STORIES), dice.between(0, STORY_DAYS - 1)
    handling_ms = dice.pick((24, 24, 48, 72)) * HOUR_MS
    return Seller(f"S{index:04d}", dice.pick(REGIONS), story, ahead_days, handling_ms, dice.chance(0.5))


def _product(dice: Dice, index: int, seller: Seller) -> Product:
    product_id = f"P{index:05d}"
    platform = seller.story is STEADY and dice.chance(_PLATFORM_PRODUCTS)
    return Product(product_id, product_id.encode(), seller, dice.pick(CATEGORIES), platform, dice.between(499, 19_999))


def share_orders(dice: Dice, products: list[Product], orders: float, days: int) -> None:
    """Give each product its orders_per_day, so that about `orders` are placed in `days` days.

    The first product of each of the first sellers gets what its story needs, and all share the rest by popularity.
    """
    ranks = list(range(len(products)))
    dice.shuffle(ranks)
    busy: dict[str, float] = {}
    for product in products:
        if product.seller.seller_id not in busy:
            busy[product.seller.seller_id] = product.seller.busy_days(days)
    tellers = products[: min(len(STORIES), len(busy))]
    needed = sum(product.seller.story.lines_per_day * busy[product.seller.seller_id] for product in tellers)
    told = min(1.0, _STORIES_SHARE * orders / needed) if needed else 0.0
    wanted = sum(
        busy[product.seller.seller_id] / (rank + _BESTSELLERS) for product, rank in zip(products, ranks, strict=True)
    )
    scale = (orders - told * needed) / wanted if wanted else 0.0
    for product, rank in zip(products, ranks, strict=True):
        product.orders_per_day = scale / (rank + _BESTSELLERS)
    for product in tellers:
        product.orders_per_day += told * product.seller.story.lines_per_day

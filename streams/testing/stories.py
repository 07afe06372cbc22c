"""What the sellers of the simulated market live through.

Days are counted from the start of the market. The times are chosen against the default policy of SPEC section 6, so
that six weeks show every status and every kind of transition; a market that goes on longer tells them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STORY_DAYS: Final = 42


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a seller treats its orders for a while. Numbers without a unit are probabilities per line or per fee."""

    out_of_stock: float = 0.002
    pricing_error: float = 0.001
    unable_to_ship: float = 0.001
    appeal: float = 0.05
    """That a cancellation by the seller is taken back, and the line shipped after all."""
    lost: float = 0.001
    """That a line is never shipped; most of them are cancelled for it in the end."""
    late: float = 0.006
    extended: float = 0.01
    """That the carrier asks for more time, and the line is shipped within it."""
    high_fee: float = 0.008
    demand: float = 1.0
    """Orders, as a share of the usual."""
    visibility: float = 1.0
    """Impressions, as a share of the usual, from two days on: the marketplace shows less of who fails."""


@dataclass(frozen=True, slots=True)
class Story:
    """A seller's behaviours, each from a day on."""

    name: str
    lines_per_day: float
    """At the least, for the seller's first product: with fewer the rates have too few lines to say anything."""
    phases: tuple[tuple[int, Behaviour], ...]
    """(first day, behaviour), ascending, the first from day 0."""

    def at(self, day: float) -> Behaviour:
        """The behaviour on a day of the market (not negative)."""
        day %= STORY_DAYS
        found = self.phases[0][1]
        for first_day, behaviour in self.phases:
            if day < first_day:
                break
            found = behaviour
        return found


GOOD: Final = Behaviour()
SPOTLESS: Final = Behaviour(out_of_stock=0.0, pricing_error=0.0, unable_to_ship=0.0, lost=0.0, late=0.0, high_fee=0.0)
CLOSED: Final = Behaviour(demand=0.0, visibility=0.0)

_OUT_OF_STOCK: Final = Behaviour(out_of_stock=0.35, demand=0.9, visibility=0.5)
_SHORT_OF_STOCK: Final = Behaviour(out_of_stock=0.14)
_LATE: Final = Behaviour(late=0.5, lost=0.03, visibility=0.4)
_OVERCHARGING: Final = Behaviour(
    out_of_stock=0.0, pricing_error=0.0, unable_to_ship=0.0, lost=0.0, late=0.0, high_fee=0.7, visibility=0.7
)
_CARELESS: Final = Behaviour(
    out_of_stock=0.05, pricing_error=0.03, unable_to_ship=0.02, lost=0.05, late=0.12, high_fee=0.2, visibility=0.6
)
_RUINED: Final = Behaviour(unable_to_ship=0.9, appeal=0.0, lost=0.05, visibility=0.1)
_MISJUDGED: Final = Behaviour(out_of_stock=0.0, pricing_error=0.0, unable_to_ship=0.3, lost=0.0, late=0.0, appeal=1.0)
_ON_STRIKE: Final = Behaviour(late=0.01, extended=0.6)
_MISPRICED: Final = Behaviour(pricing_error=0.2, visibility=0.7)
_STINTING: Final = Behaviour(out_of_stock=0.03, unable_to_ship=0.01, late=0.05, visibility=0.8)
_NEGLECTED: Final = Behaviour(lost=0.25, late=0.1, demand=0.9, visibility=0.5)

STEADY: Final = Story("steady", 0.0, ((0, GOOD),))

STORIES: Final = (
    Story("mends its shipping fees", 4.0, ((0, SPOTLESS), (3, _OVERCHARGING), (14, SPOTLESS))),
    Story("runs out of stock, and recovers", 12.0, ((0, SPOTLESS), (1, _OUT_OF_STOCK), (4, SPOTLESS))),
    Story(
        "overcharges, mends it, and relapses",
        4.0,
        ((0, SPOTLESS), (2, _OVERCHARGING), (6, SPOTLESS), (18, _OVERCHARGING), (24, SPOTLESS)),
    ),
    Story("fails chronically", 4.0, ((0, _CARELESS),)),
    Story("collapses: nearly all is cancelled", 12.0, ((0, GOOD), (1, _RUINED))),
    Story("wins its appeals", 9.0, ((0, SPOTLESS), (6, _MISJUDGED), (9, SPOTLESS))),
    Story("ships late for a while", 6.0, ((0, GOOD), (4, _LATE), (10, GOOD))),
    Story("overcharges, then closes its shop", 5.0, ((0, SPOTLESS), (1, _OVERCHARGING), (7, CLOSED))),
    Story("opens to cash in, and never ships", 8.0, ((0, CLOSED), (14, _RUINED), (19, CLOSED))),
    Story("is short of stock for a day", 16.0, ((0, SPOTLESS), (1, _SHORT_OF_STOCK), (2, SPOTLESS))),
    Story("is hit by a carrier's strike", 5.0, ((0, GOOD), (10, _ON_STRIKE), (17, GOOD))),
    Story("gets its prices wrong", 5.0, ((0, GOOD), (15, _MISPRICED), (21, GOOD))),
    Story("cuts corners", 6.0, ((0, _STINTING),)),
    Story("neglects its parcels, and recovers", 8.0, ((0, GOOD), (1, _NEGLECTED), (4, SPOTLESS))),
)
"""Told once each by the first sellers of a market, in this order; of the others every eighth tells one of them."""

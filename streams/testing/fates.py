"""What becomes of one order line of the simulated market."""

from __future__ import annotations

from typing import Final, NamedTuple

from streams.testing.dice import Dice
from streams.testing.stories import Behaviour

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

# Within SPEC's hold of 1 h, and after it.
_BUYER_IN_HOLD: Final = 0.015
_BUYER_AFTER_HOLD: Final = 0.008
_CARRIER_FAULT: Final = 0.002
_REFUSED: Final = 0.004


class Step(NamedTuple):
    """Something that happens to a line."""

    at: int
    """Time, in ms."""
    type: str
    """Type of the event that tells of it."""
    detail: str | int | None = None
    """The reason of a cancellation; the new ship_by (ms) of an extension."""


def fate(dice: Dice, behaviour: Behaviour, placed_at: int, ship_by: int) -> list[Step]:
    """All that happens to a line after it is placed (times in ms; placed_at < ship_by), in order of time."""
    roll = dice.roll()
    for probability, plan in (
        (_BUYER_IN_HOLD, _changed_mind),
        (_BUYER_AFTER_HOLD, _cancelled_by_buyer),
        (_CARRIER_FAULT, _cancelled_by_carrier),
    ):
        if roll < probability:
            return plan(dice, placed_at, ship_by)
        roll -= probability
    for probability, reason in (
        (behaviour.out_of_stock, "out_of_stock"),
        (behaviour.pricing_error, "pricing_error"),
        (behaviour.unable_to_ship, "unable_to_ship"),
    ):
        if roll < probability:
            return _cancelled_by_seller(dice, behaviour, placed_at, ship_by, reason)
        roll -= probability
    for probability, plan in (
        (behaviour.lost, _lost),
        (behaviour.late, _shipped_late),
        (behaviour.extended, _extended),
    ):
        if roll < probability:
            return plan(dice, placed_at, ship_by)
        roll -= probability
    return _shipped_in_time(dice, placed_at, ship_by)


def _changed_mind(dice: Dice, placed_at: int, ship_by: int) -> list[Step]:
    reason = dice.pick(("buyer_request", "buyer_request", "buyer_request", "payment_failed"))
    # The ends of the hold belong to it: some cancellations fall on them to the millisecond.
    wait_ms = HOUR_MS if dice.chance(0.05) else dice.between(0, HOUR_MS)
    return [Step(placed_at + wait_ms, "order.cancelled", reason)]


def _cancelled_by_buyer(dice: Dice, placed_at: int, ship_by: int) -> list[Step]:
    wait_ms = HOUR_MS + 1 if dice.chance(0.05) else dice.between(HOUR_MS + 1, 2 * DAY_MS)
    return [Step(placed_at + wait_ms, "order.cancelled", "buyer_request")]


def _cancelled_by_carrier(dice: Dice, placed_at: int, ship_by: int) -> list[Step]:
    reason = dice.pick(("carrier_fault", "other", "address_not_served"))
    return [Step(dice.between(placed_at + HOUR_MS, ship_by), "order.cancelled", reason)]


def _cancelled_by_seller(dice: Dice, behaviour: Behaviour, placed_at: int, ship_by: int, reason: str) -> list[Step]:
    cancelled_at = dice.between(placed_at + 10 * MINUTE_MS, placed_at + (ship_by - placed_at) * 6 // 10)
    steps = [Step(cancelled_at, "order.cancelled", reason)]
    if dice.chance(behaviour.appeal):
        reverted_at = cancelled_at + dice.between(12 * HOUR_MS, 60 * HOUR_MS)
        steps.append(Step(reverted_at, "order.cancellation_reverted"))
        if dice.chance(0.3):
            steps.append(Step(reverted_at + MINUTE_MS, "order.deadline_extended", reverted_at + 2 * DAY_MS))
        steps.append(Step(reverted_at + dice.between(2 * HOUR_MS, 40 * HOUR_MS), "order.shipped"))
    return steps


def _lost(dice: Dice, placed_at: int, ship_by: int) -> list[Step]:
    if dice.chance(0.3):
        return []
    return [Step(ship_by + dice.between(3 * DAY_MS, 6 * DAY_MS), "order.cancelled", "late_auto_cancel")]


def _shipped_late(dice: Dice, placed_at: int, ship_by: int) -> list[Step]:
    delay_ms = 1 if dice.chance(0.02) else dice.between(HOUR_MS, 3 * DAY_MS)
    return [Step(ship_by + delay_ms, "order.shipped")]


def _extended(dice: Dice, placed_at: int, ship_by: int) -> list[Step]:
    asked_at = dice.between(placed_at + MINUTE_MS, ship_by)
    extended_to = ship_by + dice.between(1, 3) * DAY_MS
    return [
        Step(asked_at, "order.deadline_extended", extended_to),
        Step(dice.between(ship_by, extended_to), "order.shipped"),
    ]


def _shipped_in_time(dice: Dice, placed_at: int, ship_by: int) -> list[Step]:
    shipped_at = ship_by if dice.chance(0.01) else dice.between(placed_at + 30 * MINUTE_MS, ship_by)
    steps = [Step(shipped_at, "order.shipped")]
    if dice.chance(_REFUSED):
        # Refused at the door: it stays shipped, whatever is cancelled later.
        steps.append(Step(shipped_at + dice.between(DAY_MS, 4 * DAY_MS), "order.cancelled", "other"))
    return steps

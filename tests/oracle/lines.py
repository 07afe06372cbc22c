"""From the facts of one line to its state, and from its state to what it counts (SPEC section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

HOLD_MS = 3_600_000
HELD_BACK_REASONS = ("buyer_request", "payment_failed")
SELLER_FAULTS = ("out_of_stock", "pricing_error", "unable_to_ship", "late_auto_cancel")


@dataclass(frozen=True)
class Fact:
    """One accepted event about a line, as it came."""

    event: dict[str, Any]

    @property
    def type(self) -> str:
        """The event's type, such as `order.placed`."""
        return str(self.event["type"])

    @property
    def at_ms(self) -> int:
        """occurred_at."""
        return int(self.event["occurred_at"])

    @property
    def order(self) -> tuple[int, bytes]:
        """Earliest first; of equal times the smaller event_id."""
        return self.at_ms, str(self.event["event_id"]).encode()


@dataclass(frozen=True)
class LineState:
    """What the facts of a line add up to. A line not placed yet has `placed_at_ms` and `ship_by_ms` None."""

    placed_at_ms: int | None
    counts: bool  # placed, by the seller, and no sample
    ship_by_ms: int | None
    shipped_at_ms: int | None
    cancelled_at_ms: int | None
    reason: str | None
    fate: str
    excused: bool

    @property
    def cancelled_in_time(self) -> bool:
        """Fate cancelled, at or before ship_by."""
        return (
            self.fate == "cancelled"
            and self.cancelled_at_ms is not None
            and self.ship_by_ms is not None
            and self.cancelled_at_ms <= self.ship_by_ms
        )

    @property
    def held_back(self) -> bool:
        """Cancelled by the buyer (or for want of payment) within the hold: the line was never placed, in effect."""
        return (
            self.fate == "cancelled"
            and self.reason in HELD_BACK_REASONS
            and self.cancelled_at_ms is not None
            and self.placed_at_ms is not None
            and 0 <= self.cancelled_at_ms - self.placed_at_ms <= HOLD_MS
        )

    def is_late(self, clock_ms: int) -> bool:
        """A *late line*: the clock has passed ship_by and neither a dispatch nor a cancellation came in time."""
        if self.ship_by_ms is None or clock_ms <= self.ship_by_ms:
            return False
        shipped_in_time = self.shipped_at_ms is not None and self.shipped_at_ms <= self.ship_by_ms
        return not shipped_in_time and not self.cancelled_in_time


def line_state(facts: list[Fact]) -> LineState:
    """The state of a line, a function of the set of its facts: the order of the list does not matter."""
    facts = sorted(facts, key=lambda fact: fact.order)
    placed = next((fact for fact in facts if fact.type == "order.placed"), None)
    shipped = next((fact for fact in facts if fact.type == "order.shipped"), None)
    cancellations = [fact for fact in facts if fact.type == "order.cancelled"]
    reversions = [fact for fact in facts if fact.type == "order.cancellation_reverted"]

    standing = [c for c in cancellations if all(c.at_ms > r.at_ms for r in reversions)]
    cancelled = standing[0] if standing else None
    reverted = bool(cancellations) and not standing
    reverting = [r for r in reversions if any(c.at_ms <= r.at_ms for c in cancellations)]
    reverted_at_ms = reverting[-1].at_ms if reverting else None

    ship_by_ms: int | None = None
    extended_since_reversion = False
    if placed is not None:
        ship_by_ms = int(placed.event["ship_by"])
        for extension in (fact for fact in facts if fact.type == "order.deadline_extended"):
            after_reversion = reverted_at_ms is not None and extension.at_ms > reverted_at_ms
            in_time = extension.at_ms <= ship_by_ms or after_reversion
            if extension.event["ship_by"] > ship_by_ms and in_time:
                ship_by_ms = int(extension.event["ship_by"])
                extended_since_reversion = extended_since_reversion or after_reversion

    shipped_at_ms = shipped.at_ms if shipped is not None else None
    cancelled_at_ms = cancelled.at_ms if cancelled is not None else None
    if cancelled_at_ms is not None and (shipped_at_ms is None or cancelled_at_ms < shipped_at_ms):
        fate = "cancelled"
    else:
        fate = "open" if shipped_at_ms is None else "shipped"
    shipped_in_time = shipped_at_ms is not None and ship_by_ms is not None and shipped_at_ms <= ship_by_ms
    return LineState(
        placed_at_ms=placed.at_ms if placed is not None else None,
        counts=placed is not None
        and (placed.event.get("fulfilled_by") or "seller") == "seller"
        and not placed.event.get("sample"),
        ship_by_ms=ship_by_ms,
        shipped_at_ms=shipped_at_ms,
        cancelled_at_ms=cancelled_at_ms,
        reason=str(cancelled.event["reason"]) if cancelled is not None else None,
        fate=fate,
        excused=reverted and not shipped_in_time and not extended_since_reversion,
    )


def contributions(state: LineState, clock_ms: int) -> Iterator[tuple[str, int, int]]:
    """What a line counts at a clock, each as (counter, time whose bucket it is counted in, `at` of its evidence)."""
    if not state.counts:
        return
    assert state.placed_at_ms is not None and state.ship_by_ms is not None
    if not state.held_back:
        yield "placed", state.placed_at_ms, state.placed_at_ms
    if state.fate == "cancelled":
        assert state.cancelled_at_ms is not None
        if state.reason == "out_of_stock":
            yield "stock_cancelled", state.placed_at_ms, state.cancelled_at_ms
        if state.reason in SELLER_FAULTS:
            yield "seller_cancelled", state.placed_at_ms, state.cancelled_at_ms
    if clock_ms <= state.ship_by_ms or state.excused:
        return
    if not state.cancelled_in_time:
        yield "due", state.ship_by_ms, state.ship_by_ms
    if state.is_late(clock_ms):
        yield "late", state.ship_by_ms, state.ship_by_ms
        if state.fate == "open":
            yield "overdue", state.ship_by_ms, state.ship_by_ms


NUMERATORS = ("stock_cancelled", "seller_cancelled", "overdue", "late", "high_fees")


class Line:
    """One line and all its facts since it was last empty."""

    def __init__(self, order_id: str, line_id: str) -> None:
        self.order_id = order_id
        self.line_id = line_id
        self.facts: dict[str, Fact] = {}
        self._state: LineState | None = None

    def tell(self, event: dict[str, Any]) -> bool:
        """Add a fact; False, and nothing changes, if its event_id was told of this line before."""
        if event["event_id"] in self.facts:
            return False
        self.facts[event["event_id"]] = Fact(event)
        self._state = None
        return True

    @property
    def state(self) -> LineState:
        """The state as of now (only remembered between two facts: it depends on nothing else)."""
        if self._state is None:
            self._state = line_state(list(self.facts.values()))
        return self._state

    def is_forgettable(self, clock_ms: int, allowed_lateness_ms: int, longest_ms: int, bucket_ms: int) -> bool:
        """Whether the line is old enough to be forgotten at this clock."""
        state = self.state
        times = [fact.at_ms for fact in self.facts.values()]
        if state.ship_by_ms is not None:
            times.append(state.ship_by_ms)
        age_ms = clock_ms - max(times)
        if age_ms > longest_ms + bucket_ms:
            return True
        if state.fate != "shipped" or age_ms <= allowed_lateness_ms:
            return False
        return not any(counter in NUMERATORS for counter, _, _ in contributions(state, clock_ms))

"""From an event to the fact it tells about its line (SPEC section 4)."""

from __future__ import annotations

from streams.domain.events import (
    CancellationReverted,
    DeadlineExtended,
    LineEvent,
    OrderCancelled,
    OrderPlaced,
    OrderShipped,
)
from streams.domain.lines import CANCELLED, EXTENDED, PLACED, PLACED_UNCOUNTED, REVERTED, SHIPPED, Fact


def fact_of(event: LineEvent) -> Fact:
    """What an event says about its line."""
    if isinstance(event, OrderPlaced):
        return PLACED if event.counts else PLACED_UNCOUNTED, event.occurred_at, event.event_id, event.ship_by
    if isinstance(event, OrderShipped):
        return SHIPPED, event.occurred_at, event.event_id, None
    if isinstance(event, OrderCancelled):
        return CANCELLED, event.occurred_at, event.event_id, event.reason
    if isinstance(event, DeadlineExtended):
        return EXTENDED, event.occurred_at, event.event_id, event.ship_by
    assert isinstance(event, CancellationReverted)
    return REVERTED, event.occurred_at, event.event_id, None

"""A seller's story as events: a product goes at risk, impacted, at risk again, and is resolved.

Only overdue orders count. On day 1, 3 of 40 lines due are overdue (7.5 %): at risk. On day 2 it is 13 of 50 (26 %);
that holds for two days of grace, so on day 4 the product is impacted. Then all are shipped: after three days of
dwelling it is at risk, after three more it is resolved.
"""

from __future__ import annotations

from streams.domain.policy import DAY_MS, HOUR_MS, METRICS, UNSHIPPED_OVERDUE_RATE
from streams.testing.records import SimulatedRecord, encode, rfc3339

PRODUCT = "Kettle / 2 l"
SELLER = "S1"
T0 = 1_772_409_600_000  # Monday, 2026-03-02
LATE_FROM_START = 3
LATE_LATER = 10


def policy(review_url: str) -> str:
    """SPEC's thresholds, for one metric only, with a Review link."""
    lines = ["[[policy]]", 'version = "story"', "effective_from = 1970-01-01T00:00:00Z"]
    for metric in METRICS:
        lines.append(f"[policy.metrics.{metric}]")
        lines.append(f'review_url = "{review_url}"' if metric == UNSHIPPED_OVERDUE_RATE else "enabled = false")
    return "\n".join(lines) + "\n"


def at_risk() -> list[SimulatedRecord]:
    """Until the middle of day 1."""
    records = [_placed(f"A{number}", T0 + number, T0 + DAY_MS) for number in range(40)]
    records += [_shipped(f"A{number}", T0 + 12 * HOUR_MS) for number in range(LATE_FROM_START, 40)]
    return _with_impressions(records, until_day=1)


def impacted() -> list[SimulatedRecord]:
    """Until the end of day 4."""
    placed_at, ship_by = T0 + DAY_MS + 13 * HOUR_MS, T0 + 2 * DAY_MS
    records = [_placed(f"B{number}", placed_at + number, ship_by) for number in range(LATE_LATER)]
    return _with_impressions(records, from_day=2, until_day=4)


def at_risk_again() -> list[SimulatedRecord]:
    """Until the end of day 8: all is shipped on day 5."""
    orders = [f"A{number}" for number in range(LATE_FROM_START)] + [f"B{number}" for number in range(LATE_LATER)]
    records = [_shipped(order, T0 + 5 * DAY_MS) for order in orders]
    return _with_impressions(records, from_day=5, until_day=8)


def resolved() -> list[SimulatedRecord]:
    """Until the end of day 11."""
    return _with_impressions([], from_day=9, until_day=11)


def seen_on(day: int) -> int:
    """The impressions of a day: fewer while the product is impacted."""
    return 300 if 4 <= day < 8 else 1_200


def _with_impressions(records: list[SimulatedRecord], until_day: int, from_day: int = 1) -> list[SimulatedRecord]:
    """With the impressions of these days, each told half a day later; they also move the clock."""
    for day in range(from_day, until_day + 1):
        at = T0 + day * DAY_MS + 12 * HOUR_MS
        records.append(
            _record(3, at, "impressions.counted", f"i{day}", count=seen_on(day), **{"from": at - 1, "to": at})
        )
    return sorted(records, key=lambda record: record.timestamp_ms)


def _placed(order: str, at: int, ship_by: int) -> SimulatedRecord:
    fields = {"seller_id": SELLER, "region": "DE", "quantity": 1, "item_price": 20, "currency": "EUR"}
    return _record(0, at, "order.placed", f"p{order}", order_id=order, ship_by=rfc3339(ship_by), **fields)


def _shipped(order: str, at: int) -> SimulatedRecord:
    return _record(0, at, "order.shipped", f"s{order}", order_id=order)


def _record(topic: int, at: int, kind: str, event_id: str, **fields: object) -> SimulatedRecord:
    common = {"type": kind, "event_id": event_id, "product_id": PRODUCT, "occurred_at": at}
    return SimulatedRecord(at, topic, PRODUCT.encode(), encode({**common, **fields}))

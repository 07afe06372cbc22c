"""What the tests of input records share: a good body of each type, and reading it both ways."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from streams.codecs.inputs import decode, decode_batch
from streams.codecs.refusals import Reason, Refused
from streams.domain.events import (
    ORDERS,
    TOPIC_OF_TYPE,
    InputEvent,
)

NOW = 1_772_477_970_123  # 2026-03-02T18:59:30.123Z
NOW_TEXT = "2026-03-02T18:59:30.123Z"
DAY_MS = 86_400_000
LIMIT = 2**53

COMMON: dict[str, Any] = {"event_id": "e1", "product_id": "P1", "occurred_at": NOW}
LINE: dict[str, Any] = {**COMMON, "order_id": "O1", "line_id": "2"}
PLACED = {
    "type": "order.placed",
    **LINE,
    "seller_id": "S1",
    "region": "US",
    "category": "books",
    "quantity": 2,
    "item_price": 19.99,
    "currency": "USD",
    "ship_by": NOW + 2 * DAY_MS,
    "fulfilled_by": "platform",
    "sample": True,
}
SHIPPED = {"type": "order.shipped", **LINE}
EXTENDED = {"type": "order.deadline_extended", **LINE, "ship_by": NOW + DAY_MS}
CANCELLED = {"type": "order.cancelled", **LINE, "reason": "out_of_stock"}
REVERTED = {"type": "order.cancellation_reverted", **LINE}
FEE = {
    "type": "shipping_fee.charged",
    **COMMON,
    "fee": 4.5,
    "currency": "USD",
    "reference_fee": 4.25,
    "order_id": "O1",
    "seller_id": "S1",
    "region": "US",
}
IMPRESSION = {"type": "impressions.counted", **COMMON, "count": 3, "from": NOW - 1, "to": NOW}
ALL = (PLACED, SHIPPED, EXTENDED, CANCELLED, REVERTED, FEE, IMPRESSION)

Headers = Sequence[tuple[str, bytes | None]]
Outcome = InputEvent | str | Refused


def read(
    body: dict[str, Any] | bytes | None,
    topic: int | None = None,
    key: bytes | None = b"P1",
    timestamp: int = NOW,
    headers: Headers = (),
) -> Outcome:
    """Read by both ways, which must agree, and return what came out."""
    if topic is None:
        topic = TOPIC_OF_TYPE.get(body.get("type", ""), ORDERS) if isinstance(body, dict) else ORDERS
    value = json.dumps(body, ensure_ascii=False).encode() if isinstance(body, dict) else body
    outcome: Outcome
    try:
        outcome = decode(topic, key, value, timestamp, headers)
    except Refused as refused:
        outcome = refused
    (batched,) = decode_batch(topic, [key], [value], [timestamp], [headers])
    if isinstance(outcome, Refused):
        assert isinstance(batched, Refused)
        assert (batched.reason, batched.message) == (outcome.reason, outcome.message)
    else:
        assert batched == outcome
        assert repr(batched) == repr(outcome)
    return outcome


def refusal(*args: Any, **kwargs: Any) -> Reason:
    outcome = read(*args, **kwargs)
    assert isinstance(outcome, Refused), outcome
    return outcome.reason


def raw(body: dict[str, Any], name: str, token: str) -> bytes:
    """The body with the field written as the JSON `token`."""
    text = json.dumps({**body, name: "@"})
    return text.replace('"@"', token).encode()


def bare(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("type", "event_id")}

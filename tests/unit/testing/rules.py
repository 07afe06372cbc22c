"""SPEC section 3 as a checker, written apart from the codec."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from streams.testing.records import SimulatedRecord

DAY_MS = 86_400_000

_ID, _TEXT, _TIME, _AMOUNT, _COUNT = "id", "text", "time", "amount", "count"
_LINE = {"order_id": _ID, "line_id?": _ID}
_SHAPES: dict[str, tuple[int, dict[str, str]]] = {
    "order.placed": (
        0,
        {
            **_LINE,
            "seller_id": _ID,
            "region": _TEXT,
            "category?": _TEXT,
            "quantity": _COUNT,
            "item_price": _AMOUNT,
            "currency": _TEXT,
            "ship_by": _TIME,
            "fulfilled_by?": _TEXT,
            "sample?": "truth",
        },
    ),
    "order.shipped": (0, _LINE),
    "order.deadline_extended": (0, {**_LINE, "ship_by": _TIME}),
    "order.cancelled": (1, {**_LINE, "reason": _TEXT}),
    "order.cancellation_reverted": (1, _LINE),
    "shipping_fee.charged": (
        2,
        {
            "fee": _AMOUNT,
            "currency": _TEXT,
            "reference_fee": _AMOUNT,
            "order_id?": _ID,
            "seller_id": _ID,
            "region": _TEXT,
        },
    ),
    "impressions.counted": (3, {"count": _COUNT, "from": _TIME, "to": _TIME}),
}
_COMMON = {"event_id": _ID, "type": _ID, "product_id": _ID, "occurred_at": _TIME}


def ms(time: Any) -> int:
    """A time of an event, in ms."""
    if isinstance(time, str):
        moment = datetime.fromisoformat(time)
        assert moment.tzinfo is not None
        return round(moment.timestamp() * 1000)
    assert type(time) is int
    return time


def check(record: SimulatedRecord) -> dict[str, Any]:
    """The event of an accepted record; fails where SPEC section 3 would refuse it."""
    assert record.value is not None
    assert len(record.value) <= 65_536
    event: dict[str, Any] = json.loads(record.value)
    topic, shape = _SHAPES[event["type"]]
    assert record.topic == topic
    left = dict(event)
    for name, kind in {**_COMMON, **shape}.items():
        value = left.pop(name.removesuffix("?"), None)
        if value is None:
            assert name.endswith("?"), f"{name} is missing in {event}"
            continue
        _check_value(kind, value)
    assert not left, f"fields that SPEC does not name: {left}"
    assert event["product_id"].encode() == record.key
    occurred_at = ms(event["occurred_at"])
    assert occurred_at <= record.timestamp_ms + 300_000
    if "ship_by" in event:
        assert ms(event["ship_by"]) <= occurred_at + 90 * DAY_MS
    if event["type"] == "order.placed":
        assert event["quantity"] >= 1
        assert event.get("fulfilled_by", "seller") in ("seller", "platform")
    if event["type"] == "shipping_fee.charged":
        assert event["reference_fee"] > 0
    if event["type"] == "impressions.counted":
        assert ms(event["from"]) < ms(event["to"]) == occurred_at
    return event


def _check_value(kind: str, value: Any) -> None:
    if kind == _ID:
        assert isinstance(value, str)
        assert 1 <= len(value) <= 256
    elif kind == _TEXT:
        assert isinstance(value, str)
        assert len(value) <= 256
    elif kind == _TIME:
        assert ms(value) >= 0
    elif kind == _COUNT:
        assert type(value) is int
        assert 0 <= value <= 2**53
    elif kind == _AMOUNT:
        assert type(value) in (int, float)
        assert 0 <= value < float("inf")
    else:
        assert type(value) is bool

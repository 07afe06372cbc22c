"""Bad records, one kind for each refusal of SPEC section 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from streams.domain.events import CANCELLATIONS, TOPIC_OF_TYPE
from streams.testing.records import BadRecord, encode, rfc3339

_FUTURE_MS: Final = 5 * 60_000
_FARTHEST_SHIP_BY_MS: Final = 90 * 24 * 3_600_000
_LONGEST_TEXT: Final = 256
_LARGEST_BODY_BYTES: Final = 64 * 1024

Fields: TypeAlias = dict[str, Any]


def _edited(**changes: Any) -> Callable[[Fields], Fields]:
    """Replaces or adds fields."""
    return lambda fields: {**fields, **changes}


def _without(name: str) -> Callable[[Fields], Fields]:
    return lambda fields: {key: value for key, value in fields.items() if key != name}


def _timed(form: Callable[[int], Any]) -> Callable[[Fields], Fields]:
    """Writes occurred_at in another form."""
    return lambda fields: {**fields, "occurred_at": form(fields["occurred_at"])}


_TOO_LONG: Final = "x" * (_LONGEST_TEXT + 1)

_PLACED_EDITS: Final[dict[str, Callable[[Fields], Fields]]] = {
    "no_type": _without("type"),
    "missing_field": _without("order_id"),
    "null_in_required_field": _edited(order_id=None),
    "ill_typed_field": _edited(quantity="1"),
    "whole_float_for_integer": _edited(quantity=1.0),
    "quantity_below_one": _edited(quantity=0),
    "integer_beyond_2_53": _edited(quantity=2**53 + 1),
    "negative_price": _edited(item_price=-0.01),
    "from_the_future": lambda fields: {**fields, "occurred_at": fields["occurred_at"] + _FUTURE_MS + 1},
    "ship_by_too_far": lambda fields: {**fields, "ship_by": fields["occurred_at"] + _FARTHEST_SHIP_BY_MS + 1},
    "empty_id": _edited(order_id=""),
    "id_too_long": _edited(order_id=_TOO_LONG),
    "region_too_long": _edited(region=_TOO_LONG),
    "category_too_long": _edited(category=_TOO_LONG),
    "currency_too_long": _edited(currency=_TOO_LONG),
    "float_time": _timed(lambda time: time + 0.5),
    "naive_time": _timed(lambda time: rfc3339(time).removesuffix("Z")),
    "blank_in_time": _timed(lambda time: rfc3339(time).replace("T", " ")),
    "second_60": _timed(lambda time: rfc3339(time)[:17] + "60Z"),
    "before_1970": _edited(occurred_at="1969-12-31T23:59:59Z"),
    "body_too_large": _edited(note="x" * _LARGEST_BODY_BYTES),
}

_FEE_EDITS: Final[dict[str, Callable[[Fields], Fields]]] = {
    "negative_fee": _edited(fee=-1),
    "reference_fee_zero": _edited(reference_fee=0),
}

_IMPRESSIONS_EDITS: Final[dict[str, Callable[[Fields], Fields]]] = {
    "negative_count": _edited(count=-1),
    "empty_interval": lambda fields: {**fields, "from": fields["to"]},
    "interval_ends_elsewhere": lambda fields: {**fields, "to": fields["to"] + 1},
}

_BYTE_EDITS: Final[dict[str, Callable[[bytes], bytes | None]]] = {
    "null_value": lambda value: None,
    "not_json": lambda value: value[:-1],
    "not_an_object": lambda value: b"[" + value + b"]",
    "byte_order_mark": lambda value: b"\xef\xbb\xbf" + value,
    "not_utf8": lambda value: value.replace(b'"US"', b'"\xff\xfe"'),
    "lone_surrogate": lambda value: value[:-1] + b',"note":"\\ud800"}',
    "not_finite": lambda value: value.replace(b"19.99", b"1e400"),
}

_KEYS: Final[dict[str, Callable[[bytes], bytes | None]]] = {
    "key_missing": lambda key: None,
    "key_of_another_product": lambda key: key + b"x",
}

BAD_KINDS: Final = (*_PLACED_EDITS, *_FEE_EDITS, *_IMPRESSIONS_EDITS, *_BYTE_EDITS, *_KEYS, "wrong_topic")
"""All kinds of bad records, by name."""


def bad_record(kind: str, timestamp_ms: int, product_id: str, event_id: str) -> BadRecord:
    """A record of this kind (one of BAD_KINDS) about a product: good but for the one thing that its kind names.

    Its event_id, where it has one, ends with the kind. Raises KeyError for an unknown kind.
    """
    if kind not in BAD_KINDS:
        raise KeyError(kind)
    key = product_id.encode()
    common: Fields = {"event_id": f"{event_id}-{kind}", "type": "", "product_id": product_id}
    common["occurred_at"] = timestamp_ms
    if kind in _FEE_EDITS:
        fields = _FEE_EDITS[kind](_fee(common))
    elif kind in _IMPRESSIONS_EDITS:
        fields = _IMPRESSIONS_EDITS[kind](_impressions(common))
    else:
        fields = _PLACED_EDITS.get(kind, _edited())(_placed(common, order_id=f"O-{event_id}"))
    topic = CANCELLATIONS if kind == "wrong_topic" else TOPIC_OF_TYPE.get(fields.get("type", ""), 0)
    value = encode(fields)
    return BadRecord(
        timestamp_ms,
        topic,
        _KEYS[kind](key) if kind in _KEYS else key,
        _BYTE_EDITS[kind](value) if kind in _BYTE_EDITS else value,
    )


def _placed(common: Fields, order_id: str) -> Fields:
    rest = {"order_id": order_id, "seller_id": "S-bad", "region": "US", "quantity": 1, "item_price": 19.99}
    return {**common, "type": "order.placed", **rest, "currency": "USD", "ship_by": common["occurred_at"] + 86_400_000}


def _fee(common: Fields) -> Fields:
    rest = {"fee": 4.5, "currency": "USD", "reference_fee": 4.5, "seller_id": "S-bad", "region": "US"}
    return {**common, "type": "shipping_fee.charged", **rest}


def _impressions(common: Fields) -> Fields:
    to = common["occurred_at"]
    return {**common, "type": "impressions.counted", "count": 1, "from": to - 3_600_000, "to": to}

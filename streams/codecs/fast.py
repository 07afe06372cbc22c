"""The fast reading of input events: msgspec fills typed structs from JSON (SPEC section 3).

What is read here is read by `streams.codecs.fields` with the same result; whatever cannot be told to be so (null in
an optional field, an amount beyond 2^53, an ill-typed value under a duplicate key ...) raises one of `UNDECIDED`, and
the definitive reading decides. That msgspec's types are as strict as SPEC wants (no `1.0` for an integer, no string
for a number, lengths in characters) was tried out on it, and tests/property/test_inputs.py holds it to that.

Not for values that are not UTF-8 or hold escaped surrogates: msgspec does not promise to read the text of unknown
fields.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct, field

from streams.codecs.fields import SHIP_BY_MAX_MS
from streams.codecs.times import time_ms
from streams.domain import events
from streams.domain.events import Amount, Count, Id, InputEvent, Quantity, Text, TimeMs

Reader: TypeAlias = Callable[[bytes], InputEvent]
"""Reads a value; raises one of `UNDECIDED` where it cannot tell. It knows nothing of the record's key and timestamp."""

# msgspec's errors and ours are ValueErrors, an exponent that no Decimal holds gives an ArithmeticError, deep nesting
# a RecursionError.
UNDECIDED = (ValueError, ArithmeticError, RecursionError)

Time: TypeAlias = TimeMs | str
_FULFILLERS = ("seller", "platform")
_ZERO = Decimal(0)
_AMOUNT_MAX = Decimal(events.INTEGER_MAX)


def _undecided() -> ValueError:
    return ValueError("left to the definitive reading")


class _NoEvent(Struct, tag="", tag_field="type"):
    """Makes a topic's only type a union: for a lone struct msgspec does not ask that the type be there."""


# Times in milliseconds: straight into the events themselves.


def _plain_order(value: bytes) -> InputEvent:
    event = _decode_order(value)
    if isinstance(event, events.OrderShipped):
        return event
    if event.ship_by > event.occurred_at + SHIP_BY_MAX_MS:
        raise _undecided()
    if isinstance(event, events.OrderPlaced):
        price = event.item_price
        if not (type(price) is Decimal and _ZERO <= price <= _AMOUNT_MAX):
            event.item_price = _amount(price)
        if event.fulfilled_by not in _FULFILLERS:
            raise _undecided()
    return event


def _plain_cancellation(value: bytes) -> InputEvent:
    event = _decode_cancellation(value)
    if type(event) is events.OrderCancelled and event.reason not in events.REASONS:
        event.reason = "other"
    return event


def _plain_fee(value: bytes) -> InputEvent:
    event = _decode_fee(value)
    if isinstance(event, _NoEvent):
        raise _undecided()
    fee = event.fee
    if not (type(fee) is Decimal and _ZERO <= fee <= _AMOUNT_MAX):
        event.fee = _amount(fee)
    fee = event.reference_fee
    if not (type(fee) is Decimal and _ZERO < fee <= _AMOUNT_MAX):
        event.reference_fee = _amount(fee)
        if not event.reference_fee:
            raise _undecided()
    return event


def _amount(found: object) -> Decimal:
    """Of what the decoder left for a number: one from 0 to 2^53, so finite, and no integer token too large."""
    if type(found) is Decimal:
        if _ZERO <= found <= _AMOUNT_MAX:
            return found
    elif type(found) is int and 0 <= found <= events.INTEGER_MAX:
        return Decimal(found)
    raise _undecided()


_decode_order: Callable[[bytes], events.OrderPlaced | events.OrderShipped | events.DeadlineExtended]
_decode_order = msgspec.json.Decoder(
    events.OrderPlaced | events.OrderShipped | events.DeadlineExtended, float_hook=Decimal
).decode
_decode_cancellation: Callable[[bytes], events.OrderCancelled | events.CancellationReverted]
_decode_cancellation = msgspec.json.Decoder(events.OrderCancelled | events.CancellationReverted).decode
_decode_fee: Callable[[bytes], events.ShippingFeeCharged | _NoEvent]
_decode_fee = msgspec.json.Decoder(events.ShippingFeeCharged | _NoEvent, float_hook=Decimal).decode


# Times as text: structs as they are in JSON, made into events once the times are read.


class _Wire(Struct, kw_only=True, gc=False):
    event_id: Id
    product_id: Id
    occurred_at: Time

    def event(self) -> InputEvent:
        raise _undecided()


class _Line(_Wire, kw_only=True, gc=False):
    order_id: Id
    line_id: Id = "1"


class _Placed(_Line, kw_only=True, gc=False, tag="order.placed", tag_field="type"):
    seller_id: Id
    region: Text
    ship_by: Time
    quantity: Quantity
    item_price: Amount
    currency: Text
    category: Text | None = None
    fulfilled_by: Literal["seller", "platform"] = "seller"
    sample: bool = False

    def event(self) -> InputEvent:
        occurred_at, ship_by = _ms(self.occurred_at), _ms(self.ship_by)
        if ship_by > occurred_at + SHIP_BY_MAX_MS:
            raise _undecided()
        return events.OrderPlaced(
            event_id=self.event_id,
            product_id=self.product_id,
            occurred_at=occurred_at,
            order_id=self.order_id,
            line_id=self.line_id,
            seller_id=self.seller_id,
            region=self.region,
            ship_by=ship_by,
            quantity=self.quantity,
            item_price=_amount(self.item_price),
            currency=self.currency,
            category=self.category,
            fulfilled_by=self.fulfilled_by,
            sample=self.sample,
        )


class _Shipped(_Line, kw_only=True, gc=False, tag="order.shipped", tag_field="type"):
    def event(self) -> InputEvent:
        return events.OrderShipped(
            event_id=self.event_id,
            product_id=self.product_id,
            occurred_at=_ms(self.occurred_at),
            order_id=self.order_id,
            line_id=self.line_id,
        )


class _Extended(_Line, kw_only=True, gc=False, tag="order.deadline_extended", tag_field="type"):
    ship_by: Time

    def event(self) -> InputEvent:
        occurred_at, ship_by = _ms(self.occurred_at), _ms(self.ship_by)
        if ship_by > occurred_at + SHIP_BY_MAX_MS:
            raise _undecided()
        return events.DeadlineExtended(
            event_id=self.event_id,
            product_id=self.product_id,
            occurred_at=occurred_at,
            order_id=self.order_id,
            line_id=self.line_id,
            ship_by=ship_by,
        )


class _Cancelled(_Line, kw_only=True, gc=False, tag="order.cancelled", tag_field="type"):
    reason: str

    def event(self) -> InputEvent:
        return events.OrderCancelled(
            event_id=self.event_id,
            product_id=self.product_id,
            occurred_at=_ms(self.occurred_at),
            order_id=self.order_id,
            line_id=self.line_id,
            reason=self.reason if self.reason in events.REASONS else "other",
        )


class _Reverted(_Line, kw_only=True, gc=False, tag="order.cancellation_reverted", tag_field="type"):
    def event(self) -> InputEvent:
        return events.CancellationReverted(
            event_id=self.event_id,
            product_id=self.product_id,
            occurred_at=_ms(self.occurred_at),
            order_id=self.order_id,
            line_id=self.line_id,
        )


class _FeeCharged(_Wire, kw_only=True, gc=False, tag="shipping_fee.charged", tag_field="type"):
    fee: Amount
    currency: Text
    reference_fee: Amount
    seller_id: Id
    region: Text
    order_id: Id | None = None

    def event(self) -> InputEvent:
        reference_fee = _amount(self.reference_fee)
        if not reference_fee:
            raise _undecided()
        return events.ShippingFeeCharged(
            event_id=self.event_id,
            product_id=self.product_id,
            occurred_at=_ms(self.occurred_at),
            fee=_amount(self.fee),
            currency=self.currency,
            reference_fee=reference_fee,
            seller_id=self.seller_id,
            region=self.region,
            order_id=self.order_id,
        )


class _Impressions(_Wire, kw_only=True, gc=False, tag="impressions.counted", tag_field="type"):
    count: Count
    begin: Time = field(name="from")
    end: Time = field(name="to")

    def event(self) -> InputEvent:
        occurred_at = _ms(self.occurred_at)
        if not _ms(self.begin) < _ms(self.end) == occurred_at:
            raise _undecided()
        return events.ImpressionsCounted(
            event_id=self.event_id, product_id=self.product_id, occurred_at=occurred_at, count=self.count
        )


class _NoWire(_Wire, kw_only=True, gc=False, tag="", tag_field="type"):
    """As `_NoEvent`."""


def _ms(at: int | str) -> int:
    return time_ms(at) if isinstance(at, str) else at


def _wire_reader(decoder: msgspec.json.Decoder[_Wire]) -> Reader:
    decode = decoder.decode

    def read(value: bytes) -> InputEvent:
        return decode(value).event()

    return read


_wire_impressions = _wire_reader(msgspec.json.Decoder(_Impressions | _NoWire))

# By input topic, in the order of SPEC section 2; a type of another topic is not read. First the reader of times in
# milliseconds, then the one that takes text as well; impressions carry two more times, and are always read by that.
READERS: tuple[tuple[Reader, Reader], ...] = (
    (_plain_order, _wire_reader(msgspec.json.Decoder(_Placed | _Shipped | _Extended, float_hook=Decimal))),
    (_plain_cancellation, _wire_reader(msgspec.json.Decoder(_Cancelled | _Reverted))),
    (_plain_fee, _wire_reader(msgspec.json.Decoder(_FeeCharged | _NoWire, float_hook=Decimal))),
    (_wire_impressions, _wire_impressions),
)

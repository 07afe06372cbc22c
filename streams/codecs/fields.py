"""The definitive reading of an event's fields (SPEC section 3): every rule in words, one field at a time.

`streams.codecs.fast` reads the same fields faster where it can tell that the result is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

from streams.codecs.json_text import FractionToken, IntToken, JsonValue
from streams.codecs.refusals import Reason, Refused
from streams.codecs.times import DAY_MS, MINUTE_MS, time_ms
from streams.domain.events import (
    INTEGER_MAX,
    REASONS,
    TEXT_LENGTH_MAX,
    CancellationReverted,
    DeadlineExtended,
    ImpressionsCounted,
    InputEvent,
    OrderCancelled,
    OrderPlaced,
    OrderShipped,
    ShippingFeeCharged,
)

AHEAD_MAX_MS = 5 * MINUTE_MS
SHIP_BY_MAX_MS = 90 * DAY_MS

# Longer tokens are beyond 2^53 whatever their digits; Python would refuse to turn 4,300 of them into an int.
_INTEGER_DIGITS_MAX = len(str(INTEGER_MAX))
# What a number above 0 is read as when its exponent is below what a Decimal holds: still above 0, below all others.
_LEAST = Decimal("1E-999999999999999999")


class Fields:
    """The fields of one event object, read by name. All methods raise `Refused` with the field's name in the message.

    `values` is the object, `timestamp` that of its record in ms, which bounds `occurred_at`.
    """

    def __init__(self, values: Mapping[str, JsonValue], timestamp: int) -> None:
        self._values = values
        self._timestamp = timestamp

    def id(self, name: str) -> str:
        """A string of 1 to 256 characters."""
        found = self.text(name)
        if not found:
            raise Refused(Reason.BAD_FIELD, f"{name} is empty")
        return found

    def text(self, name: str) -> str:
        """A string of at most 256 characters."""
        found = self._string(name)
        if len(found) > TEXT_LENGTH_MAX:
            raise Refused(Reason.TOO_LONG, f"{name} is longer than {TEXT_LENGTH_MAX} characters")
        return found

    def has(self, name: str) -> bool:
        """Tell whether the field is there; null is absence."""
        return self._values.get(name) is not None

    def choice(self, name: str, *choices: str) -> str:
        """One of `choices`."""
        found = self._string(name)
        if found not in choices:
            raise Refused(Reason.BAD_FIELD, f"{name} is none of {', '.join(choices)}")
        return found

    def cancellation_reason(self) -> str:
        """One of `REASONS`; any other string counts as `other`."""
        found = self._string("reason")
        return found if found in REASONS else "other"

    def flag(self, name: str) -> bool:
        """A JSON true or false."""
        found = self._required(name)
        if not isinstance(found, bool):
            raise Refused(Reason.BAD_FIELD, f"{name} is not true or false")
        return found

    def integer(self, name: str, least: int) -> int:
        """An integer from `least` to 2^53, written without fraction and exponent."""
        found = self._required(name)
        if not isinstance(found, IntToken):
            raise Refused(Reason.BAD_FIELD, f"{name} is not an integer")
        number = _integer(name, found)
        if number < least:
            raise Refused(Reason.BAD_NUMBER, f"{name} is less than {least}")
        return number

    def amount(self, name: str, above_zero: bool = False) -> Decimal:
        """A number, exactly as written, at least 0 or above it, that is finite as an IEEE double."""
        found = self._required(name)
        if isinstance(found, IntToken):
            number = Decimal(_integer(name, found))
        elif isinstance(found, FractionToken):
            if not math.isfinite(float(found)):
                raise Refused(Reason.BAD_NUMBER, f"{name} is not finite")
            number = _decimal(found)
        else:
            raise Refused(Reason.BAD_FIELD, f"{name} is not a number")
        if number < 0 or (above_zero and number == 0):
            raise Refused(Reason.BAD_NUMBER, f"{name} is {'not above' if above_zero else 'below'} 0")
        return number

    def time(self, name: str) -> int:
        """Epoch milliseconds, of an integer or an RFC 3339 string with offset."""
        found = self._required(name)
        if isinstance(found, IntToken):
            at = _integer(name, found)
            if at < 0:
                raise Refused(Reason.BAD_TIME, f"{name} is before 1970")
            return at
        if isinstance(found, FractionToken) or not isinstance(found, str):
            raise Refused(Reason.BAD_TIME, f"{name} is neither integer milliseconds nor an RFC 3339 string")
        try:
            return time_ms(found)
        except ValueError as error:
            raise Refused(Reason.BAD_TIME, f"{name}: {error}") from None

    def occurred_at(self) -> int:
        """When it happened, at most 5 minutes after the record's timestamp."""
        at = self.time("occurred_at")
        if at > self._timestamp + AHEAD_MAX_MS:
            raise Refused(Reason.TOO_FAR_AHEAD, "occurred_at is more than 5 minutes after the record's timestamp")
        return at

    def ship_by(self, occurred_at: int) -> int:
        """The deadline, at most 90 days after `occurred_at`."""
        at = self.time("ship_by")
        if at > occurred_at + SHIP_BY_MAX_MS:
            raise Refused(Reason.SHIP_BY_TOO_FAR, "ship_by is more than 90 days after occurred_at")
        return at

    def line_id(self) -> str:
        """The line of the order, `1` where none is given."""
        return self.id("line_id") if self.has("line_id") else "1"

    def _string(self, name: str) -> str:
        found = self._required(name)
        if not isinstance(found, str) or isinstance(found, (IntToken, FractionToken)):
            raise Refused(Reason.BAD_FIELD, f"{name} is not a string")
        return found

    def _required(self, name: str) -> JsonValue:
        found = self._values.get(name)
        if found is None:
            raise Refused(Reason.MISSING_FIELD, f"{name} is missing")
        return found


def _integer(name: str, token: IntToken) -> int:
    if len(token.removeprefix("-")) > _INTEGER_DIGITS_MAX or abs(int(token)) > INTEGER_MAX:
        raise Refused(Reason.BAD_NUMBER, f"{name} is an integer beyond 2^53")
    return int(token)


def _decimal(token: FractionToken) -> Decimal:
    """The decimal of a token that is finite as a double."""
    try:
        return Decimal(token)
    except InvalidOperation:
        digits = token.lower().partition("e")[0]
        if not digits.strip("-0."):
            return Decimal(0)
        return _LEAST.copy_sign(Decimal(digits))


def _placed(fields: Fields) -> OrderPlaced:
    event_id, product_id, at = fields.id("event_id"), fields.id("product_id"), fields.occurred_at()
    return OrderPlaced(
        event_id=event_id,
        product_id=product_id,
        occurred_at=at,
        order_id=fields.id("order_id"),
        line_id=fields.line_id(),
        seller_id=fields.id("seller_id"),
        region=fields.text("region"),
        category=fields.text("category") if fields.has("category") else None,
        quantity=fields.integer("quantity", least=1),
        item_price=fields.amount("item_price"),
        currency=fields.text("currency"),
        ship_by=fields.ship_by(at),
        fulfilled_by=fields.choice("fulfilled_by", "seller", "platform") if fields.has("fulfilled_by") else "seller",
        sample=fields.flag("sample") if fields.has("sample") else False,
    )


def _shipped(fields: Fields) -> OrderShipped:
    return OrderShipped(
        event_id=fields.id("event_id"),
        product_id=fields.id("product_id"),
        occurred_at=fields.occurred_at(),
        order_id=fields.id("order_id"),
        line_id=fields.line_id(),
    )


def _extended(fields: Fields) -> DeadlineExtended:
    event_id, product_id, at = fields.id("event_id"), fields.id("product_id"), fields.occurred_at()
    return DeadlineExtended(
        event_id=event_id,
        product_id=product_id,
        occurred_at=at,
        order_id=fields.id("order_id"),
        line_id=fields.line_id(),
        ship_by=fields.ship_by(at),
    )


def _cancelled(fields: Fields) -> OrderCancelled:
    return OrderCancelled(
        event_id=fields.id("event_id"),
        product_id=fields.id("product_id"),
        occurred_at=fields.occurred_at(),
        order_id=fields.id("order_id"),
        line_id=fields.line_id(),
        reason=fields.cancellation_reason(),
    )


def _reverted(fields: Fields) -> CancellationReverted:
    return CancellationReverted(
        event_id=fields.id("event_id"),
        product_id=fields.id("product_id"),
        occurred_at=fields.occurred_at(),
        order_id=fields.id("order_id"),
        line_id=fields.line_id(),
    )


def _fee_charged(fields: Fields) -> ShippingFeeCharged:
    return ShippingFeeCharged(
        event_id=fields.id("event_id"),
        product_id=fields.id("product_id"),
        occurred_at=fields.occurred_at(),
        fee=fields.amount("fee"),
        currency=fields.text("currency"),
        reference_fee=fields.amount("reference_fee", above_zero=True),
        order_id=fields.id("order_id") if fields.has("order_id") else None,
        seller_id=fields.id("seller_id"),
        region=fields.text("region"),
    )


def _impressions(fields: Fields) -> ImpressionsCounted:
    event = ImpressionsCounted(
        event_id=fields.id("event_id"),
        product_id=fields.id("product_id"),
        occurred_at=fields.occurred_at(),
        count=fields.integer("count", least=0),
    )
    begin, end = fields.time("from"), fields.time("to")
    if end != event.occurred_at:
        raise Refused(Reason.BAD_FIELD, "to is not equal to occurred_at")
    if begin >= end:
        raise Refused(Reason.BAD_FIELD, "from is not before to")
    return event


READER_OF_TYPE: dict[str, Callable[[Fields], InputEvent]] = {
    "order.placed": _placed,
    "order.shipped": _shipped,
    "order.deadline_extended": _extended,
    "order.cancelled": _cancelled,
    "order.cancellation_reverted": _reverted,
    "shipping_fee.charged": _fee_charged,
    "impressions.counted": _impressions,
}

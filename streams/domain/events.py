"""What the input events say, once they are decoded and found good (SPEC section 3).

All times are UTC in integer milliseconds since the epoch. Ids are non-empty strings.
The codec (`streams.codecs.inputs`) is the only maker of these in production, and has msgspec fill them straight from
JSON: the bounds in the annotations are checked then, by a decoder, and never by a constructor.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from msgspec import Meta, Struct

TEXT_LENGTH_MAX = 256  # characters
INTEGER_MAX = 2**53  # beyond it a double skips integers, and JSON writers and readers disagree

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=TEXT_LENGTH_MAX)]
Text: TypeAlias = Annotated[str, Meta(max_length=TEXT_LENGTH_MAX)]
TimeMs: TypeAlias = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Quantity: TypeAlias = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]
if TYPE_CHECKING:
    Amount: TypeAlias = Decimal
else:
    # A Decimal, always. The decoder is told less, because of a JSON string it would make a Decimal too; with
    # `float_hook=Decimal` it leaves an int, a Decimal or a str here, and the codec sorts them.
    Amount = Any


class Event(Struct, kw_only=True):
    """What every event carries."""

    event_id: Id
    product_id: Id
    occurred_at: TimeMs


class LineEvent(Event, kw_only=True):
    """An event about one line `(order_id, line_id)` of one order."""

    order_id: Id
    line_id: Id = "1"


class OrderPlaced(LineEvent, kw_only=True, tag="order.placed", tag_field="type"):
    """A line was ordered; it is to be handed to the carrier by `ship_by` (ms)."""

    seller_id: Id
    region: Text
    ship_by: TimeMs
    quantity: Quantity
    item_price: Amount
    currency: Text
    category: Text | None = None
    fulfilled_by: str = "seller"
    sample: bool = False

    @property
    def counts(self) -> bool:
        """False for lines that count in no metric: fulfilled by the platform, or samples (SPEC 4)."""
        return self.fulfilled_by == "seller" and not self.sample


class OrderShipped(LineEvent, kw_only=True, tag="order.shipped", tag_field="type"):
    """The carrier's first scan of a line, at `occurred_at`."""


class DeadlineExtended(LineEvent, kw_only=True, tag="order.deadline_extended", tag_field="type"):
    """The line may be shipped as late as `ship_by` (ms)."""

    ship_by: TimeMs


class OrderCancelled(LineEvent, kw_only=True, tag="order.cancelled", tag_field="type"):
    """The line was cancelled; `reason` is one of `REASONS` (an unknown one was read as `other`)."""

    reason: str


class CancellationReverted(LineEvent, kw_only=True, tag="order.cancellation_reverted", tag_field="type"):
    """What was cancelled at or before `occurred_at` is taken back."""


class ShippingFeeCharged(Event, kw_only=True, tag="shipping_fee.charged", tag_field="type"):
    """A shipping fee beside what the carrier's tariff gives; both are the decimals as written."""

    fee: Amount
    currency: Text
    reference_fee: Amount
    seller_id: Id
    region: Text
    order_id: Id | None = None


class ImpressionsCounted(Event, kw_only=True, tag="impressions.counted", tag_field="type"):
    """The product was shown `count` times in the time up to `occurred_at`."""

    count: Count


InputEvent: TypeAlias = (
    OrderPlaced
    | OrderShipped
    | DeadlineExtended
    | OrderCancelled
    | CancellationReverted
    | ShippingFeeCharged
    | ImpressionsCounted
)

REASONS = frozenset(
    {
        "out_of_stock",
        "pricing_error",
        "unable_to_ship",
        "late_auto_cancel",
        "buyer_request",
        "payment_failed",
        "carrier_fault",
        "other",
    }
)
SELLER_FAULT_REASONS = frozenset({"out_of_stock", "pricing_error", "unable_to_ship", "late_auto_cancel"})
BUYER_REASONS = frozenset({"buyer_request", "payment_failed"})

# Index of an input topic: its place in SPEC section 2, which breaks ties of the merge (SPEC 5).
ORDERS, CANCELLATIONS, SHIPPING_FEES, IMPRESSIONS = range(4)

TOPIC_OF_TYPE: dict[str, int] = {
    "order.placed": ORDERS,
    "order.shipped": ORDERS,
    "order.deadline_extended": ORDERS,
    "order.cancelled": CANCELLATIONS,
    "order.cancellation_reverted": CANCELLATIONS,
    "shipping_fee.charged": SHIPPING_FEES,
    "impressions.counted": IMPRESSIONS,
}

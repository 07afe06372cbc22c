"""Numbers in input records (SPEC section 3). Each is read by `decode` and by `decode_batch`."""

from __future__ import annotations

from decimal import Decimal

import pytest

from streams.codecs.refusals import Reason, Refused
from streams.domain.events import SHIPPING_FEES, TOPIC_OF_TYPE, ImpressionsCounted, ShippingFeeCharged
from tests.unit.codecs.input_records import COMMON, FEE, IMPRESSION, LIMIT, PLACED, raw, read, refusal


@pytest.mark.parametrize("name", ["quantity", "count"])
def test_integers(name: str) -> None:
    body, least = (PLACED, 1) if name == "quantity" else (IMPRESSION, 0)
    topic = TOPIC_OF_TYPE[body["type"]]
    for token in (str(least), str(LIMIT)):
        assert not isinstance(read(raw(body, name, token), topic), Refused)
    for token in (str(least - 1), str(LIMIT + 1), str(-LIMIT - 1), "9" * 30, "9" * 5000):
        assert refusal(raw(body, name, token), topic) == Reason.BAD_NUMBER
    for token in ("1.0", "1e0", "2.5", "1E2", '"1"', "true"):
        assert refusal(raw(body, name, token), topic) == Reason.BAD_FIELD
    zero = read(raw(body, name, "-0"), topic)
    assert isinstance(zero, Refused) if least else zero == ImpressionsCounted(**COMMON, count=0)


AMOUNTS = [
    "0",
    "-0",
    "0.0",
    "-0.0",
    "0e9",
    "3",
    "4.50",
    "4.5E+1",
    "0.1000000000000000000000000000000000000000000001",
    str(LIMIT),
    "9007199254740993.0",
    "1e300",
    "1.7976931348623157e308",
    "1e-400",
    "0." + "1" * 50_000,
]


@pytest.mark.parametrize("token", AMOUNTS, ids=lambda token: token[:40])
@pytest.mark.parametrize("name", ["item_price", "fee", "reference_fee"])
def test_amounts_are_the_decimals_as_written(name: str, token: str) -> None:
    body = PLACED if name == "item_price" else FEE
    outcome = read(raw(body, name, token), TOPIC_OF_TYPE[body["type"]])
    if name == "reference_fee" and not Decimal(token):
        assert isinstance(outcome, Refused)
        assert outcome.reason == Reason.BAD_NUMBER
    else:
        assert getattr(outcome, name) == Decimal(token)


@pytest.mark.parametrize(
    "token", ["-1", "-0.01", "-1e-400", "1e400", "-1e400", "1e99999999999999999999", str(LIMIT + 1), "9" * 5000]
)
@pytest.mark.parametrize("name", ["item_price", "fee", "reference_fee"])
def test_amounts_that_are_negative_not_finite_or_integers_beyond_2_53(name: str, token: str) -> None:
    body = PLACED if name == "item_price" else FEE
    assert refusal(raw(body, name, token), TOPIC_OF_TYPE[body["type"]]) == Reason.BAD_NUMBER


def test_an_exponent_beyond_what_a_decimal_holds_is_above_zero_all_the_same() -> None:
    tiny = f"1.5e-{10**19}"
    outcome = read(raw(FEE, "reference_fee", tiny), SHIPPING_FEES)
    assert isinstance(outcome, ShippingFeeCharged)
    assert 0 < outcome.reference_fee < Decimal("1e-1000000")
    assert refusal(raw(FEE, "reference_fee", f"0.0e-{10**19}"), SHIPPING_FEES) == Reason.BAD_NUMBER
    assert refusal(raw(FEE, "fee", "-" + tiny), SHIPPING_FEES) == Reason.BAD_NUMBER
    assert isinstance(read(raw(FEE, "fee", f"0e{10**19}"), SHIPPING_FEES), ShippingFeeCharged)

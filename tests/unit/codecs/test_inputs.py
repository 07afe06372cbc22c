"""Input records, rule by rule (SPEC section 3). Each test reads by `decode` and by `decode_batch`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from streams.codecs.inputs import decode, decode_batch
from streams.codecs.refusals import Reason, Refused
from streams.domain.events import (
    CANCELLATIONS,
    IMPRESSIONS,
    ORDERS,
    SHIPPING_FEES,
    TOPIC_OF_TYPE,
    CancellationReverted,
    DeadlineExtended,
    ImpressionsCounted,
    InputEvent,
    OrderCancelled,
    OrderPlaced,
    OrderShipped,
    ShippingFeeCharged,
)

NOW = 1_772_477_970_123  # 2026-03-02T18:59:30.123Z
NOW_TEXT = "2026-03-02T18:59:30.123Z"
DAY_MS = 86_400_000
LIMIT = 2**53

COMMON: dict[str, Any] = {"event_id": "e1", "product_id": "P1", "occurred_at": NOW}
LINE = {**COMMON, "order_id": "O1", "line_id": "2"}
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


def test_every_type_is_read() -> None:
    line = {"event_id": "e1", "product_id": "P1", "occurred_at": NOW, "order_id": "O1", "line_id": "2"}
    assert [read(body) for body in ALL] == [
        OrderPlaced(
            **line,
            seller_id="S1",
            region="US",
            category="books",
            quantity=2,
            item_price=Decimal("19.99"),
            currency="USD",
            ship_by=NOW + 2 * DAY_MS,
            fulfilled_by="platform",
            sample=True,
        ),
        OrderShipped(**line),
        DeadlineExtended(**line, ship_by=NOW + DAY_MS),
        OrderCancelled(**line, reason="out_of_stock"),
        CancellationReverted(**line),
        ShippingFeeCharged(
            event_id="e1",
            product_id="P1",
            occurred_at=NOW,
            fee=Decimal("4.5"),
            currency="USD",
            reference_fee=Decimal("4.25"),
            order_id="O1",
            seller_id="S1",
            region="US",
        ),
        ImpressionsCounted(event_id="e1", product_id="P1", occurred_at=NOW, count=3),
    ]


@pytest.mark.parametrize("written", ["left out", "null"])
def test_optional_fields_take_their_defaults_when_left_out_or_null(written: str) -> None:
    def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
        rest = {name: value for name, value in body.items() if name not in names}
        return rest if written == "left out" else {**rest, **dict.fromkeys(names)}

    placed = read(without(PLACED, "line_id", "category", "fulfilled_by", "sample"))
    assert isinstance(placed, OrderPlaced)
    assert (placed.line_id, placed.category, placed.fulfilled_by, placed.sample) == ("1", None, "seller", False)
    fee = read(without(FEE, "order_id"))
    assert isinstance(fee, ShippingFeeCharged)
    assert fee.order_id is None


@pytest.mark.parametrize("body", ALL, ids=lambda body: body["type"])
def test_a_required_field_that_is_missing_or_null_is_refused_by_name(body: dict[str, Any]) -> None:
    optional = {"type", "line_id", "category", "fulfilled_by", "sample"} | ({"order_id"} if body is FEE else set())
    for name in body.keys() - optional:
        for changed in ({**body, name: None}, {key: value for key, value in body.items() if key != name}):
            outcome = read(changed)
            assert isinstance(outcome, Refused)
            assert outcome.reason == Reason.MISSING_FIELD
            assert outcome.message == f"{name} is missing"
            assert outcome.stage == "validate"


@pytest.mark.parametrize("body", ALL, ids=lambda body: body["type"])
def test_an_ill_typed_field_is_refused_by_name(body: dict[str, Any]) -> None:
    texts = {"event_id", "product_id", "order_id", "line_id", "seller_id", "region", "category", "currency"}
    numbers = {"quantity", "item_price", "fee", "reference_fee", "count"}
    for name in body.keys() - {"type"}:
        wrong: list[Any] = [[], {}, [1], {"a": 1}]
        if name in texts | {"reason", "fulfilled_by"}:
            wrong += [1, 1.5, True]
        elif name in numbers:
            wrong += ["1", True, False]
        elif name == "sample":
            wrong += [0, 1, "true"]
        else:
            wrong += [True, "now", 1.5]
        for value in wrong:
            outcome = read({**body, name: value})
            assert isinstance(outcome, Refused), (name, value)
            assert name in outcome.message
            assert outcome.reason in (Reason.BAD_FIELD, Reason.BAD_TIME)


def test_null_value() -> None:
    assert refusal(None) == Reason.NULL_VALUE


def test_a_body_of_64_kib_is_read_and_one_byte_more_is_refused() -> None:
    def padded(size: int) -> bytes:
        empty = json.dumps({**SHIPPED, "note": ""}).encode()
        return json.dumps({**SHIPPED, "note": "x" * (size - len(empty))}).encode()

    assert isinstance(read(padded(65_536)), OrderShipped)
    assert refusal(padded(65_537)) == Reason.TOO_LARGE


def test_a_byte_order_mark() -> None:
    assert refusal(b"\xef\xbb\xbf" + json.dumps(SHIPPED).encode()) == Reason.BYTE_ORDER_MARK


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xc0\xaf", b"\xf4\x90\x80\x80"])
@pytest.mark.parametrize("where", [b'"note": "%s"', b'"%s": 1', b'"region": "%s"'])
def test_not_utf8(bad: bytes, where: bytes) -> None:
    value = json.dumps(PLACED).encode()[:-1] + b", " + where % bad + b"}"
    assert refusal(value) == Reason.NOT_UTF8


@pytest.mark.parametrize(
    "note",
    [
        b'"note": "\\ud800"',
        b'"note": "\\uDBFF x"',
        b'"note": "\\udc00\\ud800"',
        b'"note": "\\\\\\udfff"',
        b'"note": "\\ud83d\\ud83d\\ude00"',
        b'"note": ["a", {"b": "\\uDEAD"}]',
        b'"\\ud800": 1',
        b'"note": "\\ud800", "note": 1',
        b'"note": "\xed\xa0\x80"',
        b'"note": "\xed\xa0\xbd\xed\xb8\x80"',
    ],
)
def test_a_lone_surrogate_anywhere(note: bytes) -> None:
    assert refusal(json.dumps(SHIPPED).encode()[:-1] + b", " + note + b"}") == Reason.LONE_SURROGATE


def test_escapes_that_are_no_lone_surrogates() -> None:
    value = json.dumps(SHIPPED)[:-1] + r', "note": "\ud83d\ude00 \\ud800 \u00e9 \"\\", "o\u0072der_id": "O\/\u0032"}'
    outcome = read(value.encode())
    assert isinstance(outcome, OrderShipped)
    assert outcome.order_id == "O/2"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"x",
        b"{",
        b'{"a": 1',
        b"{'a': 1}",
        b'{"a": 1,}',
        b"{} {}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 01}',
        b'{"a": 1.}',
        b'{"a": .5}',
        b'{"a": +1}',
        b'{"a": "\t"}',
        b'{"a": "\\x"}',
        b'{"a": "\\u12"}',
        b'{"a": tru}',
        b"{} /**/",
        b"\x00{}",
        b"\x0c{}",
        "\u00a0{}".encode(),
    ],
)
def test_not_json(value: bytes) -> None:
    outcome = read(value)
    assert isinstance(outcome, Refused)
    assert (outcome.stage, outcome.reason) == ("decode", Reason.NOT_JSON)


@pytest.mark.parametrize("value", [b"[]", b"1", b"1.5", b'"text"', b"null", b"true", b'[{"type": "order.shipped"}]'])
def test_not_an_object(value: bytes) -> None:
    assert refusal(value) == Reason.NOT_OBJECT


def test_white_space_around_is_json() -> None:
    assert isinstance(read(b" \t\r\n" + json.dumps(SHIPPED, indent=2).encode() + b"\n"), OrderShipped)


@pytest.mark.parametrize("topic", [ORDERS, CANCELLATIONS, SHIPPING_FEES, IMPRESSIONS])
def test_no_type(topic: int) -> None:
    for body in ALL:
        rest = {name: value for name, value in body.items() if name != "type"}
        assert refusal(rest, topic) == Reason.NO_TYPE
        assert refusal({**rest, "type": None}, topic) == Reason.NO_TYPE


@pytest.mark.parametrize("kind", [1, 1.5, True, [], {}])
def test_a_type_that_is_no_string(kind: Any) -> None:
    outcome = read({**SHIPPED, "type": kind}, ORDERS)
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.message) == (Reason.BAD_FIELD, "type is not a string")


@pytest.mark.parametrize("kind", ["order.returned", "", "Order.Placed", "order.placed "])
def test_an_unknown_type_is_skipped_whatever_its_key_topic_and_fields(kind: str) -> None:
    for topic in range(4):
        assert read({"type": kind}, topic, key=None) == kind
        assert read({**PLACED, "type": kind, "product_id": 5}, topic, key=b"\xff") == kind


@pytest.mark.parametrize("body", ALL, ids=lambda body: body["type"])
def test_a_type_on_the_wrong_topic_is_refused_before_its_fields_are_looked_at(body: dict[str, Any]) -> None:
    for topic in {ORDERS, CANCELLATIONS, SHIPPING_FEES, IMPRESSIONS} - {TOPIC_OF_TYPE[body["type"]]}:
        assert refusal(body, topic) == Reason.WRONG_TOPIC
        assert refusal({"type": body["type"]}, topic, key=None) == Reason.WRONG_TOPIC


@pytest.mark.parametrize("key", [None, b"", b"P2", b"p1", b"P1 ", b"\xff"])
def test_a_key_that_is_not_the_product(key: bytes | None) -> None:
    assert refusal(SHIPPED, key=key) == Reason.KEY_MISMATCH
    assert refusal({**SHIPPED, "order_id": ""}, key=key) == Reason.BAD_FIELD  # fields come first


def test_a_key_is_compared_as_utf8() -> None:
    body = {**SHIPPED, "product_id": "Pé😀"}
    assert isinstance(read(body, key="Pé😀".encode()), OrderShipped)
    assert refusal(body, key="Pé😀".encode("utf-16")) == Reason.KEY_MISMATCH


@pytest.mark.parametrize("character", ["x", "é", "😀"])
def test_texts_have_at_most_256_characters_and_ids_at_least_one(character: str) -> None:
    longest, too_long = character * 256, character * 257
    for name in ("event_id", "product_id", "order_id", "line_id", "seller_id", "region", "category", "currency"):
        key = longest.encode() if name == "product_id" else b"P1"
        assert isinstance(read({**PLACED, name: longest}, key=key), OrderPlaced)
        assert refusal({**PLACED, name: too_long}, key=too_long.encode()) == Reason.TOO_LONG
        if name in ("region", "category", "currency"):
            assert isinstance(read({**PLACED, name: ""}), OrderPlaced)
        else:
            assert refusal({**PLACED, name: ""}) == Reason.BAD_FIELD


def test_an_unknown_reason_counts_as_other() -> None:
    for reason in ("acts_of_god", "", "OUT_OF_STOCK", "x" * 1000):
        outcome = read({**CANCELLED, "reason": reason})
        assert isinstance(outcome, OrderCancelled)
        assert outcome.reason == "other"


def test_fulfilled_by_is_one_of_two() -> None:
    assert refusal({**PLACED, "fulfilled_by": "drone"}) == Reason.BAD_FIELD


def test_unknown_fields_are_ignored_whatever_they_hold() -> None:
    extra = '"n": null, "x": [1e999, -0, 123456789012345678901234567890], "y": {"type": 5, "event_id": []}, "z": true'
    assert isinstance(read((json.dumps(SHIPPED)[:-1] + f", {extra}}}").encode()), OrderShipped)
    assert isinstance(read((json.dumps(SHIPPED)[:-1] + f', "n": {"9" * 5000}}}').encode()), OrderShipped)


@pytest.mark.parametrize("depth", [100, 2000, 30_000])
@pytest.mark.parametrize("first", [True, False])
def test_unknown_fields_may_be_nested_to_any_depth(depth: int, first: bool) -> None:
    nest = '"deep": ' + '[{"a":' * (depth // 5) + '["", -1.5e3, null, "\\"]"]' + "}]" * (depth // 5)
    body = json.dumps(SHIPPED)[1:-1]
    text = "{" + ", ".join((nest, body) if first else (body, nest)) + "}"
    assert isinstance(read(text.encode()), OrderShipped)
    assert refusal(text[:-1].encode()) == Reason.NOT_JSON
    assert refusal(text.replace("null", "nil").encode()) == Reason.NOT_JSON
    assert refusal(text.replace('\\"', "\\ud800").encode()) == Reason.LONE_SURROGATE


def test_of_duplicate_keys_the_last_wins() -> None:
    def doubled(first: str, last: str) -> bytes:
        return (json.dumps(SHIPPED)[:-1] + f", {first}, {last}}}").encode()

    outcome = read(doubled('"order_id": "O8"', '"order_id": "O9"'))
    assert isinstance(outcome, OrderShipped)
    assert outcome.order_id == "O9"
    outcome = read(doubled('"order_id": 5', '"order_id": "O9"'))
    assert isinstance(outcome, OrderShipped)
    assert refusal(doubled('"order_id": "O9"', '"order_id": 5')) == Reason.BAD_FIELD
    assert isinstance(read(doubled('"type": 5', '"type": "order.shipped"')), OrderShipped)
    assert read(doubled('"type": "order.shipped"', '"type": "order.lost"')) == "order.lost"
    assert refusal(doubled('"type": "order.shipped"', '"type": null')) == Reason.NO_TYPE
    assert isinstance(read(doubled('"type": "order.lost"', '"type": "order.shipped"')), OrderShipped)


# Numbers


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


# Times


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (NOW, NOW),
        (NOW_TEXT, NOW),
        ("2026-03-02T18:59:30Z", NOW - 123),
        ("2026-03-02t18:59:30.1z", NOW - 23),
        ("2026-03-02T18:59:30.1239999999999Z", NOW),
        ("2026-03-02T18:59:30.123" + "9" * 3000 + "+00:00", NOW),
        ("2026-03-02T20:29:30.123+01:30", NOW),
        ("2026-03-02T18:59:30.123-00:00", NOW),
        ("2026-03-01T19:00:30.123-23:59", NOW),
        ("2026-03-03T18:58:30.123+23:59", NOW),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("2000-02-29T00:00:00Z", 951_782_400_000),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:30:00-00:30", 0),
        (0, 0),
    ],
    ids=lambda written: str(written)[:40],
)
def test_times(written: Any, expected: int) -> None:
    outcome = read({**SHIPPED, "occurred_at": written})
    assert isinstance(outcome, OrderShipped)
    assert outcome.occurred_at == expected


def test_the_farthest_times() -> None:
    outcome = read({**SHIPPED, "occurred_at": LIMIT}, timestamp=LIMIT)
    assert isinstance(outcome, OrderShipped)
    outcome = read({**SHIPPED, "occurred_at": "9999-12-31T23:59:59.999-23:59"}, timestamp=LIMIT)
    assert isinstance(outcome, OrderShipped)
    assert outcome.occurred_at == 253_402_387_139_999
    assert refusal({**SHIPPED, "occurred_at": LIMIT + 1}, timestamp=LIMIT) == Reason.BAD_NUMBER


@pytest.mark.parametrize(
    "written",
    [
        -1,
        1.5e12,
        1772477970123.0,
        True,
        [],
        "",
        "1772477970123",
        "2026-03-02T18:59:30.123",
        "2026-03-02 18:59:30.123Z",
        "2026-03-02_18:59:30.123Z",
        "2026-03-02T18:59:60Z",
        "2026-03-02T24:00:00Z",
        "2026-03-02T18:60:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999Z",
        "1970-01-01T00:00:00+00:01",
        "2026-03-02T18:59:30.Z",
        "2026-03-02T18:59:30,123Z",
        "2026-03-02T18:59:30+24:00",
        "2026-03-02T18:59:30+01:60",
        "2026-03-02T18:59:30+0100",
        "2026-03-02T18:59:30+01",
        "2026-03-02T18:59Z",
        "2026-03-02",
        "26-03-02T18:59:30Z",
        "12026-03-02T18:59:30Z",
        "2026-3-2T18:59:30Z",
        " 2026-03-02T18:59:30Z",
        "2026-03-02T18:59:30Z ",
        "2026-03-02T18:59:30Z\n",
        "2026-03-02T18:59:30.12Z3Z",
        "2026-03-02T18:59:3\u0660Z",
        "2026-03-02T18:59:30.\u0661Z",
        "202\uff16-03-02T18:59:30Z",
        "2026-W10-1T18:59:30Z",
    ],
)
def test_bad_times_are_refused_in_every_time_field(written: Any) -> None:
    for body in ALL:
        for name in {"occurred_at", "ship_by", "from", "to"} & body.keys():
            outcome = read({**body, name: written})
            assert isinstance(outcome, Refused)
            assert outcome.reason == Reason.BAD_TIME
            assert name in outcome.message


def test_occurred_at_may_be_5_minutes_ahead_of_the_record() -> None:
    for body in ALL:
        assert not isinstance(read(body, timestamp=NOW - 300_000), Refused)
        assert refusal(body, timestamp=NOW - 300_001) == Reason.TOO_FAR_AHEAD
    assert refusal({**SHIPPED, "occurred_at": NOW_TEXT}, timestamp=NOW - 300_001) == Reason.TOO_FAR_AHEAD


def test_ship_by_may_be_90_days_after_occurred_at() -> None:
    for body in (PLACED, EXTENDED):
        assert not isinstance(read({**body, "ship_by": NOW + 90 * DAY_MS}), Refused)
        assert not isinstance(read({**body, "ship_by": 0}), Refused)
        for at in (NOW, NOW_TEXT):
            assert refusal({**body, "occurred_at": at, "ship_by": NOW + 90 * DAY_MS + 1}) == Reason.SHIP_BY_TOO_FAR


def test_impressions_end_when_they_occurred_and_begin_before() -> None:
    assert isinstance(read({**IMPRESSION, "from": "1970-01-01T00:00:00Z", "to": NOW_TEXT}), ImpressionsCounted)
    assert refusal({**IMPRESSION, "from": NOW}) == Reason.BAD_FIELD
    assert refusal({**IMPRESSION, "from": NOW + 1}) == Reason.BAD_FIELD
    assert refusal({**IMPRESSION, "to": NOW - 1}) == Reason.BAD_FIELD
    assert refusal({**IMPRESSION, "to": NOW + 1}) == Reason.BAD_FIELD


# CloudEvents


def bare(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("type", "event_id")}


@pytest.mark.parametrize("body", ALL, ids=lambda body: body["type"])
def test_binary_mode_fills_in_what_the_body_lacks(body: dict[str, Any]) -> None:
    topic = TOPIC_OF_TYPE[body["type"]]
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", body["type"].encode()),
        ("ce_id", "é1".encode()),
        ("content-type", b"application/json"),
    ]
    filled = read({**body, "event_id": "é1"})
    assert read(bare(body), topic, headers=headers) == filled
    assert read({**bare(body), "type": None, "event_id": None}, topic, headers=headers) == filled
    assert read(body, headers=headers) == read(body)  # what the body has is its own
    assert refusal(bare(body), topic, headers=[("ce_id", b"e1")]) == Reason.NO_TYPE
    assert refusal(bare(body), topic, headers=headers[:2]) == Reason.MISSING_FIELD


def test_binary_mode_headers_are_held_to_the_rules_of_the_fields() -> None:
    def headers(kind: bytes | None, event_id: bytes | None) -> Headers:
        return [("ce_type", kind), ("ce_id", event_id)]

    assert read(bare(SHIPPED), headers=headers(b"order.lost", b"")) == "order.lost"
    assert refusal(bare(SHIPPED), headers=headers(None, b"e1")) == Reason.NO_TYPE
    assert refusal(bare(SHIPPED), headers=headers(b"\xff", b"e1")) == Reason.NO_TYPE
    assert refusal(bare(SHIPPED), headers=headers(b"order.cancelled", b"e1")) == Reason.WRONG_TOPIC
    assert refusal(bare(SHIPPED), headers=headers(b"order.shipped", None)) == Reason.MISSING_FIELD
    assert refusal(bare(SHIPPED), headers=headers(b"order.shipped", b"")) == Reason.BAD_FIELD
    assert refusal(bare(SHIPPED), headers=headers(b"order.shipped", b"x" * 257)) == Reason.TOO_LONG
    assert refusal({**SHIPPED, "type": 5}, headers=headers(b"order.shipped", b"e1")) == Reason.BAD_FIELD
    twice = [("ce_type", b"order.lost"), ("ce_type", b"order.shipped"), ("ce_id", b"e1")]
    assert read(bare(SHIPPED), headers=twice) == read(SHIPPED)  # of headers of one name the last counts


@pytest.mark.parametrize(
    "header",
    [
        ("content-type", b"application/cloudevents+json"),
        ("content-type", b"application/cloudevents+json; charset=UTF-8"),
        ("Content-Type", b" Application/CloudEvents+JSON ;charset=utf-8"),
    ],
)
def test_structured_mode(header: tuple[str, bytes]) -> None:
    for body in ALL:
        topic, envelope = TOPIC_OF_TYPE[body["type"]], {"specversion": "1.0", "type": body["type"], "id": "e1"}
        assert read({**envelope, "data": bare(body)}, topic, headers=[header]) == read(body)
        assert read({**envelope, "id": "e2", "data": body}, topic, headers=[header]) == read(body)
    assert read({"type": "order.lost", "data": {}}, headers=[header]) == "order.lost"
    assert refusal(SHIPPED, headers=[header]) == Reason.NOT_OBJECT  # no data
    for data in (None, [], "text", 1, True):
        assert refusal({"type": "order.shipped", "id": "e1", "data": data}, headers=[header]) == Reason.NOT_OBJECT
    assert refusal({"id": "e1", "data": bare(SHIPPED)}, headers=[header]) == Reason.NO_TYPE
    assert refusal({"type": 1, "id": "e1", "data": bare(SHIPPED)}, headers=[header]) == Reason.BAD_FIELD
    assert refusal({"type": "order.shipped", "data": bare(SHIPPED)}, ORDERS, headers=[header]) == Reason.MISSING_FIELD
    assert refusal({"type": "order.shipped", "id": 1, "data": bare(SHIPPED)}, headers=[header]) == Reason.BAD_FIELD
    assert refusal(b"[]", headers=[header]) == Reason.NOT_OBJECT


@pytest.mark.parametrize("media_type", [b"application/json", b"application/cloudevents-batch+json", b"", None, b"\xff"])
def test_other_content_types_are_the_plain_form(media_type: bytes | None) -> None:
    assert read(SHIPPED, headers=[("content-type", media_type), ("traceparent", b"00-1-2-01")]) == read(SHIPPED)


# Batches


def test_a_batch_gives_every_record_its_own_result_in_order() -> None:
    bodies: list[bytes | None] = [
        json.dumps(SHIPPED).encode(),
        None,
        json.dumps({**SHIPPED, "occurred_at": NOW_TEXT, "event_id": "é"}, ensure_ascii=False).encode(),
        b"\xff",
        json.dumps({"type": "order.lost"}).encode(),
        json.dumps({"data": SHIPPED}).encode(),
        json.dumps(SHIPPED).encode(),
        b"x" * 70_000,
        json.dumps({**SHIPPED, "note": "\\"}).encode(),
    ]
    structured = [("content-type", b"application/cloudevents+json")]
    headers: list[Headers | None] = [None, (), [], (), None, structured, (), (), ()]
    count = len(bodies)
    results = decode_batch(ORDERS, [b"P1"] * count, bodies, [NOW] * count, headers)
    told = [result.reason if isinstance(result, Refused) else result for result in results]
    shipped = OrderShipped(**LINE)
    accented = OrderShipped(**{**LINE, "event_id": "é"})
    assert told == [
        shipped,
        Reason.NULL_VALUE,
        accented,
        Reason.NOT_UTF8,
        "order.lost",
        shipped,
        shipped,
        Reason.TOO_LARGE,
        shipped,
    ]
    for result in results:
        if isinstance(result, Refused):  # they would keep the whole batch in memory
            assert result.__traceback__ is None
            assert result.__context__ is None


def test_an_empty_batch() -> None:
    assert decode_batch(ORDERS, [], [], [], None) == []

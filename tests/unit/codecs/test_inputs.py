"""Types, fields, keys and batches of input records (SPEC section 3). Each is read by `decode` and by `decode_batch`."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from streams.codecs.fast import READERS
from streams.codecs.inputs import _is_fast, decode_batch
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
    OrderCancelled,
    OrderPlaced,
    OrderShipped,
    ShippingFeeCharged,
)
from streams.testing.bad import BAD_KINDS, bad_record
from tests.unit.codecs.input_records import (
    ALL,
    CANCELLED,
    DAY_MS,
    FEE,
    LINE,
    NOW,
    NOW_TEXT,
    PLACED,
    SHIPPED,
    Headers,
    read,
    refusal,
)


def test_every_type_is_read() -> None:
    line = LINE
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


@pytest.mark.parametrize("body", ALL, ids=lambda body: body["type"])
def test_the_fast_reading_reads_plain_events_by_itself(body: dict[str, Any]) -> None:
    """Else a batch would still come out right, and slowly."""
    plain, with_text = READERS[TOPIC_OF_TYPE[body["type"]]]
    value = json.dumps({**body, "note": ["é\\n", None]}, ensure_ascii=False).encode()
    assert _is_fast(value)
    assert plain(value) == with_text(value) == read(body)
    assert with_text(json.dumps({**body, "occurred_at": NOW_TEXT}).encode()) == read(body)


@pytest.mark.parametrize("kind", BAD_KINDS)
def test_the_simulator_s_bad_records_are_refused(kind: str) -> None:
    bad = bad_record(kind, NOW, "P1", "e1")
    assert isinstance(read(bad.value, bad.topic, bad.key, bad.timestamp_ms), Refused)


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

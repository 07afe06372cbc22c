"""From bytes to JSON, and what is refused then (SPEC section 3). Each is read by `decode` and by `decode_batch`."""

from __future__ import annotations

import json

import pytest

from streams.codecs.refusals import Reason, Refused
from streams.domain.events import OrderShipped
from tests.unit.codecs.input_records import PLACED, SHIPPED, read, refusal


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

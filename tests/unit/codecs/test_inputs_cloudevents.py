"""CloudEvents around input records (SPEC section 3). Each is read by `decode` and by `decode_batch`."""

from __future__ import annotations

from typing import Any

import pytest

from streams.codecs.refusals import Reason
from streams.domain.events import ORDERS, TOPIC_OF_TYPE
from tests.unit.codecs.input_records import ALL, SHIPPED, Headers, bare, read, refusal


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
    no_objects: list[Any] = [None, [], "text", 1, True]
    for data in no_objects:
        assert refusal({"type": "order.shipped", "id": "e1", "data": data}, headers=[header]) == Reason.NOT_OBJECT
    assert refusal({"id": "e1", "data": bare(SHIPPED)}, headers=[header]) == Reason.NO_TYPE
    assert refusal({"type": 1, "id": "e1", "data": bare(SHIPPED)}, headers=[header]) == Reason.BAD_FIELD
    assert refusal({"type": "order.shipped", "data": bare(SHIPPED)}, ORDERS, headers=[header]) == Reason.MISSING_FIELD
    assert refusal({"type": "order.shipped", "id": 1, "data": bare(SHIPPED)}, headers=[header]) == Reason.BAD_FIELD
    assert refusal(b"[]", headers=[header]) == Reason.NOT_OBJECT


@pytest.mark.parametrize("media_type", [b"application/json", b"application/cloudevents-batch+json", b"", None, b"\xff"])
def test_other_content_types_are_the_plain_form(media_type: bytes | None) -> None:
    assert read(SHIPPED, headers=[("content-type", media_type), ("traceparent", b"00-1-2-01")]) == read(SHIPPED)

"""Signed requests: against the standards' own examples, and made and checked again for any content."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.clients.webhooks import (
    BadSignature,
    Secret,
    ce_attributes,
    ce_headers,
    decode_header,
    encode_header,
    sign,
    signed_request,
    verify,
)
from streams.codecs.outputs import transition_headers

NOW_S = 1_767_571_200
SECRET = Secret(b"0123456789abcdef01234567")
OTHER = Secret(b"another secret, 24 bytes")
BODY = b'{"event_id":"P1:1"}'
TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60)


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    # https://github.com/standard-webhooks/standard-webhooks, the libraries' common test vector
    secret = Secret.parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_header_values_are_encoded_as_the_binding_says() -> None:
    assert encode_header("Euro € 😀") == "Euro%20%E2%82%AC%20%F0%9F%98%80"  # the binding's own example
    assert encode_header('a "b" 100%') == "a%20%22b%22%20100%25"
    assert encode_header("P1:17/~!") == "P1:17/~!"
    assert decode_header('"a \\"b\\""') == 'a "b"'


@given(TEXT)
def test_header_values_come_back(text: str) -> None:
    encoded = encode_header(text)
    assert set(encoded) <= set(string.printable) - set(string.whitespace) - {'"'}
    assert decode_header(encoded) == text


@given(TEXT, st.integers(1, 10**6), st.binary(max_size=200), st.lists(st.sampled_from([SECRET, OTHER]), min_size=1))
def test_what_was_signed_is_verified(product_id: str, sequence: int, body: bytes, secrets: list[Secret]) -> None:
    event_id = f"{product_id}:{sequence}"
    record = transition_headers(product_id, sequence, NOW_S * 1000, "/flagged-products")
    request = signed_request(event_id, ce_headers(record), body, secrets, NOW_S)
    assert request.body == body
    for receiver in {one.key: one for one in secrets}.values():
        verified = verify(request.headers, request.body, receiver, NOW_S + 299)
        assert (verified.event_id, verified.timestamp_s) == (event_id, NOW_S)
    assert ce_attributes(request.headers) == {
        "specversion": "1.0",
        "id": event_id,
        "type": "flagged-products.flag-status-changed.v1",
        "source": "/flagged-products",
        "subject": product_id,
        "time": "2026-01-05T00:00:00.000Z",
    }


@given(st.binary(max_size=100), st.data())
def test_nothing_that_was_changed_is_verified(body: bytes, data: st.DataObject) -> None:
    request = signed_request("P1:1", {}, body, [SECRET], NOW_S)
    changed = data.draw(st.binary(max_size=100).filter(lambda other: other != body))
    with pytest.raises(BadSignature, match="no signature fits"):
        verify(request.headers, changed, SECRET, NOW_S)
    for header, value in (("webhook-id", "P1:2"), ("webhook-timestamp", str(NOW_S + 1)), ("webhook-signature", "v1,x")):
        with pytest.raises(BadSignature, match="no signature fits"):
            verify({**request.headers, header: value}, body, SECRET, NOW_S)


def test_a_header_is_found_whatever_its_case_and_refused_where_it_is_missing_or_odd() -> None:
    request = signed_request("P1:1", {}, BODY, [SECRET], NOW_S)
    assert verify({name.title(): value for name, value in request.headers.items()}, BODY, SECRET, NOW_S)
    for header in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        with pytest.raises(BadSignature, match="missing"):
            verify({name: value for name, value in request.headers.items() if name != header}, BODY, SECRET, NOW_S)
    for header, odd in (("webhook-timestamp", "soon"), ("webhook-id", "\udcff"), ("webhook-signature", "v1,é")):
        with pytest.raises(BadSignature):
            verify({**request.headers, header: odd}, BODY, SECRET, NOW_S)


@pytest.mark.parametrize("age_s", [-301, 301])
def test_a_recording_is_refused(age_s: int) -> None:
    request = signed_request("P1:1", {}, BODY, [SECRET], NOW_S)
    with pytest.raises(BadSignature, match="too far"):
        verify(request.headers, BODY, SECRET, NOW_S + age_s)
    assert verify(request.headers, BODY, SECRET, NOW_S + age_s, tolerance_s=400)


def test_a_secret_can_be_changed_without_a_gap() -> None:
    both = signed_request("P1:1", {}, BODY, [OTHER, SECRET], NOW_S)
    assert verify(both.headers, BODY, SECRET, NOW_S)
    assert verify(both.headers, BODY, OTHER.text(), NOW_S)
    new_only = signed_request("P1:1", {}, BODY, [OTHER], NOW_S)
    assert verify(new_only.headers, BODY, [SECRET, OTHER], NOW_S)
    with pytest.raises(BadSignature):
        verify(new_only.headers, BODY, SECRET, NOW_S)
    with pytest.raises(ValueError, match="no secret"):
        verify(new_only.headers, BODY, [], NOW_S)


def test_signatures_of_other_versions_are_passed_over() -> None:
    request = signed_request("P1:1", {}, BODY, [SECRET], NOW_S)
    mixed = "v1a,abc " + request.headers["webhook-signature"]
    assert verify({**request.headers, "webhook-signature": mixed}, BODY, SECRET, NOW_S)


@pytest.mark.parametrize("text", ["", "abc", "whsec_", "whsec_!!!!", "whsec_" + base64.b64encode(b"short").decode()])
def test_a_secret_that_is_none_is_refused_without_being_told(text: str) -> None:
    with pytest.raises(ValueError, match="give whsec_") as refusal:
        Secret.parse(text)
    assert len(text) < 7 or text not in str(refusal.value)
    assert "0123456789" not in repr(SECRET)
    assert Secret.parse(SECRET.text()) == SECRET


def test_only_attributes_become_headers() -> None:
    headers = [("ce_id", b"P1:1"), ("ce_Bad", b"x"), ("ce_odd", b"\xff"), ("trace", b"x"), ("ce_none", None)]
    assert ce_headers(headers) == {"ce-id": "P1:1", "content-type": "application/json"}

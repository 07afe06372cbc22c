"""Dead letters (SPEC section 9.7): the record as it came, and why, in headers."""

from __future__ import annotations

import pytest

from streams.codecs.dead_letters import ERROR_HEADERS, dead_letter, error_fields
from streams.codecs.refusals import Reason, Refused

REFUSED = Refused(Reason.BAD_FIELD, "région is not a string")


def test_key_value_and_headers_are_kept_and_six_headers_appended() -> None:
    headers = [("traceparent", b"00-1-2-01"), ("empty", b""), ("null", None)]
    key, value, sent = dead_letter("marketplace.orders.v1", 3, 42, b"P1", b"\xff", headers, REFUSED)
    assert (key, value) == (b"P1", b"\xff")
    assert sent == [
        *headers,
        ("fp-error-topic", b"marketplace.orders.v1"),
        ("fp-error-partition", b"3"),
        ("fp-error-offset", b"42"),
        ("fp-error-stage", b"validate"),
        ("fp-error-class", b"bad_field"),
        ("fp-error-message", "région is not a string".encode()),
    ]
    assert len(headers) == 3


def test_a_header_name_that_is_not_utf8_is_escaped_so_that_it_can_be_written() -> None:
    headers = [("na\udcff\udcfeme", b"1"), ("naïve", b"2"), ("a\\xffb", b"3")]
    _, _, sent = dead_letter("t", 0, 0, None, b"v", headers, REFUSED)
    assert sent[:3] == [("na\\xff\\xfeme", b"1"), ("naïve", b"2"), ("a\\xffb", b"3")]
    assert all(name.encode() for name, _ in sent)


@pytest.mark.parametrize("headers", [None, (), []])
def test_a_record_of_nulls(headers: list[tuple[str, bytes | None]] | None) -> None:
    refused = Refused(Reason.NULL_VALUE, "the value is null")
    key, value, sent = dead_letter("t", 0, 0, None, None, headers, refused)
    assert (key, value) == (None, None)
    assert tuple(name for name, _ in sent) == ERROR_HEADERS
    assert dict(sent)["fp-error-stage"] == b"decode"


def test_a_dead_letter_sent_again_and_refused_again_keeps_both_stories_and_the_last_counts() -> None:
    _, _, once = dead_letter("a", 1, 10, b"k", b"v", [("x", b"y")], REFUSED)
    _, _, twice = dead_letter("a", 2, 20, b"k", b"v", once, Refused(Reason.NOT_JSON, "the value is not JSON"))
    assert twice[: len(once)] == once
    assert error_fields(twice) == {
        "fp-error-topic": "a",
        "fp-error-partition": "2",
        "fp-error-offset": "20",
        "fp-error-stage": "decode",
        "fp-error-class": "not_json",
        "fp-error-message": "the value is not JSON",
    }


def test_headers_that_are_not_ours_or_cannot_be_read_are_left_out() -> None:
    assert (
        error_fields([("x", b"y"), ("fp-error-topic", None), ("fp-error-offset", b"1"), ("fp-error-offset", b"\xff")])
        == {}
    )


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_stage_and_is_fit_for_a_label(reason: Reason) -> None:
    assert Refused(reason, "why").stage in ("decode", "validate")
    assert reason.value.replace("_", "").replace("8", "").isalpha()
    assert reason.value == reason.value.lower()

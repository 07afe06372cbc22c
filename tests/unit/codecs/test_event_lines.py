"""Events as lines of a file, and what record each line is."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codecs.event_lines import InputRecord, parse_line, read_files
from streams.errors import UserError
from streams.testing.records import TOPIC_NAMES, SimulatedRecord, to_line
from streams.testing.strategies import HistoryRecord, histories

TOPICS = {name: index for index, name in enumerate(TOPIC_NAMES)}
PLAIN = b'{"type":"order.shipped","event_id":"e","product_id":"P1","occurred_at":1772477970000,"order_id":"O"}'


def parse(line: bytes, previous_ms: int = 7) -> InputRecord:
    return parse_line(line, TOPICS, previous_ms)


def test_a_plain_event_is_its_own_record() -> None:
    assert parse(PLAIN) == InputRecord(0, 1_772_477_970_000, b"P1", PLAIN)


@pytest.mark.parametrize(
    ("type_", "topic"),
    [
        ("order.placed", 0),
        ("order.deadline_extended", 0),
        ("order.cancelled", 1),
        ("order.cancellation_reverted", 1),
        ("shipping_fee.charged", 2),
        ("impressions.counted", 3),
        ("order.wrapped", 0),
        (5, 0),
        (None, 0),
    ],
)
def test_the_topic_follows_from_the_type(type_: object, topic: int) -> None:
    assert parse(json.dumps({"type": type_}).encode()).topic == topic


@pytest.mark.parametrize(
    ("occurred_at", "timestamp_ms"),
    [
        (5, 5),
        ("2026-03-02T18:59:30.5+01:00", 1_772_474_370_500),
        ("2026-03-02T18:59:30", 7),  # no offset
        ("yesterday", 7),
        (-1, 7),
        (1.5, 7),
        (True, 7),
        (2**53 + 1, 7),
        (None, 7),
    ],
)
def test_the_timestamp_is_occurred_at_or_that_of_the_line_before(occurred_at: object, timestamp_ms: int) -> None:
    assert parse(json.dumps({"occurred_at": occurred_at}).encode()).timestamp_ms == timestamp_ms


def test_our_own_fields_say_otherwise_and_are_no_part_of_the_value() -> None:
    line = b'{"_ts":9, "a":1.50 , "_key":"K" ,"nested":{"_ts":1,"b":"}"},"_topic":"marketplace.impressions.v1","a":2e0}'
    assert parse(line) == InputRecord(3, 9, b"K", b'{"a":1.50,"nested":{"_ts":1,"b":"}"},"a":2e0}')
    assert parse(b'{"_ts":9}').value == b"{}"
    assert parse(b'{ "_ts" : 9 , "_ts" : 10 }') == InputRecord(0, 10, None, b"{}")


def test_a_null_key_is_no_key() -> None:
    assert parse(PLAIN[:-1] + b',"_key":null}') == InputRecord(0, 1_772_477_970_000, None, PLAIN)
    assert parse(b'{"product_id":5}').key is None
    assert parse(b"{}").key is None


def test_raw_is_the_value_as_it_is_and_tells_the_rest_if_it_can() -> None:
    raw = base64.b64encode(PLAIN).decode()
    assert parse(json.dumps({"_raw": raw}).encode()) == InputRecord(0, 1_772_477_970_000, b"P1", PLAIN)
    assert parse(b'{"_raw":"/w==","_key":"K"}') == InputRecord(0, 7, b"K", b"\xff")
    assert parse(b'{"_raw":null,"_ts":3}') == InputRecord(0, 3, None, None)
    assert parse(b'{"_raw":""}').value == b""


def test_bytes_that_are_no_utf8_and_lone_surrogates_stay_as_they_are() -> None:
    assert parse(b'{"product_id":"P\xff","_ts":3}') == InputRecord(0, 3, b"P\xff", b'{"product_id":"P\xff"}')
    assert parse(rb'{"product_id":"\ud800"}').key == b"\xed\xa0\x80"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"nonsense", "_raw"),
        (b"[1]", "not a JSON object"),
        (b"[" * 100_000, "not a JSON object"),
        (b'{"_topic":"nowhere"}', "none of the input topics marketplace.orders.v1"),
        (b'{"_topic":5}', "none of the input topics"),
        (b'{"_ts":"5"}', "integer"),
        (b'{"_ts":true}', "integer"),
        (b'{"_ts":-1}', "integer"),
        (b'{"_key":5}', "_key"),
        (b'{"_raw":5}', "base64"),
        (b'{"_raw":"*"}', "base64"),
    ],
)
def test_a_line_that_is_none_is_refused(line: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(line)


# -- files


def test_files_one_after_the_other_packed_or_not(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    plain.write_bytes(b"\n" + PLAIN + b"\r\n  \n")
    packed.write_bytes(gzip.compress(b'{"a":1}\n{"_ts":8,"b":1}\n{"c":1}'))
    assert [(record.timestamp_ms, record.value) for record in read_files([plain, packed], TOPICS)] == [
        (1_772_477_970_000, PLAIN),
        (1_772_477_970_000, b'{"a":1}'),
        (8, b'{"b":1}'),
        (8, b'{"c":1}'),
    ]


def test_what_is_wrong_is_told_with_file_and_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(PLAIN + b"\n\nnonsense\n")
    with pytest.raises(UserError, match=r"bad\.jsonl, line 3: not a JSON object"):
        list(read_files([bad], TOPICS))
    with pytest.raises(UserError, match=r"cannot read .*missing"):
        list(read_files([tmp_path / "missing.jsonl"], TOPICS))
    torn = tmp_path / "torn.gz"
    torn.write_bytes(gzip.compress(PLAIN * 100)[:-10])
    with pytest.raises(UserError, match=r"cannot read .*torn"):
        list(read_files([torn], TOPICS))


@given(histories(max_events=5))
def test_what_is_written_as_lines_is_read_back(history: list[HistoryRecord]) -> None:
    for record in history:
        simulated = record.record()
        assert parse(to_line(simulated).strip()) == InputRecord(
            simulated.topic, simulated.timestamp_ms, simulated.key, simulated.value
        )


@given(st.integers(0, 3), st.integers(0, 2**53), st.none() | st.text(max_size=5), st.none() | st.binary(max_size=30))
def test_whatever_a_record_holds(topic: int, timestamp_ms: int, key: str | None, value: bytes | None) -> None:
    encoded = None if key is None else key.encode()
    line = to_line(SimulatedRecord(timestamp_ms, topic, encoded, value))
    assert parse(line.strip()) == InputRecord(topic, timestamp_ms, encoded, value)

"""The simulated market: always the same, always valid, and with every story in it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from streams.codecs.event_lines import parse_line
from streams.codecs.inputs import Reason, Refused
from streams.domain.transitions import STATUS_NAMES, Transition
from streams.errors import UserError
from streams.testing.bad import BAD_KINDS, bad_record
from streams.testing.dice import Dice
from streams.testing.market import START_MS, Market
from streams.testing.records import TOPIC_NAMES, BadRecord, SimulatedRecord, rfc3339, time_ms, to_line
from streams.testing.stories import STORIES
from tests.unit.testing.playing import event_of, play
from tests.unit.testing.rules import DAY_MS, check, ms

SMALL_SHA256 = "5eaa28b0e681e6f1dbe309bc3e7d89bd1cc081bd5198e8fad34c79f2000bcdf3"
"""Of the lines of `small()`. It changes only when the market is changed on purpose; say so in the changelog."""


def small() -> Market:
    return Market(7, products=20, days=5, bad_rate=0.02)


def digest(market: Market) -> str:
    return hashlib.sha256(b"".join(to_line(record) for record in market)).hexdigest()


@pytest.fixture(scope="module")
def market() -> Market:
    return Market()


@pytest.fixture(scope="module")
def records(market: Market) -> list[SimulatedRecord]:
    return list(market)


@pytest.fixture(scope="module")
def events(records: list[SimulatedRecord]) -> list[dict[str, Any]]:
    """The fields of every record, each found valid."""
    return [check(record) for record in records]


# -- the same for ever


def test_a_small_market_is_byte_for_byte_what_it_was() -> None:
    assert digest(small()) == SMALL_SHA256


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_no_hash_order_shows(hash_seed: str) -> None:
    program = "from tests.unit.testing.test_market import digest, small; print(digest(small()))"
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        check=True,
        text=True,
    )
    assert found.stdout.strip() == SMALL_SHA256


def test_a_market_can_be_played_again() -> None:
    market = small()
    assert list(market) == list(market)


def test_another_seed_is_another_market() -> None:
    assert list(Market(1, products=5, days=3)) != list(Market(2, products=5, days=3))


def test_repeats_and_bad_records_leave_the_others_alone() -> None:
    plain = list(Market(3, products=20, days=6, duplicate_rate=0))
    repeated = list(Market(3, products=20, days=6, duplicate_rate=0.2))
    spoilt = list(Market(3, products=20, days=6, duplicate_rate=0, bad_rate=0.2))
    assert [record for record in spoilt if not isinstance(record, BadRecord)] == plain
    assert {record.value for record in repeated} == {record.value for record in plain}
    assert len(repeated) > 1.1 * len(plain)


# -- order, size, validity


def test_records_come_by_their_timestamps(market: Market, records: list[SimulatedRecord]) -> None:
    assert all(first.timestamp_ms <= second.timestamp_ms for first, second in pairwise(records))
    assert market.start_ms <= records[0].timestamp_ms
    assert records[-1].timestamp_ms < market.end_ms


def test_the_default_market_has_60_000_events_over_six_weeks(
    records: list[SimulatedRecord], events: list[dict[str, Any]]
) -> None:
    assert 60_000 <= len({event["event_id"] for event in events}) <= 66_000
    assert records[-1].timestamp_ms - records[0].timestamp_ms > 41 * DAY_MS
    assert {record.topic for record in records} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "market",
    [
        Market(events=1),
        Market(events=1000, products=2),
        Market(4, events=7000, products=14),
        Market(events=5000, products=240),
        Market(5, events=3000, products=30, days=4, bad_rate=0.1, duplicate_rate=0.1),
    ],
    ids=lambda market: str(market.expected_events),
)
def test_events_can_be_counted_out(market: Market) -> None:
    good = [record for record in market if not isinstance(record, BadRecord)]
    assert len({record.value for record in good}) == market.last_event


def test_event_ids_are_told_again_only_with_the_same_bytes(
    records: list[SimulatedRecord], events: list[dict[str, Any]]
) -> None:
    by_id: dict[str, bytes | None] = {}
    repeats = 0
    for record, event in zip(records, events, strict=True):
        repeats += event["event_id"] in by_id
        assert by_id.setdefault(event["event_id"], record.value) == record.value
    assert 0.005 < repeats / len(records) < 0.02


def test_some_arrive_late_and_some_before_their_time(
    records: list[SimulatedRecord], events: list[dict[str, Any]]
) -> None:
    delays = [
        record.timestamp_ms - ms(event["occurred_at"])
        for record, event in zip(records, events, strict=True)
        if event["type"] != "impressions.counted"
    ]
    assert any(delay < 0 for delay in delays)
    assert any(delay > DAY_MS for delay in delays)
    assert any(delay > 7 * DAY_MS for delay in delays)
    assert sum(delay == 0 for delay in delays) > 0.97 * len(delays)


def test_without_disorder_every_event_comes_at_its_time() -> None:
    for record in Market(products=20, days=8, late_rate=0, duplicate_rate=0):
        event = check(record)
        assert record.timestamp_ms == ms(event["occurred_at"]) or event["type"] == "impressions.counted"


def test_the_codec_accepts_every_event(records: list[SimulatedRecord]) -> None:
    assert not [record for record in records if isinstance(event_of(record), Refused)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"products": 0},
        {"products": 3, "sellers": 4},
        {"days": 0},
        {"seed": -1},
        {"events": 0},
        {"late_rate": 1.5},
        {"bad_rate": -0.1},
        {"start_ms": -1},
        {"impressions_every_h": 0},
    ],
    ids=str,
)
def test_what_makes_no_market_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="simulated market"):
        Market(**wrong)


# -- what is in it


def test_every_type_and_every_reason_is_told(events: list[dict[str, Any]]) -> None:
    assert {event["type"] for event in events} == {
        "order.placed",
        "order.shipped",
        "order.deadline_extended",
        "order.cancelled",
        "order.cancellation_reverted",
        "shipping_fee.charged",
        "impressions.counted",
    }
    reasons = Counter(event["reason"] for event in events if event["type"] == "order.cancelled")
    assert {
        *("out_of_stock", "pricing_error", "unable_to_ship", "late_auto_cancel"),
        *("buyer_request", "payment_failed", "carrier_fault", "other", "address_not_served"),
    } == set(reasons)


def test_every_kind_of_line_is_told(events: list[dict[str, Any]]) -> None:
    placed = [event for event in events if event["type"] == "order.placed"]
    assert {event["region"] for event in placed} == {"US", "DE", "UK", "FR", "JP"}
    assert any("category" in event and event["category"] is None for event in placed)
    assert any("category" not in event for event in placed)
    assert any(event.get("fulfilled_by") == "platform" for event in placed)
    assert any(event.get("sample") for event in placed)
    lines = Counter(event["order_id"] for event in placed)
    assert 0.05 < sum(count > 1 for count in lines.values()) / len(lines) < 0.15
    cancelled = {
        event["order_id"]: ms(event["occurred_at"])
        for event in events
        if event["type"] == "order.cancelled" and event["reason"] == "buyer_request"
    }
    waits = [
        cancelled[event["order_id"]] - ms(event["occurred_at"]) for event in placed if event["order_id"] in cancelled
    ]
    assert any(0 <= wait <= 3_600_000 for wait in waits)
    assert any(wait > 3_600_000 for wait in waits)


def test_some_fees_are_exactly_the_ratio(events: list[dict[str, Any]]) -> None:
    fees = [event for event in events if event["type"] == "shipping_fee.charged"]
    assert any(round(event["fee"] * 1000) == round(event["reference_fee"] * 1200) for event in fees)
    assert any("order_id" not in event for event in fees)


def test_few_products_sell_much_and_many_little(events: list[dict[str, Any]]) -> None:
    sold = Counter(event["product_id"] for event in events if event["type"] == "order.placed")
    most = [count for _, count in sold.most_common()]
    assert sum(most[:12]) > 0.3 * sum(most)
    assert sum(most[60:]) < 0.25 * sum(most)


def test_a_failing_product_is_shown_less(market: Market, events: list[dict[str, Any]]) -> None:
    ruined = next(name for name, story in market.stories.items() if story.startswith("collapses"))
    shown = [
        (ms(event["to"]), event["count"])
        for event in events
        if event["type"] == "impressions.counted" and event["product_id"] == ruined
    ]
    before = [count for to, count in shown if to <= START_MS + 2 * DAY_MS]
    after = [count for to, count in shown if to > START_MS + 4 * DAY_MS]
    assert max(after) < min(before)


def test_the_first_sellers_tell_one_story_each(market: Market) -> None:
    assert [market.stories[f"P{index:05d}"] for index in range(len(STORIES))] == [story.name for story in STORIES]


# -- what comes of it under the default policy


@pytest.fixture(scope="module")
def transitions(market: Market, records: list[SimulatedRecord]) -> list[Transition]:
    return play(records, market.end_ms)


def test_products_end_in_all_statuses(market: Market, transitions: list[Transition]) -> None:
    last = {transition.product_id: transition.current_status for transition in transitions}
    counts = Counter(last.get(product.product_id, "clear") for product in market.products)
    assert set(counts) == set(STATUS_NAMES)
    assert counts["clear"] > len(market.products) / 2


def test_every_kind_of_transition_happens(transitions: list[Transition]) -> None:
    assert {(transition.change, transition.cause) for transition in transitions} >= {
        *(("status_changed", cause) for cause in ("threshold_breach", "recovered", "window_expired")),
        *(("status_changed", cause) for cause in ("correction", "resolved_expired")),
        *(("reasons_changed", cause) for cause in ("threshold_breach", "recovered")),
    }
    assert {(transition.previous_status, transition.current_status) for transition in transitions} >= {
        *(("clear", "at_risk"), ("clear", "impacted"), ("at_risk", "impacted"), ("impacted", "at_risk")),
        *(("at_risk", "resolved"), ("resolved", "clear"), ("resolved", "at_risk")),
    }
    assert any(transition.relapse_count for transition in transitions)


def test_a_severe_case_does_not_wait_for_its_grace(transitions: list[Transition]) -> None:
    waits = []
    for product_id in {transition.product_id for transition in transitions}:
        first: dict[str, int] = {}
        for transition in transitions:
            if transition.product_id == product_id:
                first.setdefault(transition.current_status, transition.effective_at)
        if {"at_risk", "impacted"} <= set(first):
            waits.append(first["impacted"] - first["at_risk"])
    assert any(0 < wait < 2 * DAY_MS for wait in waits)
    assert any(wait >= 2 * DAY_MS for wait in waits)


# -- bad records


@pytest.mark.parametrize("kind", BAD_KINDS)
def test_every_kind_of_bad_record_is_refused(kind: str) -> None:
    assert isinstance(event_of(bad_record(kind, START_MS, "P1", "e1")), Refused)


def test_bad_records_cover_every_reason() -> None:
    refused = [event_of(bad_record(kind, START_MS, "P1", "e1")) for kind in BAD_KINDS]
    assert {one.reason for one in refused if isinstance(one, Refused)} == set(Reason) - {Reason.CODEC_ERROR}


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(KeyError):
        bad_record("no_such_kind", START_MS, "P1", "e1")


def test_a_market_can_have_all_kinds_of_bad_records() -> None:
    bad = [record for record in Market(products=20, days=6, bad_rate=0.1) if isinstance(record, BadRecord)]
    assert len(bad) >= len(BAD_KINDS)
    assert all(isinstance(event_of(record), Refused) for record in bad)


# -- lines of JSON


def read_line(line: bytes) -> SimulatedRecord:
    """What `replay` and `backtest` make of a line."""
    found = parse_line(line.rstrip(b"\n"), {name: topic for topic, name in enumerate(TOPIC_NAMES)}, 0)
    return SimulatedRecord(found.timestamp_ms, found.topic, found.key, found.value)


def test_lines_say_all_of_a_record() -> None:
    records = list(Market(products=20, days=8, bad_rate=0.1, late_rate=0.1))
    lines = [to_line(record) for record in records]
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    assert [read_line(line) for line in lines] == [SimulatedRecord(*record) for record in records]


def test_a_line_adds_only_what_does_not_follow() -> None:
    value = b'{"type":"order.shipped","product_id":"P1","occurred_at":"1970-01-01T00:00:01.000Z"}'
    assert to_line(SimulatedRecord(1000, 0, b"P1", value)) == value + b"\n"
    assert to_line(SimulatedRecord(1001, 0, b"P1", value)) == value[:-1] + b',"_ts":1001}\n'
    assert to_line(SimulatedRecord(1000, 1, b"P2", value)) == (
        value[:-1] + b',"_topic":"marketplace.cancellations.v1","_key":"P2"}\n'
    )


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[1]", b'{"type":1,"occurred_at":1}', b'{\n"type":"x"}'])
def test_what_is_no_event_keeps_its_bytes(value: bytes | None) -> None:
    record = SimulatedRecord(5, 2, None, value)
    line = to_line(record)
    assert b'"_raw":' in line
    assert read_line(line) == record


@pytest.mark.parametrize("time", [0, 1, 999, START_MS, START_MS + 123])
def test_times_are_read_as_they_were_written(time: int) -> None:
    assert time_ms(rfc3339(time)) == time_ms(time) == time


def test_a_naive_time_is_no_time() -> None:
    with pytest.raises(ValueError, match="offset"):
        time_ms("2026-01-05T00:00:00")


# -- dice


def test_dice_are_fair_enough() -> None:
    dice = Dice(1)
    waits = [dice.exponential() for _ in range(20_000)]
    assert sum(waits) / len(waits) == pytest.approx(1, abs=0.03)
    assert sum(wait > 1 for wait in waits) / len(waits) == pytest.approx(0.3679, abs=0.015)
    assert {dice.between(2, 4) for _ in range(100)} == {2, 3, 4}
    items = list(range(50))
    dice.shuffle(items)
    assert sorted(items) == list(range(50)) != items


def test_streams_of_dice_differ() -> None:
    assert len({Dice(seed, stream).roll() for seed in range(20) for stream in range(16)}) == 320

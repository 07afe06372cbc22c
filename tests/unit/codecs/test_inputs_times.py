"""Times in input records (SPEC section 3). Each is read by `decode` and by `decode_batch`."""

from __future__ import annotations

from typing import Any

import pytest

from streams.codecs.refusals import Reason, Refused
from streams.domain.events import ImpressionsCounted, OrderShipped
from tests.unit.codecs.input_records import (
    ALL,
    DAY_MS,
    EXTENDED,
    IMPRESSION,
    LIMIT,
    NOW,
    NOW_TEXT,
    PLACED,
    SHIPPED,
    read,
    refusal,
)


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

"""Times as RFC 3339 text (SPEC section 8)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.codecs.time_format import format_rfc3339
from streams.codecs.times import time_ms

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_OF_9999 = 253_402_300_799_999


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (1_772_477_970_000, "2026-03-02T18:59:30.000Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (LAST_OF_9999, "9999-12-31T23:59:59.999Z"),
        (LAST_OF_9999 + 1, "10000-01-01T00:00:00.000Z"),
        (2**53, "287396-10-12T08:59:00.992Z"),
    ],
)
def test_three_digits_below_the_second_and_as_many_of_the_year_as_it_has(at_ms: int, text: str) -> None:
    assert format_rfc3339(at_ms) == text


@given(st.integers(0, LAST_OF_9999))
def test_it_is_what_the_standard_library_says(at_ms: int) -> None:
    moment = EPOCH + timedelta(milliseconds=at_ms)
    assert format_rfc3339(at_ms) == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert time_ms(format_rfc3339(at_ms)) == at_ms

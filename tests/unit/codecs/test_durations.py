"""Durations as text."""

from __future__ import annotations

import pytest

from streams.codecs.durations import LONGEST_MS, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [("50ms", 50), ("1s", 1000), ("90m", 5_400_000), ("48h", 172_800_000), ("30d", 2_592_000_000), ("0d", 0)],
)
def test_a_whole_number_and_a_unit(text: str, duration_ms: int) -> None:
    assert parse_duration(text) == duration_ms


@pytest.mark.parametrize(
    "text",
    ["", "1", "h", "1.5h", "-1h", "+1h", " 1h", "1h ", "1 h", "1h30m", "1H", "1w", "\u0661h", "1_0h", "1" * 400 + "h"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


def test_more_than_a_century_is_refused() -> None:
    assert parse_duration("36525d") == LONGEST_MS
    with pytest.raises(ValueError, match="century"):
        parse_duration("36526d")


@pytest.mark.parametrize("text", ["0s", "1ms", "1001ms", "59s", "1m", "90m", "1h", "2d", "365d"])
def test_the_shortest_text_reads_back(text: str) -> None:
    assert format_duration(parse_duration(text)) == text
    with pytest.raises(ValueError, match="negative"):
        format_duration(-1)

from __future__ import annotations

import pytest

from streams.cli.transition_lines import change_words, transition_line, wants_colour
from streams.cli.views import CHANGE_WIDTH
from streams.domain.transitions import STATUS_NAMES
from tests.unit.cli.examples import transition


def test_a_line_says_when_who_what_and_why() -> None:
    line = transition_line(transition("at_risk", "impacted"), colour=False)
    assert line == (
        "2026-01-05 00:00:00  P1        S1      at_risk -> impacted   "
        "5 of 40 lines due are unshipped past their ship-by time  [threshold_breach]"
    )


def test_other_reasons_at_the_same_status() -> None:
    line = transition_line(transition("at_risk", "at_risk", cause="recovered"), colour=False)
    assert "at_risk (reasons)  " in line
    assert line.endswith("[recovered]")


def test_an_unknown_seller_and_hostile_ids() -> None:
    line = transition_line(transition("clear", "at_risk", seller_id=None, product_id="\x1b[2J\n"), colour=False)
    assert line.isprintable()
    assert "  -  " in line


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("previous", STATUS_NAMES)
@pytest.mark.parametrize("current", STATUS_NAMES)
def test_all_changes_are_equally_wide(previous: str, current: str, colour: bool) -> None:
    words = change_words(transition(previous, current), colour)
    for code in ("\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "\x1b[0m"):
        words = words.replace(code, "")
    assert len(words) == CHANGE_WIDTH


def test_colours_are_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not wants_colour()
    assert "\x1b" not in transition_line(transition("clear", "at_risk"), colour=False)
    assert "\x1b[33mat_risk\x1b[0m" in transition_line(transition("clear", "at_risk"), colour=True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wants_colour()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour()

"""What the workers publish, in words and colours for a terminal."""

from __future__ import annotations

from streams.codecs.output_views import TransitionView
from streams.domain.transitions import STATUS_NAMES

COLOURS = {"clear": "green", "at_risk": "yellow", "impacted": "red", "resolved": "cyan", "none": "green"}
"""The terminal's colour of each status, and of each level of a metric."""

_STATUS_WIDTH = max(map(len, STATUS_NAMES))
CHANGE_WIDTH = 2 * _STATUS_WIDTH + 4


def shown(text: str | None) -> str:
    """An id or the like as it may go to a terminal: control characters escaped, `-` for none."""
    if text is None:
        return "-"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shown_time(time: str) -> str:
    """An RFC 3339 time in UTC, as date and time to the second."""
    return shown(time[:19].replace("T", " "))


def percent(fraction: float) -> str:
    """A fraction of 1 that has four decimals, in percent."""
    return f"{fraction * 100:.2f}".rstrip("0").rstrip(".") + " %"


def why(transition: TransitionView) -> str:
    """The reason behind a transition, in words."""
    if transition.reasons:
        message, others = shown(transition.reasons[0].message), len(transition.reasons) - 1
        return f"{message} (and {others} more reason{'s' if others > 1 else ''})" if others else message
    if transition.previous_reasons:
        return "no longer flagged for " + ", ".join(shown(reason.metric) for reason in transition.previous_reasons)
    return "no reason has come up again"

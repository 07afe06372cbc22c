"""Transitions as lines of text, for terminals and pipes."""

from __future__ import annotations

import os
import sys

import click

from streams.cli.views import CHANGE_WIDTH, COLOURS, shown, shown_time, why
from streams.codecs.output_views import TransitionView

_PRODUCT_WIDTH = 8
_SELLER_WIDTH = 6


def wants_colour() -> bool:
    """Whether colours on stdout are of use: a terminal, and nobody said no (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def status_word(status: str, colour: bool) -> str:
    """A status, in its colour."""
    return click.style(shown(status), fg=COLOURS.get(status)) if colour else shown(status)


def change_words(transition: TransitionView, colour: bool) -> str:
    """From which status to which, padded to CHANGE_WIDTH."""
    current = status_word(transition.current_status, colour)
    if transition.change == "status_changed":
        text = f"{shown(transition.previous_status)} -> {shown(transition.current_status)}"
        words = f"{status_word(transition.previous_status, colour)} -> {current}"
    else:
        text = f"{shown(transition.current_status)} (reasons)"
        words = f"{current} (reasons)"
    return words + " " * (CHANGE_WIDTH - len(text))


def transition_line(transition: TransitionView, colour: bool) -> str:
    """When, which product of which seller, from which status to which, why, and the cause; without line end.

    A transition that changed the reasons only, at the same status, says `(reasons)`.
    """
    cause = f"[{shown(transition.cause)}]"
    return "  ".join(
        (
            shown_time(transition.effective_at),
            shown(transition.product_id).ljust(_PRODUCT_WIDTH),
            shown(transition.seller_id).ljust(_SELLER_WIDTH),
            change_words(transition, colour),
            why(transition),
            click.style(cause, dim=True) if colour else cause,
        )
    )

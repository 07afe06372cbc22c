"""What a demo has shown so far, and the screens that show it."""

from __future__ import annotations

import sys
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, Self

import click

from streams.cli.transition_lines import transition_line
from streams.codecs.output_views import TransitionView
from streams.domain.transitions import STATUS_NAMES
from streams.settings import DAY_MS
from streams.testing.market import Market

# So many transitions a screen may show at once.
LATEST = 40
_DAYS_PER_LINE = 7


@dataclass(slots=True)
class Film:
    """The story so far. `days` are those played, of the market's; `sent` and `applied` are records."""

    market: Market
    days: int = 0
    sent: int = 0
    applied: int = 0
    statuses: dict[str, str] = field(default_factory=dict)
    """The status of each product that ever had a transition."""
    transitions: list[TransitionView] = field(default_factory=list)
    latest: deque[TransitionView] = field(default_factory=lambda: deque(maxlen=LATEST))

    def add(self, transition: TransitionView) -> None:
        """One more transition."""
        self.statuses[transition.product_id] = transition.current_status
        self.transitions.append(transition)
        self.latest.append(transition)

    def products(self) -> dict[str, int]:
        """How many products there are in each status."""
        counts = Counter(self.statuses.values())
        counts["clear"] += len(self.market.products) - len(self.statuses)
        return {status: counts[status] for status in STATUS_NAMES}

    @property
    def date(self) -> str:
        """The simulated date up to which events were sent."""
        day = max(0, self.days - 1)
        moment = datetime.fromtimestamp((self.market.start_ms + day * DAY_MS) / 1000, UTC)
        return f"{moment:%a} {moment.day} {moment:%b %Y}"


class Screen(Protocol):
    """Shows a film while it runs, as a context manager."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End; the terminal is as it was."""

    def show_transition(self, transition: TransitionView) -> None:
        """One more transition, already in the film."""

    def show_day(self) -> None:
        """One more day was played."""


class PlainScreen:
    """One line per transition, and one per week: for pipes and files."""

    def __init__(self, film: Film) -> None:
        self._film = film

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show_transition(self, transition: TransitionView) -> None:
        """Print it."""
        click.echo(transition_line(transition, colour=False))

    def show_day(self) -> None:
        """Print a line at the end of each week."""
        film = self._film
        if film.days % _DAYS_PER_LINE == 0 or film.days == film.market.days:
            click.echo(
                f"-- {film.date}, day {film.days} of {film.market.days}: {film.sent:,} events sent, "
                f"{film.applied:,} applied, {len(film.transitions):,} transitions"
            )
            sys.stdout.flush()

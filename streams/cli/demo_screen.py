"""The demo's film on a terminal: progress, products per status, and the latest transitions in a table."""

from __future__ import annotations

from typing import Self

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from streams.cli.demo_film import Film
from streams.cli.views import COLOURS, shown, shown_time, why
from streams.codecs.output_views import TransitionView

_REFRESH_PER_S = 8
# Title, bar, events, products, and the blank lines between; the table's head and rule; the line of the cursor.
_LINES_AROUND = 10
# From this width on a transition fits into one line.
_WIDE = 132


class LiveScreen:
    """Draws itself anew several times a second, from the film as it is then."""

    def __init__(self, film: Film, console: Console) -> None:
        self._film = film
        self._live = Live(
            _Picture(film), console=console, refresh_per_second=_REFRESH_PER_S, transient=True, redirect_stderr=False
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show_transition(self, _transition: TransitionView) -> None:
        """It is in the film: the next picture has it."""

    def show_day(self) -> None:
        """As above."""


class _Picture:
    """The film as it is at the moment of drawing."""

    def __init__(self, film: Film) -> None:
        self._film = film

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        film = self._film
        wide = options.max_width >= _WIDE
        rows = max(1, (console.size.height - _LINES_AROUND) // (1 if wide else 2))
        # Partitions run ahead of each other by a little.
        latest = sorted(film.latest.copy(), key=lambda item: item.effective_at)[-rows:]
        yield Group(
            self._day(),
            self._events(),
            self._products(),
            Text(),
            _wide_table(latest) if wide else _narrow_table(latest),
        )

    def _day(self) -> RenderableType:
        film = self._film
        line = Table.grid(padding=(0, 2), expand=True)
        line.add_column(no_wrap=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True)
        bar = ProgressBar(total=film.market.days, completed=film.days, complete_style="blue")
        line.add_row(Text(film.date.rjust(15), style="bold"), bar, f"day {film.days} of {film.market.days}")
        return line

    def _events(self) -> Text:
        film = self._film
        return Text.assemble(
            "         Events  ", (f"{film.sent:,}", "bold"), " sent  ", (f"{film.applied:,}", "bold"), " applied"
        )

    def _products(self) -> Text:
        text = Text("       Products  ")
        for status, count in self._film.products().items():
            text.append(f"{count:,}", style="bold")
            text.append(f" {status}", style=COLOURS[status])
            text.append("  ")
        return text


def transition_change(transition: TransitionView) -> Text:
    """From which status to which, in their colours."""
    current = shown(transition.current_status)
    style = COLOURS.get(current, "")
    if transition.change != "status_changed":
        return Text.assemble((current, style), (" (reasons)", "dim"))
    previous = shown(transition.previous_status)
    return Text.assemble((previous, COLOURS.get(previous, "")), " -> ", (current, style))


def _wide_table(transitions: list[TransitionView]) -> Table:
    """One line each."""
    table = _table()
    table.add_column("transition", no_wrap=True, width=20)
    table.add_column("why", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("cause", no_wrap=True, width=16)
    for item in transitions:
        table.add_row(*_identity(item), transition_change(item), why(item), Text(shown(item.cause), style="dim"))
    return table


def _narrow_table(transitions: list[TransitionView]) -> Table:
    """Two lines each: what and its cause, then why."""
    table = _table()
    table.add_column("transition, and why", ratio=1, no_wrap=True, overflow="ellipsis")
    for item in transitions:
        what = transition_change(item)
        what.append("  " + shown(item.cause), style="dim")
        table.add_row(*_identity(item), Group(what, Text("  " + why(item), no_wrap=True, overflow="ellipsis")))
    return table


def _table() -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, expand=True)
    table.add_column("time", no_wrap=True, width=11)
    table.add_column("product", no_wrap=True, overflow="ellipsis", min_width=7, max_width=20)
    table.add_column("seller", no_wrap=True, overflow="ellipsis", min_width=6, max_width=16)
    return table


def _identity(transition: TransitionView) -> tuple[str, Text, Text]:
    # Month to minute: the year stands above.
    return (
        shown_time(transition.effective_at)[5:16],
        Text(shown(transition.product_id)),
        Text(shown(transition.seller_id)),
    )

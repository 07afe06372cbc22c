"""What the demo says at its end."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import click

from streams.cli.demo_film import Film
from streams.cli.demo_play import Outcome
from streams.cli.transition_lines import change_words, status_word
from streams.cli.views import CHANGE_WIDTH, shown_time, why
from streams.codecs.output_views import TransitionView
from streams.settings import Settings

_PATH = ["at_risk", "impacted", "at_risk", "resolved"]
_TRANSITIONS_SHOWN = 8
_LABEL_WIDTH = 13
_STORY_INDENT = 22 + CHANGE_WIDTH
_NARROWEST = 72


def print_summary(film: Film, outcome: Outcome, days_per_s: float | None, colour: bool) -> None:
    """Print what came of the film: products, transitions, reasons, speed, and one product's way."""
    # A pipe has no width: whoever reads it can search for whole lines.
    width = max(shutil.get_terminal_size().columns, _NARROWEST) if sys.stdout.isatty() else sys.maxsize
    for line in _lines(film, outcome, days_per_s, colour, width):
        click.echo(line, color=colour)


def _lines(film: Film, outcome: Outcome, days_per_s: float | None, colour: bool, width: int) -> Iterator[str]:
    yield ""
    yield _title(f"{film.market.days} days later", colour)
    products = (f"{count:,} {status_word(status, colour)}" for status, count in film.products().items())
    yield _labelled("Products", ", ".join(products))
    yield _labelled("Transitions", f"{len(film.transitions):,}; and what led when one was for the worse:")
    moves = Counter(_move(item) for item in film.transitions).most_common()
    for (move, times), (metric, led) in zip_longest(moves, top_reasons(film.transitions), fillvalue=("", 0)):
        left = f"{times:>5,}  {move}" if move else ""
        right = f"{led:>5,}  {metric}" if metric else ""
        yield _labelled("", f"{left:<32}{right}").rstrip()
    yield from wrapped(f"{'Events':<{_LABEL_WIDTH}}", _events(film, outcome), width)
    yield from wrapped(f"{'Speed':<{_LABEL_WIDTH}}", _speed(film, outcome, days_per_s), width)
    yield from _story(film, colour, width)


def wrapped(head: str, text: str, width: int, head_width: int | None = None) -> list[str]:
    """The text after the head, in lines of `width`, those after the first indented by the head's width."""
    indent = len(head) if head_width is None else head_width
    first, *others = textwrap.wrap(text, width - indent) or [""]
    return [head + first, *(" " * indent + other for other in others)]


def _title(text: str, colour: bool) -> str:
    return click.style(text, bold=True) if colour else text


def _labelled(label: str, text: str) -> str:
    return f"{label:<{_LABEL_WIDTH}}{text}"


def _move(transition: TransitionView) -> str:
    if transition.change != "status_changed":
        return f"{transition.current_status}, other reasons"
    return f"{transition.previous_status} -> {transition.current_status}"


def top_reasons(transitions: list[TransitionView]) -> list[tuple[str, int]]:
    """The metrics that were the primary reason when something rose, and how often; most often first."""
    led = Counter(item.reasons[0].metric for item in transitions if item.cause == "threshold_breach" and item.reasons)
    return led.most_common()


def _events(film: Film, outcome: Outcome) -> str:
    counts = outcome.counts.outcomes
    return (
        f"{film.sent:,} sent: {counts['applied']:,} applied, {counts['repeat']:,} told twice and counted once, "
        f"{counts['late']:,} too late to count, {counts['refused']:,} bad (in the dead letters)"
    )


def _speed(film: Film, outcome: Outcome, days_per_s: float | None) -> str:
    text = f"{film.sent / outcome.duration_s:,.0f} events/s, {outcome.duration_s:.1f} s for all"
    if days_per_s is not None:
        text += f" (played at {days_per_s:g} day{'' if days_per_s == 1 else 's'} a second, to be watched)"
    if outcome.counts.cpu_s:
        text += f"; the worker used {outcome.counts.cpu_s:.1f} s of one processor"
    return text


def choose_story(transitions: list[TransitionView]) -> list[TransitionView]:
    """The transitions of the product whose way is worth telling; [] if nothing happened.

    Best is a way through at_risk, impacted, at_risk and resolved, and no longer than that; else the one with the most
    turns.
    """
    ways: dict[str, list[TransitionView]] = defaultdict(list)
    for item in transitions:
        ways[item.product_id].append(item)
    return min(ways.values(), key=_rank, default=[])


def _rank(way: list[TransitionView]) -> tuple[bool, int, int, str]:
    turns = [item.current_status for item in way if item.change == "status_changed"]
    whole = turns[: len(_PATH)] == _PATH
    detours = len(turns) - len(_PATH) if whole else -len(turns)
    return not whole, detours, len(way), way[0].product_id


def _story(film: Film, colour: bool, width: int) -> Iterator[str]:
    way = choose_story(film.transitions)
    if not way:
        return
    product_id = way[0].product_id
    yield ""
    yield _title(f"One story: {product_id} of seller {way[0].seller_id}", colour)
    yield f'The simulated seller "{film.market.stories[product_id]}". What its product went through:'
    for item in way[:_TRANSITIONS_SHOWN]:
        head = f"  {shown_time(item.effective_at)[:16]}  {change_words(item, colour)}  "
        yield from wrapped(head, why(item), width, _STORY_INDENT)
    if len(way) > _TRANSITIONS_SHOWN:
        yield f"  and {len(way) - _TRANSITIONS_SHOWN} more"


def print_next_steps(film: Film, seed: int, bad_rate: float, kept: Settings | None, colour: bool) -> None:
    """Print commands that go on from here.

    `kept`: the demo's settings if its topics stay; None if they go with its broker.
    """
    program = program_name()
    click.echo("\n" + _title("Where to look next", colour), color=colour)
    if kept is None:
        click.echo("With a broker that stays, run in another terminal, the demo leaves its topics, for tail and show:")
        click.echo(f"  {program} broker")
        click.echo(f"  {program} demo --broker 127.0.0.1:9092")
    else:
        story = choose_story(film.transitions)
        click.echo(f"The topics {kept.app_id}* are kept on {kept.broker}, until you delete them:")
        click.echo(f"  export FLAGGED_BROKER={kept.broker} \\")
        click.echo(f"    FLAGGED_FLAG_STATUS_CHANGED_TOPIC={kept.flag_status_changed_topic} \\")
        click.echo(f"    FLAGGED_FLAG_STATUS_TOPIC={kept.flag_status_topic}")
        click.echo(f"  {program} tail --until-end --status impacted")
        click.echo(f"  {program} show {story[0].product_id if story else 'PRODUCT'} --history")
    market = f"--seed {seed} --products {len(film.market.products)} --bad {bad_rate:g}"
    click.echo("The same market in a file, and what a policy of yours would flag in it:")
    click.echo(f"  {program} simulate {market} --out market.jsonl.gz")
    click.echo(f"  {program} backtest market.jsonl.gz --policy my-policy.toml")
    click.echo(f"All commands: {program} --help")
    click.echo("What the words mean: README.md. All settings: docs/SETTINGS.md.")


def program_name() -> str:
    """How this program was called, so that the commands we name can be copied."""
    called = Path(sys.argv[0])
    if called.name != "flagged-products":
        return f"{sys.executable} -m streams"
    found = shutil.which("flagged-products")
    return "flagged-products" if found and Path(found).samefile(called) else str(called)

"""`flagged-products tail`: transitions, as they are published."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.cli.client_log import client_log
from streams.cli.options import broker_option, config_option
from streams.cli.transition_lines import transition_line, wants_colour
from streams.codecs.output_views import TransitionView
from streams.domain.transitions import STATUS_NAMES
from streams.settings import Settings
from streams.settings_load import load_settings

if TYPE_CHECKING:
    from streams.cli.transition_feed import Published


@click.command("tail")
@config_option
@broker_option
@click.option("--from-start", is_flag=True, help="Begin with what is in the topic already, in order of time.")
@click.option("--until-end", is_flag=True, help="Show what is in the topic already, then end.")
@click.option("--product", metavar="ID", help="Of this product only.")
@click.option("--seller", metavar="ID", help="Of this seller's products only.")
@click.option(
    "--status", type=click.Choice(STATUS_NAMES), multiple=True, help="Only those that lead there; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="The events as they were published, one a line.")
def command(
    config: Path | None,
    broker: str | None,
    from_start: bool,
    until_end: bool,
    product: str | None,
    seller: str | None,
    status: tuple[str, ...],
    as_json: bool,
) -> None:
    """Follow transitions as they are published, until Ctrl-C (exit code 130).

    One line each: when (UTC), product, seller, from which status to which, the first reason, and what caused it. Where
    only the reasons changed, at the same status, it says "(reasons)". What a worker published twice is shown once.
    """
    settings = load_settings(config, overrides={"broker": broker})
    chosen = Choice(seller, frozenset(status))
    with client_log(told=True):
        asyncio.run(_tail(settings, chosen, product, from_start or until_end, until_end, as_json))


class Choice:
    """Which transitions are asked for."""

    def __init__(self, seller: str | None, statuses: frozenset[str]) -> None:
        self._seller = seller
        self._statuses = statuses

    def __contains__(self, transition: TransitionView) -> bool:
        if self._seller is not None and transition.seller_id != self._seller:
            return False
        return not self._statuses or transition.current_status in self._statuses


async def _tail(
    settings: Settings, chosen: Choice, product: str | None, from_start: bool, until_end: bool, as_json: bool
) -> None:
    # Kafka's client takes half a second to import, which `--help` has no use for.
    from streams.cli.transition_feed import TransitionFeed

    colour = wants_colour()

    def show(published: Published) -> None:
        if published.transition in chosen:
            if as_json:
                sys.stdout.buffer.write(published.value + b"\n")
            else:
                click.echo(transition_line(published.transition, colour), color=colour)

    async with TransitionFeed(settings, from_start=from_start, product_id=product) as feed:
        if from_start:
            async for published in feed.backlog():
                show(published)
            sys.stdout.flush()
        if not until_end:
            click.echo(f"Following {settings.flag_status_changed_topic} at {settings.broker}; Ctrl-C ends.", err=True)
        while not until_end:
            for published in await feed.news():
                show(published)
            sys.stdout.flush()
        if feed.skipped:
            click.echo(f"{feed.skipped:,} records were left out: they are no transitions.", err=True)

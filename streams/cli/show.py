"""`flagged-products show`: one product's status, and the numbers behind it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from streams.cli.client_log import client_log
from streams.cli.options import broker_option, config_option
from streams.cli.transition_lines import transition_line, wants_colour
from streams.cli.views import shown
from streams.codecs.output_views import decode_snapshot
from streams.errors import UserError
from streams.settings import Settings
from streams.settings_load import load_settings


@click.command("show")
@click.argument("product")
@config_option
@broker_option
@click.option("--history", is_flag=True, help="Its transitions too, as far back as their topic is kept.")
@click.option("--json", "as_json", is_flag=True, help="The snapshot as it was published (null if there is none).")
def command(product: str, config: Path | None, broker: str | None, history: bool, as_json: bool) -> None:
    """Show the status of PRODUCT, why it has it, and its numbers.

    It is read from the snapshots that the workers publish of each flagged product. A product without one is clear, or
    was never seen: that is said, and is no error. With --json, --history adds one line per transition.
    """
    settings = load_settings(config, overrides={"broker": broker})
    with client_log(told=True):
        asyncio.run(_show(settings, product, history, as_json))


async def _show(settings: Settings, product_id: str, history: bool, as_json: bool) -> None:
    value = await _snapshot(settings, product_id)
    if as_json:
        sys.stdout.buffer.write((value or b"null") + b"\n")
    elif value is None:
        click.echo(f"{shown(product_id)} is clear, or was never seen.")
    else:
        # Kept apart for the time that rich takes to import.
        from streams.cli.snapshot_page import print_snapshot

        snapshot = decode_snapshot(value)
        if snapshot is None:
            raise UserError(
                f"What {settings.flag_status_topic} holds for {shown(product_id)} is no snapshot. Does something else "
                "write into this topic?"
            )
        print_snapshot(snapshot)
    if history:
        await _print_history(settings, product_id, as_json)


async def _snapshot(settings: Settings, product_id: str) -> bytes | None:
    """The latest value of the product's key, from the one partition where it can be."""
    from streams.cli.transition_feed import CONNECT_TIMEOUT_S, key_of, partition_count
    from streams.engine.log_reader import ReadStalled, read_partition
    from streams.engine.partitioning import partition_of

    topic, key = settings.flag_status_topic, key_of(product_id)
    partition = partition_of(key, await partition_count(settings, topic))
    value = None
    try:
        async for batch in read_partition(settings.kafka_kwargs(), topic, partition, stall_timeout_s=CONNECT_TIMEOUT_S):
            for record_key, record_value in zip(batch.keys, batch.values, strict=True):
                if record_key == key:
                    value = record_value
    except ReadStalled as error:
        raise UserError(f"The Kafka broker at {settings.broker} doesn't answer any more: {error}") from error
    return value


async def _print_history(settings: Settings, product_id: str, as_json: bool) -> None:
    from streams.cli.transition_feed import TransitionFeed

    colour = wants_colour()
    if not as_json:
        click.echo("\nHistory")
    count = 0
    async with TransitionFeed(settings, from_start=True, product_id=product_id) as feed:
        async for published in feed.backlog():
            count += 1
            if as_json:
                sys.stdout.buffer.write(published.value + b"\n")
            else:
                click.echo("  " + transition_line(published.transition, colour), color=colour)
    if not count and not as_json:
        click.echo(f"  No transition of it is in {settings.flag_status_changed_topic}.")

"""`flagged-products topics create|check`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from streams.cli.options import broker_option, config_option
from streams.settings_load import load_settings


@click.group("topics")
def command() -> None:
    """Create or check the topics."""


@command.command("create")
@config_option
@broker_option
@click.option("--partitions", type=click.IntRange(min=1), help="Partitions of each topic (or FLAGGED_PARTITIONS).")
@click.option("--for-replay", is_flag=True, help="Never delete input by age: replayed events are stamped long ago.")
def create(config: Path | None, broker: str | None, partitions: int | None, for_replay: bool) -> None:
    """Create the topics that are missing, then check all of them."""
    from streams.engine.admin import ensure_topics
    from streams.topics import topic_specs

    settings = load_settings(config, overrides={"broker": broker, "partitions": partitions})
    specs = topic_specs(settings, keep_input=for_replay)
    created = asyncio.run(ensure_topics(settings.kafka_kwargs(), specs))
    for spec in specs:
        click.echo(f"{'created' if spec.name in created else 'exists '}  {spec.name}")


@command.command("check")
@config_option
@broker_option
def check(config: Path | None, broker: str | None) -> None:
    """Check that all topics exist and are as they must be; exit code 2 if not."""
    from streams.engine.admin import check_topics
    from streams.topics import topic_specs

    settings = load_settings(config, overrides={"broker": broker})
    count = asyncio.run(check_topics(settings.kafka_kwargs(), topic_specs(settings)))
    click.echo(f"All topics are there, with {count} partitions each.")

"""`flagged-products worker`."""

from __future__ import annotations

from pathlib import Path

import click

from streams.cli.options import broker_option, config_option
from streams.settings_load import load_settings


@click.command("worker")
@config_option
@broker_option
@click.option("--clock", type=click.Choice(["wall", "event"]), help="Follow the time of day, or the events' times.")
@click.option("--web-port", type=click.IntRange(0, 65_535), help="Port of /metrics, /livez and /readyz; 0: a free one.")
@click.option("--log-format", type=click.Choice(["json", "console"]), help="How to log.")
def command(
    config: Path | None, broker: str | None, clock: str | None, web_port: int | None, log_format: str | None
) -> None:
    """Run a worker until Ctrl-C or SIGTERM.

    It shares the partitions with all other workers of the same app_id. Creates missing topics unless told not to
    (FLAGGED_CREATE_TOPICS=false).
    """
    overrides = {"broker": broker, "clock": clock, "web_port": web_port, "log_format": log_format}
    settings = load_settings(config, overrides=overrides)
    # Faust takes a second to import: bad settings are told at once.
    from streams.app import run_worker

    run_worker(settings)

"""Options that several sub-commands have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from streams.codecs.times import time_ms

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(command: Command) -> Command:
    """`--config FILE`."""
    option = click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        help="TOML file of settings (or FLAGGED_CONFIG). The environment wins over it, options over both.",
    )
    return option(command)


def broker_option(command: Command) -> Command:
    """`--broker SERVERS`."""
    option = click.option("--broker", metavar="HOST:PORT", help="Kafka's bootstrap servers (or FLAGGED_BROKER).")
    return option(command)


def files_argument(command: Command) -> Command:
    """`FILE...`, of events as JSONL."""
    argument = click.argument(
        "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(dir_okay=False, path_type=Path)
    )
    return argument(command)


def read_time(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """A time option: RFC 3339 with offset, or epoch milliseconds."""
    if value is None:
        return None
    if value.isdigit():
        return int(value)
    try:
        return time_ms(value)
    except ValueError:
        raise click.BadParameter("give a time with an offset, such as 2026-03-02T00:00:00Z") from None

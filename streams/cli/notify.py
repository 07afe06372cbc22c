"""`flagged-products notify`: transitions to webhooks."""

from __future__ import annotations

from pathlib import Path

import click

from streams.cli.options import broker_option, config_option
from streams.codecs.time_format import format_rfc3339
from streams.errors import UserError
from streams.settings import Settings
from streams.settings_load import load_settings
from streams.wall import wall_ms

_PAGE = 500


@click.command("notify")
@config_option
@broker_option
@click.option("--webhooks", metavar="FILE", help="TOML file of the webhooks (or FLAGGED_WEBHOOKS_FILE).")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port of /metrics, /livez and /readyz; 0: a free one.")
@click.option("--log-format", type=click.Choice(["json", "console"]), help="How to log.")
@click.option("--from-start", is_flag=True, help="At the first start, begin with all that the topic still holds.")
@click.option("--list-failed", is_flag=True, help="Show the deliveries that were given up, then end.")
@click.option("--retry-failed", is_flag=True, help="Queue them again, then end; a running notifier sends them.")
@click.option("--webhook", metavar="NAME", help="With the two above: of this webhook only.")
def command(
    config: Path | None,
    broker: str | None,
    webhooks: str | None,
    port: int | None,
    log_format: str | None,
    from_start: bool,
    list_failed: bool,
    retry_failed: bool,
    webhook: str | None,
) -> None:
    """Send each transition to the webhooks that want it, until Ctrl-C or SIGTERM.

    Each arrives at least once, a seller's in their order, and copies have the same id. What can't be delivered is tried
    again for 3 days (FLAGGED_NOTIFY_GIVE_UP_AFTER), then kept aside. The first start begins with what comes from then
    on; every other one goes on where the last one ended. See docs/CLIENTS.md.
    """
    overrides = {"broker": broker, "webhooks_file": webhooks, "notify_port": port, "log_format": log_format}
    settings = load_settings(config, overrides=overrides)
    if list_failed and retry_failed:
        raise click.UsageError("--list-failed and --retry-failed: give one of the two")
    if webhook is not None and not (list_failed or retry_failed):
        raise click.UsageError("--webhook: goes with --list-failed or --retry-failed")
    try:
        if list_failed:
            _list(settings, webhook)
        elif retry_failed:
            _retry(settings, webhook)
        else:
            from streams.notify.notifier import run_notifier

            run_notifier(settings, from_start=from_start)
    except ModuleNotFoundError as error:
        if error.name != "sqlalchemy":
            raise
        raise UserError(
            "notify needs SQLAlchemy, which is not installed; pip install 'flagged-products[serve]'"
        ) from None


def _list(settings: Settings, webhook: str | None) -> None:
    from streams.notify import queue
    from streams.notify.database import Database

    database = Database(settings.notify_database, lock=False)
    database.open()
    try:
        after_id, count = 0, 0
        while rows := database.now(queue.list_failed, webhook, after_id, _PAGE):
            for row in rows:
                click.echo(f"{format_rfc3339(row.failed_ms)}  {row.webhook}  {row.event_id}  {row.error}")
            after_id, count = rows[-1].id, count + len(rows)
        click.echo(f"{count:,} deliveries were given up.", err=True)
    finally:
        database.close()


def _retry(settings: Settings, webhook: str | None) -> None:
    from streams.notify import queue
    from streams.notify.database import Database

    database = Database(settings.notify_database, lock=False)
    database.open()
    try:
        count = 0
        while moved := database.now(queue.retry_failed, webhook, wall_ms()):
            count += moved
        click.echo(f"{count:,} deliveries are queued again; the notifier sends them while it runs.")
    finally:
        database.close()

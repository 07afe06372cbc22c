"""`flagged-products serve`."""

from __future__ import annotations

from pathlib import Path

import click

from streams.cli.options import broker_option, config_option
from streams.errors import UserError
from streams.settings_load import load_settings


@click.command("serve")
@config_option
@broker_option
@click.option("--host", metavar="ADDRESS", help="Address of the page and the API (or FLAGGED_SERVE_HOST).")
@click.option("--port", type=click.IntRange(0, 65_535), help="Their port; 0: a free one (or FLAGGED_SERVE_PORT).")
@click.option("--web-port", type=click.IntRange(0, 65_535), help="Port of /metrics, /livez and /readyz; 0: a free one.")
@click.option("--log-format", type=click.Choice(["json", "console"]), help="How to log.")
@click.option("--demo", is_flag=True, help="Ask for no token and show all; on a loopback address only.")
def command(
    config: Path | None,
    broker: str | None,
    host: str | None,
    port: int | None,
    web_port: int | None,
    log_format: str | None,
    demo: bool,
) -> None:
    """Serve the seller's page and the API behind it, until Ctrl-C or SIGTERM.

    Keeps what the workers publish in a database of its own (SQLite, or PostgreSQL by FLAGGED_SERVE_DATABASE), which is
    made anew from the topics whenever it is gone. Several may share one PostgreSQL. Sellers come with a bearer token:
    FLAGGED_JWT_KEY_FILE says how they are verified.
    """
    overrides = {
        "broker": broker,
        "serve_host": host,
        "serve_port": port,
        "web_port": web_port,
        "log_format": log_format,
    }
    settings = load_settings(config, overrides=overrides)
    try:
        from streams.web.server import run_serve
    except ModuleNotFoundError as error:
        raise UserError(
            f"serve needs packages that are not installed ({error.name}); pip install 'flagged-products[serve]'"
        ) from None
    run_serve(settings, demo=demo)

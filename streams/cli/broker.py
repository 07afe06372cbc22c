"""`flagged-products broker`: a local Kafka in the foreground."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import click

from streams.broker import EmbeddedBroker
from streams.errors import UserError

_CHECK_INTERVAL_S = 1.0
"""How often to look whether the broker still runs while nobody asks us to stop."""


@click.command("broker")
@click.option("--port", type=click.IntRange(0, 65_535), default=9092, show_default=True, help="0 picks a free port.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the data there over restarts. Without it they go to a temporary directory, removed at the end.",
)
@click.option("--heap-mb", type=click.IntRange(min=128), default=512, show_default=True, help="The JVM's heap in MiB.")
def command(port: int, data_dir: Path | None, heap_mb: int) -> None:
    """Run a local Apache Kafka until Ctrl-C or SIGTERM.

    A real broker on 127.0.0.1, for trying things out, development and tests; not for production. The first time it
    fetches Kafka's jars (45 MB) from Maven Central.
    """
    # One way out for both signals, also in the midst of a download.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    broker = EmbeddedBroker(data_dir, port=port, heap_mb=heap_mb)
    try:
        broker.start()
        click.echo(f"Kafka is up: {broker.bootstrap_servers}")
        click.echo(f"Data: {broker.directory} ({'kept' if data_dir else 'removed at the end'})")
        click.echo(f"Log:  {broker.log_path}")
        click.echo("Stop it with Ctrl-C.")
        while broker.is_running:
            time.sleep(_CHECK_INTERVAL_S)
        raise UserError(f"The embedded broker has died. The end of its log:\n{broker.log_tail()}")
    except KeyboardInterrupt:
        click.echo("Stopping Kafka.")
    finally:
        broker.stop()
        signal.signal(signal.SIGTERM, previous)

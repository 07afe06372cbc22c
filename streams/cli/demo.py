"""`flagged-products demo`: all of it at work, with nothing prepared."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from streams.cli.client_log import client_log
from streams.cli.transition_lines import wants_colour
from streams.errors import UserError
from streams.settings import Settings
from streams.settings_load import load_settings

if TYPE_CHECKING:
    from streams.broker import EmbeddedBroker
    from streams.cli.demo_film import Film
    from streams.cli.demo_page import DemoPage
    from streams.cli.demo_play import Outcome
    from streams.cli.demo_worker import DemoWorker

DAYS = 42
PRODUCTS = 120
# A few dozen bad records: what happens to them is part of what there is to see.
BAD_RATE = 0.0005
DAYS_PER_S = 1.0
_LOOK_S = 0.5


@click.command("demo")
@click.option("--broker", metavar="HOST:PORT", help="Use this Kafka, and leave the demo's topics there.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Another seed, another market.")
@click.option(
    "--products", type=click.IntRange(15, 2000), default=PRODUCTS, show_default=True, help="Products in the market."
)
@click.option("--port", type=click.IntRange(1, 65_535), help="Port of the page. Default: 8080, or else a free one.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    metavar="DAYS",
    help=f"Simulated days per second. Default: {DAYS_PER_S:g} on a terminal, else as fast as it goes.",
)
def command(broker: str | None, seed: int, products: int, port: int | None, speed: float | None) -> None:
    """See it all at work, in about a minute.

    Starts a Kafka broker of its own, a worker and the seller's page, and plays six weeks of an invented marketplace
    into the topics, some 63,000 events of good and failing sellers. Open the address that it prints, and watch products
    change. Shows here too which products get flagged, when and why, and sums it up. On a terminal the page then stays
    until Ctrl-C. In the end everything is stopped and removed again.

    The first time, it fetches Kafka (45 MB). With --broker it uses that one instead, under names that no other run has
    (demo-...); the topics are left there to look at, and the summary says how. How to log in there (TLS, SASL) comes
    from the settings as for every other command; everything else is the demo's own.
    """
    watched = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if speed is None and watched:
        speed = DAYS_PER_S
    with _stoppable(), client_log(told=False), _workspace() as directory:
        _Demo(directory, broker, seed, products, port, speed, watched).run()


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does, even where Ctrl-C is ignored, as in the background of a script."""
    previous = signal.signal(signal.SIGTERM, _interrupt)
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, interrupt)
        signal.signal(signal.SIGTERM, previous)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)  # Python's own, or asyncio's while its loop runs


def _ignore_signals() -> None:
    """Nobody's impatience shall leave something running, nor a directory behind; what is left to do is bounded."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextmanager
def _workspace() -> Iterator[Path]:
    """A temporary directory; if the demo fails, the logs of its processes stay in it, and the message says so."""
    directory = Path(tempfile.mkdtemp(prefix="flagged-demo-"))
    try:
        yield directory
    except Exception as error:
        logs = sorted(directory.glob("*.log"))
        _remove(directory, keep=logs)
        if logs and isinstance(error, UserError) and str(directory) not in str(error):
            raise UserError(f"{error}\nThe logs of the demo's processes are kept in {directory}") from error
        raise
    except BaseException:
        _remove(directory)
        raise
    _remove(directory)


def _remove(directory: Path, keep: Sequence[Path] = ()) -> None:
    for path in directory.iterdir():
        if path in keep:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if not keep:
        directory.rmdir()


@dataclass(slots=True)
class _Demo:
    """One run. `port` of the page, None for any. `speed`: simulated days a second, None for as fast as it goes.
    `watched`: on a terminal."""

    directory: Path
    broker: str | None
    seed: int
    products: int
    port: int | None
    speed: float | None
    watched: bool

    def run(self) -> None:
        """From nothing to the summary; whatever happens, nothing is left running."""
        with ExitStack() as stack:
            try:
                self._run(stack)
            except KeyboardInterrupt:
                click.echo("\nStopping.", err=True)
                raise
            finally:
                _ignore_signals()

    def _run(self, stack: ExitStack) -> None:
        # Kafka's and Faust's modules take a second to import, which `--help` has no use for.
        from streams.cli.demo_film import Film
        from streams.cli.demo_page import DemoPage, demo_policy, page_address
        from streams.cli.demo_summary import print_next_steps, print_summary
        from streams.cli.demo_topics import DemoTopics
        from streams.cli.demo_worker import DemoWorker
        from streams.testing.market import Market

        market = Market(self.seed, products=self.products, days=DAYS, bad_rate=BAD_RATE)
        broker = None if self.broker is not None else self._start_broker(stack)
        address = page_address(self.port)
        policy_file = self.directory / "policy.toml"
        policy_file.write_text(demo_policy(address))
        environment = self._environment(broker) | {"FLAGGED_POLICY_FILE": str(policy_file)}
        settings = load_settings(environ=environment)
        topics = stack.enter_context(DemoTopics(settings, borrowed=broker is None))
        click.echo("Starting a worker, and the seller's page.")
        page = stack.enter_context(DemoPage(self.directory, environment, address))
        worker = stack.enter_context(DemoWorker(self.directory, environment))

        def check() -> None:
            worker.check()
            page.check()
            if broker is not None and not broker.is_running:
                raise UserError(f"The demo's broker has died. The end of its log:\n{broker.log_tail()}")

        film = Film(market)
        outcome = asyncio.run(self._play(settings, film, worker, page, check))
        colour = wants_colour()
        print_summary(film, outcome, self.speed, colour)
        topics.keep()
        print_next_steps(film, self.seed, BAD_RATE, settings if broker is None else None, colour)
        if self.watched:
            self._stay(address, check)

    def _stay(self, address: str, check: Callable[[], None]) -> None:
        click.echo(f"\nThe page is still there: {address}   Ctrl-C ends.")
        # All is done by now: to end it is no failure.
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(_LOOK_S)
                check()

    def _start_broker(self, stack: ExitStack) -> EmbeddedBroker:
        from streams.broker import EmbeddedBroker

        click.echo("Starting Kafka.")
        return stack.enter_context(EmbeddedBroker())

    def _environment(self, broker: EmbeddedBroker | None) -> dict[str, str]:
        from streams.cli.demo_settings import demo_environment

        name = f"demo-{secrets.token_hex(4)}"
        data_dir = self.directory / "data"
        if broker is not None:
            return demo_environment(name, broker.bootstrap_servers, data_dir, None)
        own = load_settings(overrides={"broker": self.broker})
        return demo_environment(name, own.broker, data_dir, own)

    async def _play(
        self, settings: Settings, film: Film, worker: DemoWorker, page: DemoPage, check: Callable[[], None]
    ) -> Outcome:
        from streams.cli.demo_film import PlainScreen, Screen
        from streams.cli.demo_play import play

        await page.wait_until_ready()
        await worker.wait_until_ready()
        market = film.market
        click.echo(
            f"Playing {DAYS} days of a marketplace: {len(market.products):,} products of "
            f"{len({product.seller.seller_id for product in market.products}):,} sellers. Times are UTC."
        )
        click.echo(f"What their sellers see, as it changes: {page.address}\n")
        screen: Screen
        if self.watched:
            from rich.console import Console

            from streams.cli.demo_screen import LiveScreen

            screen = LiveScreen(film, Console(highlight=False, markup=False))
        else:
            screen = PlainScreen(film)
        with screen:
            return await play(settings, film, screen, worker, check, self.speed)

"""`flagged-products simulate`: the events of an invented marketplace, as lines of JSON or into the topics."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import click

from streams.errors import UserError
from streams.testing.market import EVENTS_PER_PRODUCT_AND_DAY, START_MS, Market
from streams.testing.records import rfc3339, time_ms, to_line

_RATE = click.FloatRange(0, 1)
_PROGRESS_STEP = 1_000
"""Records between two looks at the progress bar, which would cost more than the records otherwise."""


def _read_start(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    try:
        return time_ms(value)
    except ValueError:
        raise click.BadParameter("give a time with an offset, such as 2026-01-05T00:00:00Z") from None


@click.command("simulate")
@click.option("--events", type=click.IntRange(min=1), help="Different events. Default: 12 per product and day.")
@click.option("--days", type=click.IntRange(1, 3650), default=42, show_default=True, help="Days to play.")
@click.option("--products", type=click.IntRange(min=1), help="Products. Default: 120, or what --events needs.")
@click.option("--sellers", type=click.IntRange(min=1), help="Sellers. Default: a third of the products.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Another seed, another market.")
@click.option(
    "--start", default=rfc3339(START_MS), show_default=True, callback=_read_start, help="When the market opens."
)
@click.option("--duplicates", type=_RATE, default=0.01, show_default=True, help="Share of events told again.")
@click.option("--late", type=_RATE, default=0.01, show_default=True, help="Share of events that arrive late.")
@click.option("--bad", type=_RATE, default=0.0, show_default=True, help="Bad records per event, of every kind.")
@click.option("--out", metavar="FILE", help="Where to write JSONL; compressed if it ends in .gz. Default: -, stdout.")
@click.option("--to-topics", is_flag=True, help="Send the events into the input topics instead.")
@click.option("--broker", help="Kafka's bootstrap servers, for --to-topics.")
def command(
    events: int | None,
    days: int,
    products: int | None,
    sellers: int | None,
    seed: int,
    start: int,
    duplicates: float,
    late: float,
    bad: float,
    out: str | None,
    to_topics: bool,
    broker: str | None,
) -> None:
    """Play a marketplace, and write its events.

    Good sellers and failing ones, over some weeks: sellers that run out of stock, ship late or overcharge, and recover
    or don't. The same options give the same events, byte for byte, on every machine. What this writes is what `replay`
    and `backtest` read.
    """
    if to_topics and out is not None:
        raise click.UsageError("--out and --to-topics exclude each other: give one")
    if broker is not None and not to_topics:
        raise click.UsageError("--broker needs --to-topics")
    if products is None:
        products = 120 if events is None else max(1, round(events / (EVENTS_PER_PRODUCT_AND_DAY * days)), sellers or 1)
    market = Market(
        seed,
        products=products,
        sellers=sellers,
        days=days,
        events=events,
        start_ms=start,
        duplicate_rate=duplicates,
        late_rate=late,
        bad_rate=bad,
    )
    if to_topics:
        _send(market, broker)
    else:
        _write(market, out or "-")


def _write(market: Market, out: str) -> None:
    count = 0
    with _progress(market, shown=out != "-") as progress, _opened(out) as file:
        for record in market:
            file.write(to_line(record))
            count += 1
            if count % _PROGRESS_STEP == 0:
                progress(_PROGRESS_STEP)
    if out != "-":
        click.echo(f"{out}: {count:,} records of {len(market.products):,} products", err=True)


def _send(market: Market, broker: str | None) -> None:
    # Whoever only writes a file shall not wait for Kafka's client to be imported.
    from streams.engine.sender import send_records
    from streams.settings_load import load_settings

    settings = load_settings(overrides={"broker": broker})
    with _progress(market, shown=True) as progress:
        send_records(settings, market, progress)


@contextmanager
def _progress(market: Market, shown: bool) -> Iterator[Callable[[int], None]]:
    """Yields what is to be called with the number of records done since the last call."""
    if not shown or not sys.stderr.isatty():
        yield lambda done: None
        return
    expected = round(market.expected_events * (1 + market.duplicate_rate + market.bad_rate))
    with click.progressbar(length=expected, label="Simulating", file=sys.stderr) as bar:
        yield bar.update


@contextmanager
def _opened(out: str) -> Iterator[IO[bytes]]:
    """Yields the file (or stdout) to write to. Raises UserError if it can't be written."""
    if out == "-":
        stdout = click.get_binary_stream("stdout")
        yield stdout
        stdout.flush()
        return
    try:
        with Path(out).open("wb") as plain:
            if not out.endswith(".gz"):
                yield plain
                return
            # Neither name nor time in the header: the same events make the same file.
            with gzip.GzipFile("", "wb", fileobj=plain, mtime=0) as packed:
                buffered = io.BufferedWriter(cast(io.RawIOBase, packed), 1 << 20)
                yield buffered
                buffered.flush()
    except OSError as error:
        raise UserError(f"{out}: can't be written ({error.strerror}); choose another --out") from None

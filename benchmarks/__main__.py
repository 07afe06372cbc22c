"""`python -m benchmarks`: runs benchmarks, prints their figures, and writes them as JSON."""

from __future__ import annotations

import importlib
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from benchmarks.harness import Bench, Result, write_json
from streams import __version__
from streams.broker import EmbeddedBroker
from streams.errors import UserError

# By the module that has them: what is not asked for is not imported.
BENCHMARKS = {
    "throughput": "throughput",
    "latency": "latency",
    "recovery": "recovery",
    "rebalance": "rebalance",
    "memory": "memory",
    "hot-product": "hot_product",
    "cost-growth": "cost_growth",
    "seller-api": "seller_api",
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--runs", type=click.IntRange(min=1), help="Runs of each; medians are told. Default: each one's own.")
@click.option("--quick", is_flag=True, help="Small sizes and one run: only to see that it works.")
@click.option(
    "--peer",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="BENCH_PEER",
    help="Directory of the Kafka Streams peer (with its run.sh), to measure it too. Needs a JDK and Maven.",
)
@click.option("--broker", help="A Kafka of your own, HOST:PORT, instead of the embedded one.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path(".data/benchmarks.json"), show_default=True
)
def main(
    names: tuple[str, ...], runs: int | None, quick: bool, peer: Path | None, broker: str | None, out: Path
) -> None:
    """Measure NAMES (all by default), with every program in a process of its own, and write the figures as JSON."""
    signal.signal(signal.SIGTERM, _stop)
    if peer is not None and not (peer / "run.sh").is_file():
        raise click.BadParameter(f"{peer} has no run.sh; see benchmarks/README.md", param_hint="--peer")
    results: dict[str, Result] = {}
    try:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flagged-bench-")))
            # A heap in which a million products' rows pass through; the default is made for tests.
            address = broker or stack.enter_context(EmbeddedBroker(heap_mb=1024)).bootstrap_servers
            bench = Bench(address, directory, runs, quick, peer and peer.absolute())
            for name in names or BENCHMARKS:
                results[name] = _benchmark(name)(bench)
                for line in results[name].lines():
                    click.echo(line)
                write_json(out, _document(results, quick))
    except UserError as error:
        raise click.ClickException(str(error)) from error


def _benchmark(name: str) -> Callable[[Bench], Result]:
    run: Callable[[Bench], Result] = importlib.import_module(f"benchmarks.{BENCHMARKS[name]}").run
    return run


def _document(results: dict[str, Result], quick: bool) -> dict[str, object]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "quick": quick,
        "benchmarks": {name: result.as_json() for name, result in results.items()},
    }


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(143)


if __name__ == "__main__":
    main()

"""A worker that starts upon stored products: how long that takes, and what it then weighs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.harness import OURS, PLAIN, Bench, Figures, Result, Usage
from benchmarks.stored import ordinary, store

SIZES = (50_000, 1_000_000)
# How long a worker may settle before it is weighed, s.
_SETTLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Restart:
    """One start: with `products`, and the same with none."""

    products: int
    seconds: float
    usage: Usage
    empty_seconds: float
    empty: Usage

    def recovery(self) -> Figures:
        """Times of the whole start, and of what the products add to it."""
        return {
            "recovery_s": self.seconds - self.empty_seconds,
            "recovery_cpu_s": _less(self.usage.cpu_s, self.empty.cpu_s),
            "products_per_s": self.products / max(1e-3, self.seconds - self.empty_seconds),
            "start_s": self.seconds,
            "cpu_s": self.usage.cpu_s,
            "peak_rss_mb": self.usage.peak_rss_mb,
        }

    def memory(self) -> Figures:
        """What the products add to the memory of the process, once it is at work."""
        added_mb = _less(self.usage.rss_mb, self.empty.rss_mb)
        return {
            "bytes_per_product": None if added_mb is None else added_mb * 2**20 / self.products,
            "rss_mb": self.usage.rss_mb,
            "empty_rss_mb": self.empty.rss_mb,
            "cpu_s": self.usage.cpu_s,
            "peak_rss_mb": self.usage.peak_rss_mb,
        }


def restarts(bench: Bench, result: Result, runs: int, figures: Callable[[Restart], Figures]) -> str:
    """Restart upon each size, plain Faust upon the smallest only, for its time goes with it; the case of both."""
    sizes = (500,) if bench.quick else SIZES
    for products in sizes:
        for _ in bench.times(runs):
            for subject in (OURS, PLAIN) if products == sizes[0] else (OURS,):
                result.add(_case(products), subject, figures(restart(bench, subject, products)))
    return _case(sizes[0])


def _case(products: int) -> str:
    return f"{products:,} products"


def restart(bench: Bench, subject: str, products: int) -> Restart:
    """Start a worker of a subject upon so many stored products of an ordinary history, and one upon none."""
    names = _no_input(bench)
    seconds, usage = _start(bench, subject, names, _stored(bench, subject, products))
    empty_seconds, empty = _start(bench, subject, names, bench.new_name("empty"))
    return Restart(products, seconds, usage, empty_seconds, empty)


def _start(bench: Bench, subject: str, names: dict[str, str], app_id: str) -> tuple[float, Usage]:
    began = time.monotonic()
    with bench.start(subject, bench.environment(names, app_id)) as program:
        seconds = program.wait_ready() - began
        time.sleep(_SETTLE_S)
        usage = program.usage
        program.stop()
    return seconds, usage


_STORED: dict[tuple[str, int], str] = {}


def _stored(bench: Bench, subject: str, products: int) -> str:
    """The app_id of a stored state; it is written once for all starts upon it."""
    if (subject, products) not in _STORED:
        _STORED[subject, products] = store(bench, subject, ordinary(products), _no_input(bench))
    return _STORED[subject, products]


_INPUT: dict[str, dict[str, str]] = {}


def _no_input(bench: Bench) -> dict[str, str]:
    """Input topics with nothing in them."""
    if "names" not in _INPUT:
        _INPUT["names"] = dict(bench.load("none", [], 0).names)
    return _INPUT["names"]


def _less(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other

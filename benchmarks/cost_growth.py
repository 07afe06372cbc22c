"""`cost-growth`: what an event costs, against the number of products held, and the open lines of its product."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.catching_up import catch_up
from benchmarks.harness import OURS, Bench, Result
from benchmarks.stored import CLOCK_MS, Stored, ordinary, store, with_open_lines
from benchmarks.workload import HOUR_MS, trade, trade_of_one
from streams.testing.records import SimulatedRecord

RUNS = 1
PRODUCTS = (50_000, 1_000_000)
OPEN_LINES = (1_000, 10_000, 100_000)
ONE = "ONE"
_SPAN_MS = 6 * HOUR_MS
_FIGURE = "job_cpu_s_per_million"
POPULARITIES = ("popular by rank", "all as popular")


def run(bench: Bench) -> Result:
    """See the module."""
    result = Result("cost-growth")
    products = (100, 400) if bench.quick else PRODUCTS
    lines = (10, 600) if bench.quick else OPEN_LINES
    for popularity in POPULARITIES:
        # Evenly over all of them: no product is so popular that it would be awake anyway.
        even = popularity != POPULARITIES[0]
        for count in products:
            events = trade(count, bench.size(400_000, 1_000), CLOCK_MS + 1, _SPAN_MS, even=even)
            _grow(bench, result, f"{count:,} products, {popularity}", events, partial(ordinary, count))
    for count in lines:
        # Few, for each order is one more line of it.
        events = list(trade_of_one(ONE, bench.size(10_000, 500), CLOCK_MS + 1, _SPAN_MS))
        _grow(bench, result, f"{count:,} open lines", events, partial(with_open_lines, ONE, count))
    for popularity in POPULARITIES:
        least, most = (f"{size:,} products, {popularity}" for size in products)
        name = f"events/s at {products[1]:,} products to {products[0]:,}, {popularity}"
        result.ratio(name, (most, OURS, "events_per_s"), (least, OURS, "events_per_s"))
    least, most = (f"{size:,} open lines" for size in (lines[0], lines[-1]))
    result.ratio(f"CPU per event, {most} to {least}", (most, OURS, _FIGURE), (least, OURS, _FIGURE))
    return result


def _grow(bench: Bench, result: Result, case: str, events: list[SimulatedRecord], stored: Callable[[], Stored]) -> None:
    """Measure the same events upon a stored state."""
    inputs = bench.load("growth", events, len(events))
    for _ in bench.times(RUNS):
        app_id = store(bench, OURS, stored(), inputs.names)
        result.add(case, OURS, catch_up(bench, OURS, inputs, app_id))

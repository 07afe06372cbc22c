"""`memory`: what a product with an ordinary history costs a worker."""

from __future__ import annotations

from benchmarks.harness import OURS, PLAIN, Bench, Result
from benchmarks.stored import EVENTS_PER_PRODUCT
from benchmarks.stored_state import Restart, restarts

RUNS = 1


def run(bench: Bench) -> Result:
    """See the module."""
    result = Result("memory")
    first = restarts(bench, result, RUNS, Restart.memory)
    result.ratio("plain Faust to ours", (first, PLAIN, "bytes_per_product"), (first, OURS, "bytes_per_product"))
    result.notes.append(f"an ordinary history: {EVENTS_PER_PRODUCT} events per product on the average, in two weeks")
    return result

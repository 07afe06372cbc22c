"""`recovery`: a worker starts, and has the state of many products to bring back first."""

from __future__ import annotations

from benchmarks.harness import OURS, PLAIN, Bench, Result
from benchmarks.stored_state import SIZES, restart

RUNS = 3


def run(bench: Bench) -> Result:
    """See the module."""
    result = Result("recovery")
    sizes = (500,) if bench.quick else SIZES
    for products in sizes:
        case = f"{products:,} products"
        for _ in bench.times(RUNS):
            result.add(case, OURS, restart(bench, OURS, products).recovery())
            if products == sizes[0]:  # plain Faust's time goes with the number of products
                result.add(case, PLAIN, restart(bench, PLAIN, products).recovery())
    first = f"{sizes[0]:,} products"
    result.ratio("plain Faust to ours", (first, PLAIN, "recovery_s"), (first, OURS, "recovery_s"))
    result.ratio("CPU of plain Faust to ours", (first, PLAIN, "recovery_cpu_s"), (first, OURS, "recovery_cpu_s"))
    return result

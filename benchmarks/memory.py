"""`memory`: what a product with an ordinary history costs a worker."""

from __future__ import annotations

from benchmarks.harness import OURS, PLAIN, Bench, Result
from benchmarks.stored import EVENTS_PER_PRODUCT
from benchmarks.stored_state import SIZES, restart

RUNS = 1


def run(bench: Bench) -> Result:
    """See the module."""
    result = Result("memory")
    sizes = (500,) if bench.quick else SIZES
    for products in sizes:
        case = f"{products:,} products"
        for _ in bench.times(RUNS):
            result.add(case, OURS, restart(bench, OURS, products).memory())
            if products == sizes[0]:
                result.add(case, PLAIN, restart(bench, PLAIN, products).memory())
    first = f"{sizes[0]:,} products"
    result.ratio("plain Faust to ours", (first, PLAIN, "bytes_per_product"), (first, OURS, "bytes_per_product"))
    result.notes.append(f"an ordinary history: {EVENTS_PER_PRODUCT} events per product on the average, in two weeks")
    return result

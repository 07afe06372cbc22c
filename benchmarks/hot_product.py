"""`hot-product`: a market in which one product has about half of all events, beside the same market without it."""

from __future__ import annotations

from benchmarks.catching_up import catch_up
from benchmarks.harness import OURS, Bench, Result
from benchmarks.workload import HOT_PRODUCT, market, with_hot_product

RUNS = 3


def run(bench: Bench) -> Result:
    """See the module."""
    result = Result("hot-product")
    records = market(bench.size(10_000, 100), bench.size(200_000, 2_000), 14)
    hot = with_hot_product(records)
    share = sum(record.key == HOT_PRODUCT.encode() for record in hot) / len(hot)
    logs = {"no hot product": records, "a hot product": hot}
    inputs = {case: bench.load("hot", log, len(log)) for case, log in logs.items()}
    for _ in bench.times(RUNS):
        for case, log in inputs.items():
            result.add(case, OURS, catch_up(bench, OURS, log))
    with_it, without = ((case, OURS, "events_per_s") for case in ("a hot product", "no hot product"))
    result.ratio("events/s, with a hot product to without", with_it, without)
    figure = "job_cpu_s_per_million"
    result.ratio("CPU, with to without", ("a hot product", OURS, figure), ("no hot product", OURS, figure))
    result.notes.append(f"it has {share:.0%} of {len(hot):,} events")
    return result

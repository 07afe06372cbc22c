"""`throughput`: a backlog of a million events, 50,000 products of skewed popularity, 8 partitions."""

from __future__ import annotations

from benchmarks.catching_up import catch_up, catch_up_by_two, catch_up_peer
from benchmarks.harness import OURS, PEER, PLAIN, Bench, Result
from benchmarks.workload import market

RUNS = 5
TWO = f"{OURS}, 2 workers"
PEER_TWO = f"{PEER}, 2 threads"
DAYS = 14


def run(bench: Bench) -> Result:
    """See the module."""
    result = Result("throughput")
    products = bench.size(50_000, 200)
    records = market(products, bench.size(1_000_000, 4_000), DAYS)
    # Plain Faust needs ten times as long for an event, so it gets the beginning of the log: its products are small.
    prefix = records[: bench.size(60_000, 1_000)]
    whole, part = bench.load("backlog", records, len(records)), bench.load("prefix", prefix, len(prefix))
    full, first = f"{len(records):,} events", f"the first {len(prefix):,}"
    if bench.peer is not None:
        catch_up_peer(bench, part)  # builds it, and warms the machine's caches up
    for _ in bench.times(RUNS):
        result.add(full, OURS, catch_up(bench, OURS, whole))
        result.add(full, TWO, catch_up_by_two(bench, whole))
        if bench.peer is not None:
            result.add(full, PEER, catch_up_peer(bench, whole))
            result.add(full, PEER_TWO, catch_up_peer(bench, whole, threads=2))
        result.add(first, PLAIN, catch_up(bench, PLAIN, part))
    result.ratio("events/s to plain Faust", (full, OURS, "events_per_s"), (first, PLAIN, "events_per_s"))
    figure = "job_cpu_s_per_million"
    result.ratio("CPU of plain Faust to ours", (first, PLAIN, figure), (full, OURS, figure))
    result.ratio("events/s to Kafka Streams", (full, OURS, "events_per_s"), (full, PEER, "events_per_s"))
    name = "events/s of 2 workers to 2 threads of Kafka Streams"
    result.ratio(name, (full, TWO, "events_per_s"), (full, PEER_TWO, "events_per_s"))
    figure = "cpu_s_per_million"
    result.ratio("CPU of Kafka Streams to ours", (full, PEER, figure), (full, OURS, figure))
    if bench.peer is not None:
        result.notes.append("Kafka Streams' events are those of the three topics it reads, and its job is far smaller")
    return result

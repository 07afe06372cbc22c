"""`rebalance`: a second worker joins, then leaves again, under a steady load on all partitions.

A pause is the longest time that a trigger of a partition took until its transition could be read, in a rebalance; told
are the worst of the partitions that change hands, and the worst of those that stay where they are.
"""

from __future__ import annotations

import asyncio
import json
import time

from benchmarks.catching_up import wait_applied
from benchmarks.harness import OURS, PARTITIONS, PLAIN, Bench, Figures, Program, Result
from benchmarks.paced import Paced, Plan, pace, percentile, prepare
from streams.engine.partitioning import partition_of

RUNS = 3
RATE = 1_000


def run(bench: Bench) -> Result:
    """See the module."""
    result = Result("rebalance")
    for _ in bench.times(RUNS):
        for subject in OURS, PLAIN:
            for case, figures in _measure(bench, subject).items():
                result.add(case, subject, figures)
    for case in "joining", "leaving":
        for kind in "moved_ms", "stayed_ms":
            result.ratio(f"{case}, {kind}: plain Faust to ours", (case, PLAIN, kind), (case, OURS, kind))
    return result


def _measure(bench: Bench, subject: str) -> dict[str, Figures]:
    plan = Plan(bench.size(RATE, 100), bench.size(30, 20), bench.size(100, 20))
    inputs = prepare(bench, plan)
    environment = bench.environment(inputs.names, bench.new_name("app"), "wall")
    with bench.start(subject, environment) as first:
        first.wait_ready()
        wait_applied(environment, inputs, first)
        moved: list[frozenset[int]] = []
        at: list[float] = []

        def join_and_leave() -> None:
            time.sleep(plan.seconds / 6)
            second_environment = environment | {"FLAGGED_DATA_DIR": environment["FLAGGED_DATA_DIR"] + "-2"}
            times = len(first.ready_lines())
            with bench.start(subject, second_environment) as second:
                second.wait_ready()
                first.wait_ready(times + 1)
                moved.append(_partitions(second))
                at.append(time.monotonic())
                time.sleep(plan.seconds / 6)
                at.append(time.monotonic())
                times = len(first.ready_lines())
                second.stop()
            first.wait_ready(times + 1)

        async def both() -> Paced:
            output_topic = environment["FLAGGED_FLAG_STATUS_CHANGED_TOPIC"]
            paced, _ = await asyncio.gather(pace(environment, plan, output_topic), asyncio.to_thread(join_and_leave))
            return paced

        paced = asyncio.run(both())
        usage = first.usage
        first.stop()
    settled = (at[0] + at[1]) / 2
    cases = {"joining": (paced.began, settled), "leaving": (settled, paced.ended)}
    return {
        case: {
            "moved_ms": _pause_ms(paced, moved[0], span),
            "stayed_ms": _pause_ms(paced, frozenset(range(PARTITIONS)) - moved[0], span),
            "steady_p50_ms": percentile(paced.latencies_ms(), 0.5),
            "moved_partitions": len(moved[0]),
            "never_came": paced.lost,
            "cpu_s": usage.cpu_s,
            "peak_rss_mb": usage.peak_rss_mb,
        }
        for case, span in cases.items()
    }


def _partitions(program: Program) -> frozenset[int]:
    """The partitions that a worker has told it has."""
    return frozenset(json.loads(program.ready_lines()[-1])["partitions"])


def _pause_ms(paced: Paced, partitions: frozenset[int], span: tuple[float, float]) -> float | None:
    """The longest latency of a trigger that was sent within this span to one of these partitions."""
    found = [
        1000 * (at - paced.sent[product])
        for product, at in paced.received.items()
        if span[0] <= paced.sent[product] < span[1] and partition_of(product.encode(), PARTITIONS) in partitions
    ]
    return max(found, default=None)

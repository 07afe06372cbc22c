"""`rebalance`: a second worker joins, then leaves again, under a steady load on all partitions.

A pause is the longest time that a trigger of a partition took until its transition could be read, in a rebalance; told
are the worst of the partitions that change hands, and the worst of those that stay where they are.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TypeVar

from benchmarks.catching_up import wait_applied
from benchmarks.harness import OURS, PARTITIONS, PLAIN, Bench, Figures, Program, Result
from benchmarks.paced import Paced, Plan, pace, percentile, prepare
from streams.engine.partitioning import partition_of

RUNS = 3
RATE = 1_000
# Time before and after something that happens, s.
_AROUND_S = 3.0

Done = TypeVar("Done")


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
    joining, leaving = (
        Plan(bench.size(RATE, 100), bench.size(60, 30), bench.size(40, 10), tag) for tag in ("joining", "leaving")
    )
    inputs = prepare(bench, joining, leaving)
    environment = bench.environment(inputs.names, bench.new_name("app"), "wall")
    with ExitStack() as stack:
        first = stack.enter_context(bench.start(subject, environment))
        first.wait_ready()
        wait_applied(environment, inputs, first)

        def join() -> Program:
            data_dir = {"FLAGGED_DATA_DIR": environment["FLAGGED_DATA_DIR"] + "-2"}
            second = stack.enter_context(bench.start(subject, environment | data_dir))
            second.wait_ready()
            first.wait_ready(2)
            return second

        def leave() -> None:
            second.stop()
            first.wait_ready(3)

        joined, second = _meanwhile(environment, joining, join)
        moved = _partitions(second)
        left, _ = _meanwhile(environment, leaving, leave)
        usage = first.usage
        first.stop()
    return {
        case: {
            "moved_ms": _pause_ms(paced, moved),
            "stayed_ms": _pause_ms(paced, frozenset(range(PARTITIONS)) - moved),
            "steady_p50_ms": percentile(paced.latencies_ms(), 0.5),
            "moved_partitions": len(moved),
            "never_came": paced.lost,
            "cpu_s": usage.cpu_s,
            "peak_rss_mb": usage.peak_rss_mb,
        }
        for case, paced in (("joining", joined), ("leaving", left))
    }


def _meanwhile(environment: Mapping[str, str], plan: Plan, action: Callable[[], Done]) -> tuple[Paced, Done]:
    """Do something under the load that the plan says, which goes on for a while before and after it."""
    over, paced = threading.Event(), Paced()

    def act() -> Done:
        while not paced.began:
            time.sleep(_AROUND_S / 10)
        time.sleep(_AROUND_S)
        done = action()
        time.sleep(_AROUND_S)
        over.set()
        return done

    async def both() -> tuple[Paced, Done]:
        output_topic = environment["FLAGGED_FLAG_STATUS_CHANGED_TOPIC"]
        return await asyncio.gather(pace(environment, plan, output_topic, over.is_set, paced), asyncio.to_thread(act))

    return asyncio.run(both())


def _partitions(program: Program) -> frozenset[int]:
    """The partitions that a worker has told it has."""
    return frozenset(json.loads(program.ready_lines()[-1])["partitions"])


def _pause_ms(paced: Paced, partitions: frozenset[int]) -> float | None:
    """The longest latency of a trigger in one of these partitions."""
    found = [
        1000 * (at - paced.sent[product])
        for product, at in paced.received.items()
        if partition_of(product.encode(), PARTITIONS) in partitions
    ]
    return max(found, default=None)

"""`recovery`: a worker starts, and has the state of many products to bring back first."""

from __future__ import annotations

from benchmarks.harness import OURS, PLAIN, Bench, Result
from benchmarks.stored_state import Restart, restarts

RUNS = 3


def run(bench: Bench) -> Result:
    """See the module."""
    result = Result("recovery")
    first = restarts(bench, result, RUNS, Restart.recovery)
    result.ratio("plain Faust to ours", (first, PLAIN, "recovery_s"), (first, OURS, "recovery_s"))
    result.ratio("CPU of plain Faust to ours", (first, PLAIN, "recovery_cpu_s"), (first, OURS, "recovery_cpu_s"))
    return result

"""`latency`: events at a steady rate, wall clock; from produce to the transition readable by a consumer."""

from __future__ import annotations

import asyncio

from benchmarks.catching_up import wait_applied
from benchmarks.harness import OURS, PEER, PLAIN, Bench, Figures, Inputs, Program, Result
from benchmarks.paced import Plan, pace, percentile, prepare

RUNS = 3
RATES = (2_000, 20_000)
# In a market one event in some 200 causes a transition.
EVENTS_PER_TRANSITION = 200


def run(bench: Bench) -> Result:
    """See the module."""
    result = Result("latency")
    rates = (200,) if bench.quick else RATES
    for rate in rates:
        case, plan = f"{rate:,} events/s", Plan(rate, bench.size(40, 3), bench.size(rate // EVENTS_PER_TRANSITION, 20))
        for _ in bench.times(RUNS):
            result.add(case, OURS, _measure(bench, OURS, plan))
            if rate == rates[0]:  # plain Faust could not follow at the higher rate
                result.add(case, PLAIN, _measure(bench, PLAIN, plan))
            if bench.peer is not None:
                result.add(case, PEER, _measure(bench, PEER, plan))
        for name in "p50_ms", "p99_ms":
            for other in PLAIN, PEER:
                result.ratio(f"{name} of {other} to ours at {rate:,}/s", (case, other, name), (case, OURS, name))
    result.notes.append("a p50 of seconds means that the rate is more than it can follow")
    return result


def _measure(bench: Bench, subject: str, plan: Plan) -> Figures:
    inputs = prepare(bench, plan)
    environment = bench.environment(inputs.names, bench.new_name("app"), "wall")
    output_topic = environment["FLAGGED_FLAG_STATUS_CHANGED_TOPIC"]
    with _start(bench, subject, environment, inputs, output_topic) as program:
        program.wait_ready()
        wait_applied(environment, inputs, program)
        before = program.usage
        paced = asyncio.run(pace(environment, plan, output_topic))
        after = program.usage
        program.stop()
    # The first quarter does not count: caches, connections and compilers get warm.
    latencies = paced.latencies_ms(plan.seconds / 4)
    cpu_s = None if after.cpu_s is None or before.cpu_s is None else after.cpu_s - before.cpu_s
    return {
        "p50_ms": percentile(latencies, 0.5),
        "p99_ms": percentile(latencies, 0.99),
        "max_ms": percentile(latencies, 1.0),
        "transitions": len(latencies),
        "never_came": paced.lost,
        "sent_per_s": paced.rate,
        "cpu_s": cpu_s,
        "peak_rss_mb": after.peak_rss_mb,
    }


def _start(bench: Bench, subject: str, environment: dict[str, str], inputs: Inputs, output_topic: str) -> Program:
    if subject != PEER:
        return bench.start(subject, environment)
    options = {
        "mode": "serve",
        "commit-ms": "100",
        "application-id": environment["FLAGGED_APP_ID"],
        "output-topic": output_topic,
        "topics": ",".join(list(inputs.names.values())[:3]),
    }
    return bench.start_peer(*(word for name, value in options.items() for word in (f"--{name}", value)))

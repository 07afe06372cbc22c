"""Catching up with a backlog: from taking over the partitions to all applied, published and committed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.harness import OURS, PATIENCE_S, Bench, Figures, Inputs, Program, Usage, settings_of
from streams.engine.waiting import wait_until_applied
from streams.errors import UserError
from streams.settings import ENV_PREFIX

# How often the group's committed offsets are looked at, s: often enough for a run of seconds, cheap for the broker.
_LOOK_S = 0.1


def catch_up(bench: Bench, subject: str, inputs: Inputs, app_id: str | None = None) -> Figures:
    """A worker of a subject on a log that is there already. It has the state of `app_id`, if given, else none.

    Time begins when it has its partitions (before the first record is read) and ends when the group has committed
    the ends of all of them. `cpu_s` is the whole process's, start and recovery included; `job_cpu_s` since the time
    began.
    """
    environment = bench.environment(inputs.names, app_id or bench.new_name("app"))
    with bench.start(subject, environment) as program:
        began = program.wait_ready()
        before = program.usage
        wait_applied(environment, inputs, program)
        seconds = time.monotonic() - began
        after = program.usage
        program.stop()
    return _figures(inputs, seconds, [before], [after])


def catch_up_by_two(bench: Bench, inputs: Inputs) -> Figures:
    """Two workers of ours share the partitions. Time begins when the first has them all, and the rebalance is in it;
    CPU time and memory are those of both."""
    environment = bench.environment(inputs.names, bench.new_name("app"))
    data_dir = {f"{ENV_PREFIX}DATA_DIR": environment[f"{ENV_PREFIX}DATA_DIR"] + "-2"}
    with bench.start(OURS, environment) as one, bench.start(OURS, environment | data_dir) as other:
        began = one.wait_ready()
        before = [one.usage, other.usage]
        wait_applied(environment, inputs, one)
        seconds = time.monotonic() - began
        after = [one.usage, other.usage]
        one.stop()
        other.stop()
    return _figures(inputs, seconds, before, after)


def _figures(inputs: Inputs, seconds: float, before: Sequence[Usage], after: Sequence[Usage]) -> Figures:
    cpu_s = _sum(usage.cpu_s for usage in after)
    cpu_s_before = _sum(usage.cpu_s for usage in before)
    job_cpu_s = None if cpu_s is None or cpu_s_before is None else cpu_s - cpu_s_before
    return {
        "events_per_s": inputs.events / seconds,
        "seconds": seconds,
        "cpu_s": cpu_s,
        "cpu_s_per_million": _per_million(cpu_s, inputs.events),
        "job_cpu_s_per_million": _per_million(job_cpu_s, inputs.events),
        "peak_rss_mb": _sum(usage.peak_rss_mb for usage in after),
    }


def _sum(figures: Iterable[float | None]) -> float | None:
    known = list(figures)
    return None if None in known else sum(figure or 0.0 for figure in known)


def wait_applied(environment: Mapping[str, str], inputs: Inputs, program: Program) -> None:
    """Wait until the group has committed all of the inputs. Raises UserError if the program ends before."""

    began = time.monotonic()

    def look(done: int, total: int) -> None:
        program.check()
        if time.monotonic() - began > PATIENCE_S:
            raise UserError(
                f"after {PATIENCE_S:.0f} s {done:,} of {total:,} events are applied:\n{program.said()[-3000:]}"
            )

    asyncio.run(wait_until_applied(settings_of(environment), inputs.ends, look, poll_s=_LOOK_S))


def catch_up_peer(bench: Bench, inputs: Inputs, threads: int = 1) -> Figures:
    """The Kafka Streams peer on the three of the topics that it reads; it measures itself, by the same rules.

    Its CPU time is of the whole process, the start of the JVM and its compiler included.
    """
    topics = list(inputs.names.values())[:3]
    with bench.start_peer("--topics", ",".join(topics), "--threads", str(threads)) as program:
        told = _last_json(program.wait_end())
    events, cpu_s = told["events"], told["cpu_s"]
    return {
        "events_per_s": told["events_per_s"],
        "seconds": told["first_to_done_s"],
        "cpu_s": cpu_s,
        "cpu_s_per_million": _per_million(cpu_s, events),
        "job_cpu_s_per_million": None,
        "peak_rss_mb": told["peak_rss_mb"],
    }


def _last_json(said: str) -> dict[str, Any]:
    for line in reversed(said.splitlines()):
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    raise UserError(f"the peer told no figures:\n{said[-3000:]}")


def _per_million(cpu_s: float | None, events: int) -> float | None:
    return None if cpu_s is None else cpu_s / events * 1e6

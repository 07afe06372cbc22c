"""A seeded simulation of workers under faults: `python -m streams.testing.simulation --seeds 1000`.

Real flushers, recoveries and processors work on a log in memory, in one thread and without an event loop: chance, from
the seed, decides who moves next, which request happens when, and what goes wrong. Workers crash between any two steps,
are suspended and wake as zombies, lose partitions with or without noticing, take over two at once; what they have sent
lands late, unanswered or never; changelog and snapshots are compacted at any moment. In the end, left alone, the
pipeline must have said what `backtest` says of the same log (`simulation_checks`).

One seed is one simulation, the same on every machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from streams.testing.simulated_group import Simulation
from streams.testing.simulated_worker import SimulatedParts
from streams.testing.simulation_checks import Broken


@dataclass
class Report:
    """How a simulation went. `broken`: the promise that was not kept; `trace`: what was done to the workers."""

    seed: int
    broken: str | None = None
    trace: list[str] = field(default_factory=list)
    transitions: int = 0
    steps: int = 0


def simulate(seed: int, parts: SimulatedParts | None = None, *, verbose: bool = False) -> Report:
    """The simulation of one seed. An exception of the engine is a broken promise as well."""
    simulation = Simulation(seed, parts, verbose=verbose)
    report = Report(seed, trace=simulation.trace)
    try:
        simulation.run()
    except Broken as broken:
        report.broken = str(broken)
    except Exception as error:
        if verbose:
            raise
        report.broken = repr(error)
    report.steps = simulation.steps
    report.transitions = sum(len(judge.published) for judge in simulation.judges)
    return report


def first_failure(seeds: Iterable[int], parts: SimulatedParts | None = None) -> Report | None:
    """The report of the first seed that breaks a promise."""
    for seed in seeds:
        report = simulate(seed, parts)
        if report.broken is not None:
            return report
    return None


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m streams.testing.simulation", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1000, help="how many to run")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one, and say what happened")
    parser.add_argument("--verbose", action="store_true", help="tell of every request")
    options = parser.parse_args(arguments)
    seeds = range(options.start, options.start + options.seeds) if options.seed is None else (options.seed,)
    began, done, transitions, steps = monotonic(), 0, 0, 0
    for seed in seeds:
        report = simulate(seed, verbose=options.verbose)
        done, transitions, steps = done + 1, transitions + report.transitions, steps + report.steps
        if report.broken is not None or options.seed is not None:
            _say("\n".join(report.trace))
        if report.broken is not None:
            _say(f"seed {seed}: {report.broken}")
            _say(f"again: python -m streams.testing.simulation --seed {seed} --verbose")
            return 1
    seconds = monotonic() - began
    _say(
        f"{done} seeds, {steps} steps, {transitions} transitions: all promises kept, {done / seconds * 60:.0f} a minute"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What goes wrong in a simulation, fault by fault; and how likely each is in the simulation of one seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from streams.testing.simulated_worker import TOPICS

if TYPE_CHECKING:
    from streams.testing.simulated_group import Simulation


def crash(simulation: Simulation) -> None:
    """kill -9 of a worker, wherever it stands."""
    if simulation.workers:
        worker = simulation.random.choice(simulation.workers)
        simulation.note(f"{worker.name} is killed")
        simulation.kill(worker)


def sleep(simulation: Simulation) -> None:
    """A worker is suspended, mostly for longer than its session lasts."""
    awake = [worker for worker in simulation.workers if not worker.asleep]
    if awake:
        worker = simulation.random.choice(awake)
        worker.asleep = True
        simulation.note(f"{worker.name} is suspended")
        if simulation.random.random() < 0.8:
            simulation.owners = [None if owner is worker else owner for owner in simulation.owners]
            # Somebody is there to take over.
            simulation.start_worker()


def wake(simulation: Simulation) -> None:
    """A suspended worker goes on, as if nothing had happened."""
    asleep = [worker for worker in simulation.workers if worker.asleep]
    if asleep:
        worker = simulation.random.choice(asleep)
        worker.asleep = False
        simulation.note(f"{worker.name} wakes")


def rebalance(simulation: Simulation) -> None:
    """A partition is to go to somebody else; the group waits for its owner to give it up."""
    partition = simulation.random.randrange(len(simulation.owners))
    owner = simulation.owners[partition]
    if owner is not None and not owner.asleep:
        for runner in owner.runners:
            if runner.partition == partition and runner.taking is None:
                simulation.note(f"{owner.name} is to give up partition {partition}")
                runner.stopping = True


def snatch(simulation: Simulation) -> None:
    """A partition goes to somebody else, and its owner does not know yet."""
    partition = simulation.random.randrange(len(simulation.owners))
    owner = simulation.owners[partition]
    simulation.note(f"partition {partition} is taken from {owner.name if owner is not None else 'nobody'}")
    simulation.owners[partition] = None
    if simulation.random.random() < 0.5:
        # Two take over at once.
        for worker in simulation.workers:
            if not worker.asleep and not simulation.has(worker, partition):
                simulation.assign(partition, worker)


def time_out(simulation: Simulation) -> None:
    """A sender gives up waiting for the answer to what it has written."""
    waiting = [
        task.request
        for worker in simulation.workers
        if not worker.asleep
        for runner in worker.runners
        for task in runner.tasks
        if task.request is not None and task.request.writes and not task.request.answered
    ]
    if waiting:
        request = simulation.random.choice(waiting)
        simulation.note(f"no answer: {request.name}")
        request.lost = request.orphan = True


def land(simulation: Simulation) -> None:
    """What was under way for long happens at last, or never."""
    stuck = [request for request in simulation.broker.in_flight if request.stuck]
    if stuck:
        request = simulation.random.choice(stuck)
        request.stuck = False
        if request.orphan and simulation.random.random() < 0.3:
            simulation.note(f"never happens: {request.name}")
            simulation.broker.in_flight.remove(request)
        else:
            simulation.note(f"lands late: {request.name}{' (nobody waits for it)' if request.orphan else ''}")


def compact(simulation: Simulation) -> None:
    """The changelog, or the snapshots, are compacted up to somewhere."""
    random = simulation.random
    partition = random.randrange(len(simulation.owners))
    topic = random.choice((TOPICS.changelog, TOPICS.changelog, TOPICS.snapshots))
    log = simulation.broker[topic, partition]
    below = log.last_base if simulation.profile.aggressive else random.randrange(log.end + 1)
    below = min(below, log.last_base)
    if topic == TOPICS.changelog:
        below = min(below, simulation.judges[partition].protected)
    # A tombstone stays for delete.retention.ms, in which whoever reads a log comes to its end.
    reading = any(runner.taking is not None for worker in simulation.workers for runner in worker.runners)
    gone = log.compact(below, drop_tombstones=not reading and random.random() < 0.5)
    if gone:
        simulation.note(f"{topic}-{partition} is compacted below {below}: {gone} records go")


FAULTS: Final[dict[str, Callable[[Simulation], None]]] = {
    "crash": crash,
    "sleep": sleep,
    "wake": wake,
    "rebalance": rebalance,
    "snatch": snatch,
    "time_out": time_out,
    "land": land,
    "compact": compact,
}


@dataclass(frozen=True)
class Profile:
    """What is likely in one simulation; each fault's weight may be 0."""

    faults: float
    weights: tuple[float, ...]
    stuck: float
    flush: float
    workers: int
    small_pages: bool
    batch_bytes: int
    announced: bool
    aggressive: bool

    @classmethod
    def of(cls, random: Random) -> Profile:
        """A random one."""
        return cls(
            faults=random.choice((0.01, 0.03, 0.08)),
            weights=tuple(random.choice((0, 1, 1, 4)) for _ in FAULTS),
            stuck=random.choice((0.0, 0.05, 0.2)),
            flush=random.choice((0.1, 0.3, 0.9)),
            workers=random.choice((1, 2, 2, 3)),
            small_pages=random.random() < 0.4,
            batch_bytes=random.choice((300, 1000, 8_000_000, 8_000_000)),
            announced=random.random() < 0.3,
            aggressive=random.random() < 0.5,
        )

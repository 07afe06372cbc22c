"""The course of one simulation: who moves next, whom the group gives partitions to, and how it all comes to rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random

from streams.codecs import row as row_codec
from streams.engine import cut as cut_module
from streams.engine.flush import Fenced
from streams.engine.log_writer import Row
from streams.testing.fake_log import FakeBroker, FakeLog, Place, Request
from streams.testing.random_log import RandomLog, random_policies
from streams.testing.simulated_faults import FAULTS, Profile
from streams.testing.simulated_worker import TOPICS, Input, Runner, SimulatedParts, Worker
from streams.testing.simulation_checks import Judge, require

# Left alone, a simulation comes to rest within some hundred steps; one that takes so many never will.
REST_STEPS_MAX = 20_000


class Simulation:
    """The simulation of one seed.

    `workers`: the processes that live. `owners`: who has each partition, as the group sees it. `judges`: one for each.
    """

    def __init__(self, seed: int, parts: SimulatedParts | None = None, *, verbose: bool = False) -> None:
        self.random = random = Random(seed)
        self.profile = profile = Profile.of(random)
        self.trace: list[str] = []
        self.steps = 0
        partitions = random.choice((1, 1, 1, 2))
        self.log = RandomLog(
            random,
            events=random.randrange(10, 41),
            products=random.choice((1, 2, 3)),
            days=random.choice((2, 5, 20)),
            partitions=partitions,
        )
        self.policies = random_policies(random, self.log.end_ms)
        self.judges = [Judge(partition, self.log, self.policies) for partition in range(partitions)]
        self.inputs = [Input(logs, announced=profile.announced) for logs in self.log.logs]
        self.broker = FakeBroker(random, self._observe)
        self.broker.stuck_chance = profile.stuck
        self.workers: list[Worker] = []
        self.owners: list[Worker | None] = [None] * partitions
        self._parts = parts or SimulatedParts()
        self._fake_log = FakeLog(self.broker, random)
        self._verbose = verbose
        self._names = 0

    def _observe(self, place: Place, base: int, rows: Sequence[Row]) -> None:
        topic, partition = place
        judge = self.judges[partition]
        if topic == TOPICS.changelog:
            judge.changelog(base, rows)
        elif topic == TOPICS.transitions:
            judge.transitions(rows)
        elif topic == TOPICS.dead_letters:
            judge.dead_letters(rows)

    def note(self, text: str) -> None:
        """Say in the trace what happens."""
        self.trace.append(f"{self.steps:5d}  {text}")

    # -- the course of it

    def run(self) -> None:
        """All of it. Raises Broken, or whatever the engine raises."""
        with self._limits():
            steps = self.random.choice((50, 150, 350))
            while self.steps < steps:
                self._disturbed_step()
            self._calm_down()
            self._come_to_rest()
            # What landed last is found by an idle owner's next look.
            for worker in self.workers:
                for runner in worker.runners:
                    runner.check_due = True
            self._come_to_rest()
            self._check()

    @contextmanager
    def _limits(self) -> Iterator[None]:
        """Small pages and small batches, where the profile has them."""
        kept = row_codec.PAGED_FROM, row_codec.PAGE_ITEMS_MAX, row_codec.PAGE_ITEMS_MIN, cut_module.BATCH_BYTES_MAX
        if self.profile.small_pages:
            row_codec.PAGED_FROM, row_codec.PAGE_ITEMS_MAX, row_codec.PAGE_ITEMS_MIN = 4, 3, 1
        cut_module.BATCH_BYTES_MAX = self.profile.batch_bytes
        try:
            yield
        finally:
            row_codec.PAGED_FROM, row_codec.PAGE_ITEMS_MAX, row_codec.PAGE_ITEMS_MIN = kept[:3]
            cut_module.BATCH_BYTES_MAX = kept[3]

    def _disturbed_step(self) -> None:
        if self.random.random() < self.profile.faults:
            (name,) = self.random.choices(list(FAULTS), self.profile.weights) if any(self.profile.weights) else ("",)
            if name:
                FAULTS[name](self)
        self._step()

    def _step(self) -> None:
        """A request happens, or a runner moves, or the group assigns; and input may come."""
        self.steps += 1
        random = self.random
        moving = [request for request in self.broker.in_flight if not request.stuck]
        runners = [(w, r) for w in self.workers if not w.asleep for r in w.runners if r.can_step]
        chosen = int(random.random() * (len(moving) + len(runners) + 1))
        if chosen < len(moving):
            self._apply(moving[chosen])
        elif chosen < len(moving) + len(runners):
            self._move(*runners[chosen - len(moving)])
        else:
            self._group()
        if self.profile.announced:
            self._grow()

    def _apply(self, request: Request) -> None:
        if self._verbose:
            self.note(f"happens: {request.name}{' (nobody waits for it)' if request.orphan else ''}")
        self.broker.apply(request)

    def _move(self, worker: Worker, runner: Runner) -> None:
        runner.step(self.profile.flush)
        if isinstance(runner.failed, Fenced) and self._lost(worker, runner) and self.random.random() < 0.5:
            # In a rebalance the engine waits to be told so by the group.
            self.note(f"{worker.name} finds that another has partition {runner.partition}")
            worker.runners.remove(runner)
        elif runner.failed is not None:
            # The engine stops its whole worker, whichever partition failed.
            self.note(f"{worker.name} stops: {runner.failed}")
            self.kill(worker)
        elif runner.gone:
            worker.runners.remove(runner)
            if not runner.abandoned:
                self._commit(runner)
            if self.owners[runner.partition] is worker:
                self.owners[runner.partition] = None
            self.note(f"{worker.name} has given up partition {runner.partition}")
        elif runner.taking is None and self.random.random() < 0.1:
            self._commit(runner)

    def _commit(self, runner: Runner) -> None:
        positions = list(runner.flusher.durable_positions)
        partition = runner.partition

        def commit() -> None:
            self.judges[partition].committed(positions)
            self.inputs[partition].committed = positions

        self.broker.request(f"commit {positions}", commit).orphan = True

    def _group(self) -> None:
        """The group assigns what nobody has, and tells those who have lost a partition."""
        random = self.random
        while len(self.workers) < self.profile.workers:
            self.start_worker()
        for partition, owner in enumerate(self.owners):
            if owner is None:
                awake = [worker for worker in self.workers if not worker.asleep and not self.has(worker, partition)]
                if awake and random.random() < 0.7:
                    self.assign(partition, random.choice(awake))
        for worker in self.workers:
            for runner in worker.runners:
                if self._lost(worker, runner) and not worker.asleep and random.random() < 0.03:
                    runner.abandoned = True

    def _lost(self, worker: Worker, runner: Runner) -> bool:
        """Whether the group has given the runner's partition to somebody else, or to nobody yet."""
        return self.owners[runner.partition] is not worker

    def start_worker(self) -> None:
        """One more process."""
        self._names += 1
        self.workers.append(Worker(f"worker {self._names}"))

    def has(self, worker: Worker, partition: int) -> bool:
        """Whether the worker works on the partition, or thinks so."""
        return any(runner.partition == partition for runner in worker.runners)

    def assign(self, partition: int, worker: Worker) -> None:
        """The group gives a partition to a worker, which takes it over."""
        self.note(f"{worker.name} takes over partition {partition}")
        self.owners[partition] = worker
        source = self.inputs[partition]
        worker.runners.append(Runner(partition, self._fake_log, source, self.policies, self._parts, self.random))

    def _grow(self) -> None:
        for source in self.inputs:
            for topic, end in enumerate(source.ends):
                if source.present[topic] < end and self.random.random() < 0.1:
                    source.present[topic] += 1

    def kill(self, worker: Worker) -> None:
        """A worker dies, and the group learns of it."""
        worker.kill()
        self.workers.remove(worker)
        self.owners = [None if owner is worker else owner for owner in self.owners]

    # -- the end

    def _calm_down(self) -> None:
        """No more faults: the sleepers wake or die, what is under way lands or is lost."""
        random, broker = self.random, self.broker
        self.note("calm")
        broker.stuck_chance = 0.0
        if random.random() < 0.5:
            for worker in list(self.workers):
                self.kill(worker)
        for worker in self.workers:
            worker.asleep = False
        for request in list(broker.in_flight):
            request.stuck = False
            if request.orphan and random.random() < 0.3:
                broker.in_flight.remove(request)

    def _come_to_rest(self) -> None:
        began = self.steps
        while not self._at_rest():
            require(self.steps < began + REST_STEPS_MAX, "never stuck")
            self._step()

    def _at_rest(self) -> bool:
        if self.broker.in_flight or None in self.owners:
            return False
        for worker in self.workers:
            for runner in worker.runners:
                if self.owners[runner.partition] is not worker or not runner.is_idle:
                    return False
        return True

    def _check(self) -> None:
        for judge in self.judges:
            judge.all_published()
            runner = self._runner_of(judge.partition)
            changelog = self.broker[TOPICS.changelog, judge.partition]
            snapshots = self.broker[TOPICS.snapshots, judge.partition]
            judge.recovered(changelog, "read back")
            judge.snapshots(snapshots)
            below = min(judge.protected, changelog.last_base)
            changelog.compact(below, drop_tombstones=False)
            judge.recovered(changelog, "read back after compaction")
            changelog.compact(below, drop_tombstones=True)
            judge.recovered(changelog, "read back after compaction of tombstones")
            judge.state(runner.processor.partition, "in memory")

    def _runner_of(self, partition: int) -> Runner:
        worker = self.owners[partition]
        assert worker is not None
        return next(runner for runner in worker.runners if runner.partition == partition)

"""Workers that are killed, stopped, suspended, added and taken away (SPEC 9.1, 9.2, 9.3, 9.8)."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from streams.settings import Settings
from tests.chaos.harness import LONG_SESSION, Story, chaos, exit_code, frozen
from tests.integration.pipeline import wait_for

pytestmark = pytest.mark.chaos


def test_kill_9_of_each_of_three_in_rotation(
    broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]
) -> None:
    with chaos(broker, tmp_path, told, table, "kill -9 of each of 3 workers in rotation") as running:
        workers = running.start(3)
        running.feed(3)
        for worker in workers:
            running.survive(worker.kill)
            # Its successor recovers while the next one is killed.
            running.start_worker()
        running.finish()


def test_kill_9_of_one_of_two_with_the_default_session(
    broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]
) -> None:
    """How long its partitions stand still is bounded by the session: nobody else can know that it is dead."""
    default = f"{Settings().session_timeout_ms}ms"
    name = f"kill -9 of one of 2 workers, session {default}"
    with chaos(broker, tmp_path, told, table, name, FLAGGED_SESSION_TIMEOUT=default) as running:
        workers = running.start(2)
        running.feed(3)
        running.survive(workers[0].kill)
        running.finish()


def test_kill_9_during_recovery(broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]) -> None:
    with chaos(broker, tmp_path, told, table, "kill -9 while taking over, then start") as running:
        running.start()
        running.feed(3)
        for _ in range(3):
            running.workers[-1].kill()
            hasty = running.start_worker()
            wait_for(lambda w=hasty: w.says("worker starts"), "a worker that starts")  # type: ignore[misc]
            running.survive(lambda w=hasty: (w.kill(), running.start()))  # type: ignore[misc]
        running.finish()


def test_rolling_restart_with_static_membership(
    broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]
) -> None:
    with chaos(broker, tmp_path, told, table, "rolling restart (SIGTERM), static membership") as running:
        names = [{"FLAGGED_INSTANCE_ID": f"worker-{number}"} for number in range(2)]
        workers = [running.start(**name)[0] for name in names]
        running.feed(3)
        for worker, name in zip(workers, names, strict=True):
            running.survive(lambda w=worker, n=name: (w.stop(), running.start_worker(**n)))  # type: ignore[misc]
            assert worker.process.returncode == 0
        running.finish()


def test_one_three_one_workers_under_load(
    broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]
) -> None:
    with chaos(broker, tmp_path, told, table, "1 -> 3 -> 1 workers under load") as running:
        (first,) = running.start()
        running.feed(2)
        running.survive(lambda: running.start_worker())
        running.survive(lambda: running.start_worker())
        for worker in running.workers[1:]:
            running.survive(worker.stop)
        assert first.process.poll() is None
        running.finish()


def test_more_workers_than_partitions(broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]) -> None:
    with chaos(broker, tmp_path, told, table, "6 workers for 4 partitions, one of them killed") as running:
        for _ in range(6):
            running.start_worker()
        running.feed(3)
        running.wait_applied()
        running.survive(running.workers[0].kill)
        running.finish()
        assert [worker.process.poll() for worker in running.workers[1:]] == [None] * 5


def test_a_zombie_harms_nothing(broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]) -> None:
    with chaos(broker, tmp_path, told, table, "SIGSTOP beyond the session, taken over, SIGCONT") as running:
        zombie, _ = running.start(2)
        running.feed(3)  # it has work under way when it falls asleep
        running.survive(lambda: zombie.process.send_signal(signal.SIGSTOP))
        running.wait_applied()
        running.survive(lambda: zombie.process.send_signal(signal.SIGCONT))
        running.finish()
        if zombie.process.poll() is not None:
            assert exit_code(zombie) == 2
            assert zombie.says("another worker took it over")


def test_sigterm_in_mid_batch(broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]) -> None:
    with chaos(broker, tmp_path, told, table, "SIGTERM with much under way, then start", **LONG_SESSION) as running:
        (worker,) = running.start()
        for _ in range(3):
            running.feed(2)  # without waiting: it is in the midst of it
            assert worker.stop() == 0, running.logs()
            (worker,) = running.start()
            running.survive(lambda: None)
        running.finish()


def test_kill_9_with_a_flush_on_its_way(tmp_path: Path, told: Story, table: list[str]) -> None:
    """The broker has the flush, or will find it, when its writer is dead: it lands before, or while, another claims."""
    name = "kill -9 with flushes on their way to a frozen broker"
    with EmbeddedBroker(data_dir=tmp_path / "broker") as own, chaos(own, tmp_path, told, table, name) as running:
        (worker,) = running.start()
        running.feed(2)
        running.wait_applied()
        for _ in range(2):
            with running.asleep():
                running.feed(2)
            time.sleep(0.5)  # any moment of its work will do
            with frozen(own):
                time.sleep(1)
                worker.kill()
            (worker,) = running.start()
            running.survive(lambda: None)
        running.finish()

"""A broker that goes away, comes late, or can't write any more (SPEC 9.3, 9.6)."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from tests.chaos.harness import LONG_SESSION, Story, chaos
from tests.integration.pipeline import wait_for

pytestmark = pytest.mark.chaos

LONG = pytest.mark.thorough


@pytest.mark.parametrize(
    ("how", "away_s"),
    [("kill -9", 12), ("clean stop", 12), pytest.param("kill -9", 200, marks=LONG)],
)
def test_the_broker_goes_and_comes_back(tmp_path: Path, told: Story, table: list[str], how: str, away_s: int) -> None:
    fault_name = f"broker: {how}, away for {away_s} s, started"
    with EmbeddedBroker(data_dir=tmp_path / "broker") as own, chaos(own, tmp_path, told, table, fault_name) as running:
        workers = running.start(2)
        running.feed(3)

        def fault() -> None:
            (own.kill if how == "kill -9" else own.stop)()
            time.sleep(away_s)  # longer than a session
            own.start()

        running.survive(fault)
        running.finish()
        assert [worker.process.poll() for worker in workers] == [None, None], running.logs()


def test_the_broker_comes_late(tmp_path: Path, told: Story, table: list[str]) -> None:
    name = "broker started after the workers"
    with (
        EmbeddedBroker(data_dir=tmp_path / "broker") as own,
        chaos(own, tmp_path, told, table, name, FLAGGED_BROKER_WAIT="1h") as running,
    ):
        own.stop()
        workers = [running.start_worker() for _ in range(2)]
        for worker in workers:
            wait_for(lambda w=worker: w.says("waiting for the broker"), "a worker that waits")  # type: ignore[misc]
            assert worker.page("/readyz")[0] == 503
        own.start()
        running.survive(lambda: None)
        running.finish()
        assert [worker.process.poll() for worker in workers] == [None, None], running.logs()


def test_the_disk_is_full(tmp_path: Path, told: Story, table: list[str]) -> None:
    """Kafka gives up on a disk it can't write to. What was not acked is written when it is back with room to write."""
    name = "broker can't write any more, ends, started with room"
    with (
        EmbeddedBroker(data_dir=tmp_path / "broker") as own,
        chaos(own, tmp_path, told, table, name, **LONG_SESSION) as running,
    ):
        workers = running.start(2)
        running.feed(3)
        running.wait_applied()

        def fault() -> None:
            with running.asleep():
                running.feed()
                assert own.pid is not None
                # No file may grow beyond this: to a writer it is what a full disk is.
                resource.prlimit(own.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            wait_for(lambda: not own.is_running, "the broker's end")
            own.stop()
            own.start()

        running.survive(fault)
        running.finish()
        assert [worker.process.poll() for worker in workers] == [None, None], running.logs()

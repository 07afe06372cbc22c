"""A broker that goes away, comes late, or refuses to take what is written (SPEC 9.3, 9.6)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from tests.chaos.harness import Story, chaos, exit_code

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize("how", ["kill -9", "clean stop"])
def test_the_broker_goes_and_comes_back(tmp_path: Path, told: Story, table: list[str], how: str) -> None:
    fault_name = f"broker: {how}, away for 12 s, started"
    with EmbeddedBroker(data_dir=tmp_path / "broker") as own, chaos(own, tmp_path, told, table, fault_name) as running:
        workers = running.start(2)
        running.feed(3)

        def fault() -> None:
            (own.kill if how == "kill -9" else own.stop)()
            time.sleep(12)  # longer than a session
            own.start()

        running.survive(fault)
        running.finish()
        assert [worker.process.poll() for worker in workers] == [None, None], running.logs()


def test_a_changelog_made_anew_is_refused(
    broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]
) -> None:
    """Its state is gone: going on would count all that came before as never seen."""
    with chaos(broker, tmp_path, told, table, "changelog deleted and made anew: refused") as running:
        (worker,) = running.start()
        running.feed(2)
        running.wait_applied()
        running.delete(running.settings.changelog_topic)
        running.run("topics", "create")
        running.feed()
        assert exit_code(worker) == 2, running.logs()
        assert worker.says("the topic was deleted and made anew"), running.logs()


@pytest.mark.parametrize("offset", [0, 10**9], ids=["lost", "out of range"])
def test_the_groups_offsets_are_wrong(
    broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str], offset: int
) -> None:
    """They are for lag tools: a new owner reads on from its cut."""
    with chaos(broker, tmp_path, told, table, f"committed offsets set to {offset} between kill and start") as running:
        (worker,) = running.start()
        running.feed(4)
        worker.kill()
        running.spoil_offsets(offset)
        running.survive(lambda: running.start())
        running.finish()

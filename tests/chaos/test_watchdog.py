"""A worker that hangs says so: it would otherwise be live, ready and of no use for ever (SPEC 9.7)."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from tests.chaos.harness import Story, chaos
from tests.integration.pipeline import wait_for

pytestmark = pytest.mark.chaos


def test_a_fetcher_that_never_returns(broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]) -> None:
    hang = tmp_path / "hang"
    spoilt = {"SPOIL_FETCH": str(hang), "FLAGGED_STALL_TIMEOUT": "3s"}
    with chaos(broker, tmp_path, told, table, "a fetch never returns: liveness fails, restarted", **spoilt) as running:
        worker = running.start_worker(module="tests.chaos.spoilt_worker")
        running.feed(2)
        running.wait_applied()
        wait_for(lambda: worker.page("/readyz")[0] == 200, "readiness")
        assert worker.page("/livez")[0] == 200

        hang.touch()
        running.feed()
        wait_for(lambda: worker.page("/livez")[0] == 503, "liveness fails")
        _, reason = worker.page("/livez")
        assert running.settings.orders_topic in reason, reason
        assert worker.page("/readyz")[1].startswith("degraded")
        assert worker.process.poll() is None

        # What an orchestrator does now.
        hang.unlink()
        worker.kill()
        running.survive(lambda: running.start())
        running.finish()


def test_readiness_in_recovery(broker: EmbeddedBroker, tmp_path: Path, told: Story, table: list[str]) -> None:
    """A recovery that hangs: not ready from the start, and says that it recovers."""
    hang = tmp_path / "hang"
    with chaos(broker, tmp_path, told, table, "a recovery hangs, killed, started", SPOIL_FETCH=str(hang)) as running:
        (worker,) = running.start()
        running.feed(3)
        running.wait_applied()
        worker.kill()
        hang.touch()
        stuck = running.start_worker(module="tests.chaos.spoilt_worker")
        wait_for(lambda: stuck.page("/readyz")[1].startswith("recovering"), "readiness says that it recovers")
        assert stuck.page("/readyz")[0] == 503
        assert stuck.page("/livez")[0] == 200
        stuck.kill()
        running.survive(lambda: running.start())
        running.finish()

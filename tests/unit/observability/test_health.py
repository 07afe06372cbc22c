"""Liveness and readiness."""

from __future__ import annotations

import pytest

from streams.observability.health import Health, Readiness


def test_a_new_process_is_live_and_not_ready() -> None:
    health = Health()
    assert (health.live, health.ready, health.readiness) == (True, False, Readiness.STARTING)
    assert health.live_reasons == ()
    assert health.ready_reasons == ("the process has begun",)


def test_it_is_ready_once_it_runs() -> None:
    health = Health()
    health.enter(Readiness.RECOVERING, "2 of 8 partitions")
    assert (health.ready, health.readiness, health.ready_reasons) == (False, "recovering", ("2 of 8 partitions",))
    health.enter(Readiness.RUNNING)
    assert (health.ready, health.readiness, health.ready_reasons) == (True, "running", ())
    health.enter(Readiness.RECOVERING, "a rebalance")
    assert not health.ready


def test_each_part_takes_back_only_what_it_said() -> None:
    health = Health()
    health.enter(Readiness.RUNNING)
    health.fail("partition 3", "no progress for 60 s")
    health.fail("partition 1", "no progress for 61 s")
    assert not health.live
    assert health.live_reasons == ("partition 1: no progress for 61 s", "partition 3: no progress for 60 s")
    assert (health.ready, health.readiness) == (True, "degraded")
    health.recover("partition 3")
    health.recover("partition 9")
    assert not health.live
    health.recover("partition 1")
    assert (health.live, health.readiness) == (True, "running")


def test_degraded_is_still_ready_and_says_why() -> None:
    health = Health()
    health.degrade("broker", "2 of 3 unreachable")
    assert health.readiness == "starting"
    health.enter(Readiness.RUNNING)
    assert (health.ready, health.readiness) == (True, Readiness.DEGRADED)
    assert health.ready_reasons == ("broker: 2 of 3 unreachable",)
    health.restore("broker")
    assert health.readiness == "running"
    with pytest.raises(ValueError, match="degrade"):
        health.enter(Readiness.DEGRADED)


def test_who_stops_does_not_start_again() -> None:
    health = Health()
    health.enter(Readiness.STOPPING, "SIGTERM")
    health.enter(Readiness.RUNNING)
    assert (health.ready, health.readiness, health.ready_reasons) == (False, "stopping", ("SIGTERM",))
    assert health.live

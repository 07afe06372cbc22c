"""Readiness says degraded while most of the input is refused (SPEC 9.7)."""

from __future__ import annotations

from streams.engine.refusals_watch import RefusalsWatch
from streams.observability.health import Health, Readiness


def test_a_storm_of_refused_records_degrades_until_it_is_over() -> None:
    health = Health()
    health.enter(Readiness.RUNNING)
    watch = RefusalsWatch(health)
    watch.look(1.0, 10, 10)
    assert health.readiness is Readiness.RUNNING, "ten records say nothing"
    watch.look(2.0, 1_000, 990)
    assert health.readiness is Readiness.DEGRADED
    assert "99 % of the last 1000 records were refused" in health.ready_reasons[-1]
    watch.look(12.5, 1_500, 990)
    watch.look(13.0, 1_600, 990)
    assert health.readiness is Readiness.RUNNING


def test_half_is_not_most() -> None:
    health = Health()
    health.enter(Readiness.RUNNING)
    RefusalsWatch(health).look(1.0, 1_000, 500)
    assert health.readiness is Readiness.RUNNING

"""A worker outlasts a broker that is away, and says so (SPEC 9.6)."""

from __future__ import annotations

from time import monotonic

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from streams.engine import patience as module
from streams.engine.patience import Patience
from streams.errors import UserError
from streams.observability.health import Health, Readiness
from tests.integration.waiting import in_loop


@in_loop
async def test_it_tries_again_until_the_broker_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    monkeypatch.setattr(module, "TELL_AFTER_S", 0.0)
    health = Health()
    health.enter(Readiness.RUNNING)
    told: list[Readiness] = []

    async def attempt() -> int:
        told.append(health.readiness)
        if len(told) < 3:
            raise KafkaConnectionError("away")
        return 7

    assert await Patience(health, 60_000).outlast("ask", attempt) == 7
    assert told == [Readiness.RUNNING, Readiness.DEGRADED, Readiness.DEGRADED]
    assert health.readiness is Readiness.RUNNING


@pytest.mark.parametrize("error", [TopicAuthorizationFailedError("t"), UserError("mend it"), ValueError("a bug")])
@in_loop
async def test_what_does_not_pass_is_raised(error: Exception) -> None:
    async def attempt() -> int:
        raise error

    with pytest.raises(type(error)):
        await Patience(Health(), 60_000).outlast("ask", attempt)


def test_a_wait_beyond_the_stall_timeout_fails_liveness_until_it_is_over() -> None:
    health = Health()
    patience = Patience(health, 60_000)
    patience.waiting("write", monotonic() - 30, "no ack")
    assert health.live
    patience.waiting("write", monotonic() - 61, "no ack")
    assert health.live_reasons == ("broker (write): trying for 61 s to write: no ack",)
    patience.over("write")
    assert health.live
    assert health.ready_reasons == ("the process has begun",)


def test_a_short_wait_is_nothing_to_speak_of() -> None:
    health = Health()
    Patience(health, 60_000).waiting("write", monotonic(), "no ack")
    assert health.ready_reasons == ("the process has begun",)

"""Outlasting a broker that does not answer: a worker at work waits, and says so (SPEC 9.6; DESIGN decision 8).

Nothing is lost by waiting: what is not durable is read again, and what was sent is asked for until it is acked. So a
broker's restart of seconds or of minutes costs a worker nothing but the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

from aiokafka.errors import KafkaError, KafkaTimeoutError

from streams.engine.log_reader import ReadStalled
from streams.errors import BrokerUnreachable
from streams.observability.health import Health
from streams.observability.logging import get_logger

# Between two tries, s.
RETRY_S = 0.5
# Waiting for so long is worth a word, s.
TELL_AFTER_S = 5.0

Result = TypeVar("Result")

log = get_logger(__name__)


def passes(error: BaseException) -> bool:
    """Whether the same may succeed later, with nothing done but to wait."""
    if isinstance(error, KafkaError):
        return bool(error.retriable) or isinstance(error, KafkaTimeoutError)
    return isinstance(error, ReadStalled | BrokerUnreachable | OSError | TimeoutError)


class Patience:
    """What of one process waits for the broker; tells `health` of it.

    `stall_timeout_ms`: after so long liveness fails, until the wait is over.
    """

    def __init__(self, health: Health, stall_timeout_ms: int) -> None:
        self._health = health
        self._stall_timeout_s = stall_timeout_ms / 1000
        self._since: dict[str, float] = {}

    async def outlast(self, what: str, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """The result of `attempt`, tried again for as long as its error is one that passes.

        `what` says what is being tried ("read the changelog of partition 3"). Raises what does not pass.
        """
        began = monotonic()
        try:
            while True:
                try:
                    return await attempt()
                except Exception as error:
                    if not passes(error):
                        raise
                    self.waiting(what, began, str(error) or repr(error))
                await asyncio.sleep(RETRY_S)
        finally:
            self.over(what)

    def waiting(self, what: str, began: float, why: str) -> None:
        """`what` has been waiting since `began` (monotonic, s)."""
        waited_s = monotonic() - began
        if waited_s < TELL_AFTER_S:
            return
        if what not in self._since:
            log.warning("waiting for the broker", what=what, reason=why)
        self._since[what] = began
        reason = f"trying for {waited_s:.0f} s to {what}: {why}"
        self._health.degrade(_part(what), reason)
        if waited_s >= self._stall_timeout_s:
            self._health.fail(_part(what), reason)

    def over(self, what: str) -> None:
        """`what` waits no more."""
        began = self._since.pop(what, None)
        if began is not None:
            self._health.restore(_part(what))
            self._health.recover(_part(what))
            log.info("the broker answers", what=what, waited_s=round(monotonic() - began, 1))


def _part(what: str) -> str:
    return f"broker ({what})"

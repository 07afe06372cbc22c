"""Is this process alive, and is it ready? Pure; `streams.observability.web` shows it.

Liveness fails when a restart would help: a partition that has lag and makes no progress (SPEC section 9, promise 6).
Readiness says how far along the process is.
"""

from __future__ import annotations

from enum import StrEnum


class Readiness(StrEnum):
    """How far along a process is."""

    STARTING = "starting"
    RECOVERING = "recovering"
    RUNNING = "running"
    DEGRADED = "degraded"  # at work, though not all is well
    STOPPING = "stopping"


class Health:
    """The health of one process, told by its parts.

    A part speaks under a name of its own (`partition 3`, `broker`), so that it can take back what it said without
    touching what others say. Every change is one assignment of an immutable value: a reader in another thread sees
    the state before it or after it.
    """

    def __init__(self) -> None:
        self._phase = Readiness.STARTING
        self._phase_reason = "the process has begun"
        self._failures: dict[str, str] = {}
        self._troubles: dict[str, str] = {}

    def enter(self, phase: Readiness, reason: str = "") -> None:
        """The process is now `phase`: starting, recovering, running or stopping; once stopping, it stays so.

        Degraded follows from `degrade` and can't be entered: that raises ValueError.
        """
        if phase is Readiness.DEGRADED:
            raise ValueError("degraded follows from degrade()")
        if self._phase is not Readiness.STOPPING:
            self._phase, self._phase_reason = phase, reason

    def fail(self, part: str, reason: str) -> None:
        """Liveness fails until `recover(part)`."""
        self._failures = {**self._failures, part: reason}

    def recover(self, part: str) -> None:
        """What made `part` fail is over."""
        self._failures = {name: reason for name, reason in self._failures.items() if name != part}

    def degrade(self, part: str, reason: str) -> None:
        """Something about `part` isn't well, though a restart wouldn't help; until `restore(part)`."""
        self._troubles = {**self._troubles, part: reason}

    def restore(self, part: str) -> None:
        """What degraded `part` is over."""
        self._troubles = {name: reason for name, reason in self._troubles.items() if name != part}

    @property
    def live(self) -> bool:
        """Whether the process should go on living."""
        return not self._failures

    @property
    def live_reasons(self) -> tuple[str, ...]:
        """Why not, as `part: reason`."""
        return _sentences(self._failures)

    @property
    def readiness(self) -> Readiness:
        """How far along the process is; degraded when it runs and some part isn't well."""
        phase = self._phase
        if phase is Readiness.RUNNING and (self._troubles or self._failures):
            return Readiness.DEGRADED
        return phase

    @property
    def ready(self) -> bool:
        """Whether the process does its work: running, or degraded."""
        return self._phase is Readiness.RUNNING

    @property
    def ready_reasons(self) -> tuple[str, ...]:
        """Why the process is in its state: the phase's reason, then what isn't well."""
        phase = (self._phase_reason,) if self._phase_reason else ()
        return (*phase, *_sentences(self._failures), *_sentences(self._troubles))


def _sentences(reasons: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{part}: {reason}" for part, reason in sorted(reasons.items()))

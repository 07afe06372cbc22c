"""A circuit per webhook: an endpoint in trouble is left in peace, and asked now and then whether it is well. Pure."""

from __future__ import annotations

from random import Random

from streams.codecs.durations import UNIT_MS

# One slip is no trouble; with eight in flight, five in a row are.
_FAILURES_TO_OPEN = 5
# Between probes: soon at first, as most trouble is a restart, and never so seldom that an endpoint which is well again
# waits long.
_FIRST_PAUSE_MS, _LONGEST_PAUSE_MS = UNIT_MS["s"], UNIT_MS["m"]


class Circuit:
    """Times are ms of a clock that does not jump, such as `time.monotonic`."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._failures = 0
        self._until_ms = 0
        self._failing_since_ms: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether the endpoint is taken to be in trouble."""
        return self._failures >= _FAILURES_TO_OPEN

    def failing_for_ms(self, now_ms: int) -> int:
        """How long nothing but failures has come; 0 after a success."""
        return 0 if self._failing_since_ms is None else now_ms - self._failing_since_ms

    def allowed(self, now_ms: int, in_flight: int) -> bool:
        """Whether another request may begin; while the circuit is open, one at a time and only after the pause."""
        return now_ms >= self._until_ms and not (self.is_open and in_flight)

    def wait_ms(self, now_ms: int) -> int:
        """How long nothing is allowed, whatever is in flight."""
        return max(0, self._until_ms - now_ms)

    def succeeded(self) -> bool:
        """The endpoint is well; whether it was in trouble before."""
        was_open = self.is_open
        self._failures, self._until_ms, self._failing_since_ms = 0, 0, None
        return was_open

    def failed(self, now_ms: int, asked_pause_ms: int | None = None) -> bool:
        """One more failure, after which the endpoint may have asked for a pause; whether this opened the circuit."""
        was_open = self.is_open
        self._failures += 1
        if self._failing_since_ms is None:
            self._failing_since_ms = now_ms
        if asked_pause_ms is not None:
            self._until_ms = max(self._until_ms, now_ms + asked_pause_ms)
        if self.is_open:
            longest = min(_FIRST_PAUSE_MS << min(self._failures - _FAILURES_TO_OPEN, 20), _LONGEST_PAUSE_MS)
            self._until_ms = max(self._until_ms, now_ms + self._dice.randint(longest // 2, longest))
        return self.is_open and not was_open

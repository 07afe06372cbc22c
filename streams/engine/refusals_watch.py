"""Whether most of what comes in is refused: then all is not well, though nothing stops (SPEC 9.7)."""

from __future__ import annotations

from collections import deque

from streams.observability.health import Health

PART = "input"
# How far back to look, s, and from how many records on a share of refused ones says anything.
WINDOW_S = 10.0
RECORDS_MIN = 100
SHARE_MAX = 0.5


class RefusalsWatch:
    """Tells `health` while more than half of the records of the last seconds were refused."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._seen: deque[tuple[float, int, int]] = deque([(0.0, 0, 0)])

    def look(self, now_s: float, records: int, refused: int) -> None:
        """`records` and `refused` are how many there have been of this process, ever; `now_s` is monotonic."""
        seen = self._seen
        seen.append((now_s, records, refused))
        while len(seen) > 2 and now_s - seen[1][0] >= WINDOW_S:
            seen.popleft()
        _, records_before, refused_before = seen[0]
        records, refused = records - records_before, refused - refused_before
        if records >= RECORDS_MIN and refused > SHARE_MAX * records:
            share = 100 * refused // records
            self._health.degrade(
                PART, f"{share} % of the last {records} records were refused; the dead letters say why, one by one"
            )
        else:
            self._health.restore(PART)

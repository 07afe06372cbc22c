"""Python's cycle collector, tamed: no pause that a transition would have to wait for.

State is millions of objects that stay, and next to none of them are in cycles. Left alone, the collector goes through
the new ones again and again; with large thresholds it costs less, but stops all for 40 ms now and then, for 200 ms
sometimes, and for seconds when it goes through everything. Here it looks at each new object once, a few at a time, and
at those that are still there no more (`gc.freeze`). Cycles that live longer than that, of which a client library makes
one at a lost connection or an error, are found when all is gone through: once in a hundred million new objects.
"""

from __future__ import annotations

import asyncio
import gc

#: New objects that make the collector look at them: within 2 ms or so.
YOUNG_OBJECTS = 2_500
#: Looks at the young after which everything is looked at.
LOOKS_BEFORE_ALL = 40_000
# The collector's own older generations stay empty.
_NEVER = 1_000_000_000


class Collector:
    """The policy of the module, for the process; `start` once, in the thread of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.looks = 0
        self._loop = loop

    def start(self) -> None:
        """Take the collector over. What there is now is gone through once, and then left alone."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS, _NEVER, _NEVER)
        gc.callbacks.append(self._on_collection)

    def stop(self) -> None:
        """Leave the collector to itself again, with Python's own thresholds."""
        gc.callbacks.remove(self._on_collection)
        gc.set_threshold(700, 10, 10)
        gc.unfreeze()

    def _on_collection(self, phase: str, info: dict[str, int]) -> None:
        if phase != "stop" or info["generation"] != 0:
            return
        gc.freeze()
        self.looks += 1
        if self.looks % LOOKS_BEFORE_ALL == 0:
            # Not here: the collector is still at work, and would do nothing.
            self._loop.call_soon_threadsafe(collect_all)


def collect_all() -> None:
    """Go through everything; a pause of a second or so for each few million objects."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()

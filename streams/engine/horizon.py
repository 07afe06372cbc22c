"""Up to which time each input topic is known to be read, for the wall clock (SPEC section 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic

from faust.types import TP

from streams.engine.consumer import BatchConsumer
from streams.engine.merge import TopicQueue

# What was safe to say stays so, and is only some ms early: the processor asks before every run of records, which may be
# a handful, and the broker's answers come no faster than this.
LOOK_AGAIN_S = 0.005


class ReadHorizon:
    """Looks at what the broker has answered about the four input topics of a partition.

    An answer that shows a topic read to its end covers all that was written before that answer was asked for; and it
    was asked for after the answer before it. So of two such answers the earlier one's time is safe: whatever was
    written to the topic before then is at hand or applied.
    """

    def __init__(self, tps: Sequence[TP], queues: Sequence[TopicQueue], consumer: Callable[[], BatchConsumer]) -> None:
        self._tps = tps
        self._queues = queues
        self._consumer = consumer
        self._answered: list[int | None] = [None] * len(tps)
        self._safe: list[int | None] = [None] * len(tps)
        self._looked_at = 0.0

    def look(self) -> Sequence[int | None]:
        """By topic, the wall time (ms) up to which it is known to be read; None where nothing is known."""
        now = monotonic()
        if now - self._looked_at < LOOK_AGAIN_S:
            return self._safe
        self._looked_at = now
        consumer = self._consumer()
        flowing = consumer.flowing
        for index, (tp, queue) in enumerate(zip(self._tps, self._queues, strict=True)):
            progress = consumer.progress(tp) if flowing else None
            if progress is None or queue.fetched < progress.end:
                self._answered[index] = self._safe[index] = None
                continue
            before = self._answered[index]
            if before is not None and progress.answered_ms > before:
                self._safe[index] = before
            self._answered[index] = progress.answered_ms
        return self._safe

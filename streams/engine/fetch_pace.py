"""How often the broker is asked for records.

aiokafka asks a node again as soon as what it got was taken. Where many partitions trickle, an answer then holds a
record or two, and the requests, each of which names all partitions, cost several times what the records do. So there
is a least time between two requests to a node: a record waits that much longer at the most, and shares its request.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from aiokafka.consumer.fetcher import Fetcher

from streams.engine.fetch_codec import QuickFetchRequest


def pace_fetches(fetcher: Fetcher, interval_ms: int) -> None:
    """Let at least `interval_ms` pass between two fetch requests of this fetcher to one node."""
    plan, interval_s = fetcher._get_actions_per_node, interval_ms / 1000
    sent_at: dict[int, float] = {}

    def paced_plan(assignment: Any) -> tuple[Any, ...]:
        now = monotonic()
        wait_s = min(sent_at.values(), default=0.0) + interval_s - now
        if wait_s > 0:  # whatever is to be done, no node may be asked; then the fetcher plans anew
            return [], {}, wait_s, False, []
        requests, resets, timeout_s, invalid_metadata, resumed = plan(assignment)
        due = []
        for node, request in requests:
            wait_s = sent_at.get(node, 0.0) + interval_s - now
            if wait_s > 0:
                timeout_s = min(timeout_s, wait_s)
            else:
                sent_at[node] = now
                due.append((node, QuickFetchRequest.of(request)))
        return due, resets, timeout_s, invalid_metadata, resumed

    fetcher._get_actions_per_node = paced_plan

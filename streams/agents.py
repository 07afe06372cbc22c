"""The four agents: each hands what its topic brings to the processor of the partition it came from.

From here an order goes to `engine.runner` (its partition's loop), `engine.processor` (merge and clock),
`domain.partition` and `domain.product` (the facts), `domain.judge` (the status), and out by `engine.flush`.
An agent never waits: one stream serves all partitions of its topic.
"""

from __future__ import annotations

import faust
from faust.types import StreamT

from streams.engine.batch import RecordBatch
from streams.engine.engine import Engine

NAMES = ("orders", "cancellations", "shipping_fees", "impressions")


def add_agents(app: faust.App, engine: Engine, topics: tuple[str, str, str, str]) -> None:
    """Give the app its agents; `topics` are the input topics in SPEC 2's order."""
    for name, topic in zip(NAMES, topics, strict=True):

        @app.agent(app.topic(topic, key_serializer="raw", value_serializer="raw"), name=name)
        async def take(stream: StreamT[list[RecordBatch]]) -> None:
            async for batches in stream:
                for batch in batches:
                    engine.offer(batch)

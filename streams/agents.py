"""The four agents: each hands what its topic brings to the processor of the partition it came from.

From here an order goes to `engine.runner` (its partition's loop), `engine.processor` (merge and clock),
`domain.partition` and `domain.product` (the facts), `domain.judge` (the status), and out by `engine.flush`.
An agent never waits: one stream serves all partitions of its topic.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import faust
from faust.types import StreamT

from streams.engine.batch import RecordBatch
from streams.engine.engine import Engine


def add_agents(app: faust.App, engine: Engine, topics: tuple[str, str, str, str]) -> None:
    """Give the app its agents; `topics` are the input topics in SPEC 2's order."""
    orders, cancellations, shipping_fees, impressions = (
        app.topic(name, key_serializer="raw", value_serializer="raw") for name in topics
    )

    @app.agent(orders, name="orders")
    async def take_orders(stream: StreamT[RecordBatch]) -> AsyncIterator[None]:
        async for batch in stream:
            engine.offer(batch)
            yield

    @app.agent(cancellations, name="cancellations")
    async def take_cancellations(stream: StreamT[RecordBatch]) -> AsyncIterator[None]:
        async for batch in stream:
            engine.offer(batch)
            yield

    @app.agent(shipping_fees, name="shipping_fees")
    async def take_shipping_fees(stream: StreamT[RecordBatch]) -> AsyncIterator[None]:
        async for batch in stream:
            engine.offer(batch)
            yield

    @app.agent(impressions, name="impressions")
    async def take_impressions(stream: StreamT[RecordBatch]) -> AsyncIterator[None]:
        async for batch in stream:
            engine.offer(batch)
            yield

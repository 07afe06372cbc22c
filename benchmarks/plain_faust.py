"""The baseline: the same job on plain Faust, as its own documentation would have it written, and well.

One agent per input topic, one event at a time, a Table with a changelog topic in Kafka (memory store, which is faster
than RocksDB), results sent to topics as they come. It uses the project's pure core (`streams.domain`) and its codecs,
fast as they are, so what differs is what lies around them. The Table keeps live objects: a product is encoded at each
change, for the changelog, and decoded in recovery only.

It does: all of SPEC sections 3, 4, 6, 7 and 8, dead letters included, and due times under the event clock.
It does not: merge the topics (each agent goes its own pace, so the clock follows the fastest, and results depend on how
records were batched); follow the wall clock (it has the event clock only); keep the clock durable; apply each event
exactly once (Faust's at-least-once: facts are idempotent, the clock and transitions are not); publish only what is
durable, with one id and the same bytes (no outbox); fence a worker that lost its partition; write large products in
pages; watch for stalls; serve metrics.
"""

from __future__ import annotations

import asyncio
import json
import os
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import faust
import msgspec
from faust.serializers import codecs
from mode.loop import use

from streams.codecs.dead_letters import dead_letter
from streams.codecs.inputs import decode_batch
from streams.codecs.outputs import encode_transition, transition_headers
from streams.codecs.refusals import Refused
from streams.codecs.row import RowWriter, decode_product
from streams.domain.partition import Partition
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook
from streams.engine.admin import ensure_topics
from streams.engine.cut import snapshot_rows
from streams.engine.partitioning import partition_of
from streams.settings import Settings
from streams.settings_load import load_settings
from streams.topics import topic_specs

TABLE = "products"
BOOK = Rulebook(PolicySet((DEFAULT_POLICY,)))


def changelog_of(app_id: str) -> str:
    """The name that Faust gives to the Table's changelog topic."""
    return f"{app_id}-{TABLE}-changelog"


class ProductCodec(codecs.Codec):
    """A product as the value of a changelog record: its id, and the rows that our own changelog would have."""

    def _dumps(self, product: Product) -> bytes:
        product.touched = None  # all of it, whatever changed
        rows = [value for _, value in RowWriter().encode(product.id, product, BOOK)]
        product.touched = None
        return msgspec.msgpack.encode([product.id, product.as_of, rows])

    def renamed(self, value: bytes, product_id: str) -> bytes:
        """The same product under another id."""
        _, as_of, rows = msgspec.msgpack.decode(value)
        return msgspec.msgpack.encode([product_id, as_of, rows])

    def _loads(self, value: bytes) -> Product:
        product_id, as_of, (header, *pages) = msgspec.msgpack.decode(value)
        product, _ = decode_product(product_id, header, dict(enumerate(pages)), BOOK, as_of)
        product.touched = None
        return product


class ProductValue:
    """Tells Faust which codec the Table's values have; the codec gives whole products, so there is nothing to make."""

    _options = SimpleNamespace(serializer="product-row")

    @classmethod
    def from_data(cls, product: Product, **_: Any) -> Product:
        """The value itself."""
        return product


class Job:
    """The app: `partitions` are those of the agents' events, each with its products and its clock."""

    def __init__(self, settings: Settings) -> None:
        codecs.register("product-row", ProductCodec())
        self.settings = settings
        self.app = faust.App(
            settings.app_id,
            broker=[f"kafka://{server}" for server in settings.bootstrap_servers],
            datadir=str(settings.data_dir),
            store="memory://",
            topic_partitions=settings.partitions,
            web_enabled=False,
            consumer_auto_offset_reset="earliest",
            # A backlog goes twice as fast with larger requests; live, each waits for nothing.
            producer_linger=0.05 if settings.clock == "event" else 0.0,
            producer_max_batch_size=1 << 18,
            broker_commit_interval=0.5,  # by default 2.8 s, which would be added to the time of a run
            key_serializer="raw",
            value_serializer="raw",
        )
        self.table = self.app.Table(TABLE, key_type=bytes, value_type=cast(Any, ProductValue))
        self.partitions: dict[int, Partition] = {}
        self.transitions, self.snapshots, self.dead_letters = (self._topic(name) for name in settings.output_topics)
        for number, name in enumerate(settings.input_topics):
            self.app.agent(self._topic(name), name=name)(self._agent(number))
        self.app.on_rebalance_complete.connect(self._on_rebalance)

    def _topic(self, name: str) -> Any:
        return self.app.topic(name, partitions=self.settings.partitions, key_type=bytes, value_type=bytes)

    def _on_rebalance(self, *_: Any, **__: Any) -> None:
        """Recovery is over: the Table's products go under the clocks of their partitions."""
        # Its assignment has the changelogs too, and as a standby those of other workers.
        orders = self.settings.orders_topic
        assigned = sorted(tp.partition for tp in self.app.consumer.assignment() if tp.topic == orders)
        kept = {number: partition for number, partition in self.partitions.items() if number in assigned}
        fresh: dict[int, list[Product]] = {number: [] for number in assigned if number not in kept}
        for key, product in self.table.items():
            found = fresh.get(partition_of(key, self.settings.partitions))
            if found is not None:
                found.append(product)
        for number, products in fresh.items():
            partition = kept[number] = Partition(BOOK)
            if products:
                partition.clock = max(product.as_of for product in products)
            for product in products:
                partition.restore(product)
            partition.take_cut()
        self.partitions = kept
        print(json.dumps({"event": "partitions taken over", "partitions": assigned}), flush=True)

    def _agent(self, topic: int) -> Callable[[Any], Any]:
        async def take(stream: Any) -> None:
            async for event in stream.events():
                try:
                    await self._apply(topic, event.message)
                except Exception:  # noqa: BLE001 - Faust would go on behind the event: no measurement may
                    traceback.print_exc()
                    os._exit(1)

        return take

    async def _apply(self, topic: int, message: Any) -> None:
        at = round(message.timestamp * 1000)
        (event,) = decode_batch(topic, [message.key], [message.value], [at], [tuple(message.headers or ())])
        if isinstance(event, str):
            return
        number = message.partition
        if isinstance(event, Refused):
            place = (message.topic, number, message.offset, message.key, message.value, ())
            key, value, told = dead_letter(*place, event)
            await self.dead_letters.send(key=key, value=value, headers=list(told))
            return
        partition = self.partitions[number]
        partition.advance(event.occurred_at)
        partition.apply(event)
        cut = partition.take_cut()
        for product_id in cut.changed:
            product, key = partition.products.get(product_id), product_id.encode()
            if product is not None:
                self.table[key] = product
            elif key in self.table:
                del self.table[key]
        for transition in cut.transitions:
            headers = transition_headers(
                transition.product_id, transition.sequence, transition.effective_at, self.settings.ce_source
            )
            await self.transitions.send(
                key=transition.product_id.encode(), value=encode_transition(transition), headers=list(headers)
            )
        for key, value, _ in snapshot_rows(partition, cut.snapshots, 0):
            await self.snapshots.send(key=key, value=value)


def main() -> None:
    """Run a worker until SIGTERM, with the settings of the environment."""
    use("uvloop")
    settings = load_settings()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(ensure_topics(settings.kafka_kwargs(), topic_specs(settings, keep_input=True)))
    worker = faust.Worker(Job(settings).app, loop=loop, loglevel="WARN", redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()

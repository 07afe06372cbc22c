"""Faust's Kafka transport, handing out whole fetched batches (DESIGN, decision 4).

`install(app, connection, hooks, settings)` puts it under a Faust app; then every agent's stream yields `RecordBatch`es.
How it behaves in a rebalance is told in `streams.engine.consumer`. It needs of the app:

- no `faust.Table`: Faust would read the changelog its own way, a record at a time, into another store;
- agents that don't wait per batch: one stream serves all partitions of a topic, so a wait for one holds up the others.
  Bound what is pending with `BatchConsumer.pause` and `resume`.

`PRIVATE_NAMES` lists all that is reached into of Faust, mode and aiokafka; tests/contract holds the pinned versions to
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import faust
from faust.transport.conductor import Conductor
from faust.transport.drivers.aiokafka import Producer, Transport

from streams.engine.consumer import BatchConsumer
from streams.engine.hooks import Progress, RebalanceHooks, TransportSettings

__all__ = [
    "PINNED_VERSIONS",
    "PRIVATE_NAMES",
    "BatchConsumer",
    "BatchTransport",
    "Progress",
    "RebalanceHooks",
    "TransportSettings",
    "consumer_of",
    "install",
]


class BatchConductor(Conductor):
    """No topic is acked: nothing is tracked, so nothing waits, leaks or is committed by Faust."""

    def acks_enabled_for(self, topic: str) -> bool:
        """Never."""
        return False

    async def _update_indices(self) -> Any:
        topics = await super()._update_indices()
        # The compiled stream reads this set itself.
        self._acking_topics.clear()
        return topics


class BatchProducer(Producer):
    """Faust's own producer, which the engine doesn't use; it connects as everything else does."""

    def _settings_auth(self) -> Mapping[str, Any]:
        return cast(BatchTransport, self.transport).connection


class BatchTransport(Transport):
    """See the module."""

    Consumer = BatchConsumer
    Producer = BatchProducer
    Conductor = BatchConductor

    def __init__(
        self, app: faust.App, connection: Mapping[str, Any], hooks: RebalanceHooks, settings: TransportSettings
    ) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.connection = dict(connection)
        self.hooks = hooks
        self.settings = settings


def install(
    app: faust.App,
    connection: Mapping[str, Any],
    hooks: RebalanceHooks,
    settings: TransportSettings | None = None,
) -> None:
    """Put the batch transport under `app`; before the first topic, agent or stream of it. Touches no broker.

    `connection`: aiokafka's keyword arguments (`bootstrap_servers`, `security_protocol`, `sasl_*`, `ssl_context`);
    they replace what Faust would make of its `broker` setting.
    """
    app.transport = BatchTransport(app, connection, hooks, settings or TransportSettings())


def consumer_of(app: faust.App) -> BatchConsumer:
    """The app's consumer; to be used once the app runs."""
    return cast(BatchConsumer, app.consumer)


PINNED_VERSIONS: dict[str, str] = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14.0"}

#: (module, class or function, name, what it must be). What it must be: a method's parameters, `attribute` (set in the
#: class's own source), `property`, or `constant`. `""` as the name: the class itself.
PRIVATE_NAMES: tuple[tuple[str, str, str, str], ...] = (
    # Fetched data: streams/engine/fetched.py, consumer_thread.py, log_reader.py
    ("aiokafka.consumer.fetcher", "Fetcher", "_records", "attribute"),
    ("aiokafka.consumer.fetcher", "Fetcher", "_subscriptions", "attribute"),
    ("aiokafka.consumer.fetcher", "Fetcher", "_isolation_level", "attribute"),
    ("aiokafka.consumer.fetcher", "Fetcher", "_wait_consume_future", "attribute"),
    ("aiokafka.consumer.fetcher", "Fetcher", "_fetch_waiters", "attribute"),
    ("aiokafka.consumer.fetcher", "Fetcher", "_closed", "attribute"),
    ("aiokafka.consumer.fetcher", "Fetcher", "error_future", "property"),
    ("aiokafka.consumer.fetcher", "Fetcher", "_notify", "(self, future)"),
    ("aiokafka.consumer.fetcher", "Fetcher", "_get_actions_per_node", "(self, assignment)"),
    ("aiokafka.consumer.fetcher", "Fetcher", "_create_fetch_waiter", "(self)"),
    ("aiokafka.consumer.fetcher", "Fetcher", "fetched_records", "(self, partitions, timeout=0, max_records=None)"),
    ("aiokafka.consumer.fetcher", "FetchResult", "_partition_records", "attribute"),
    ("aiokafka.consumer.fetcher", "FetchResult", "_backoff", "attribute"),
    ("aiokafka.consumer.fetcher", "FetchResult", "has_more", "(self)"),
    ("aiokafka.consumer.fetcher", "FetchResult", "check_assignment", "(self, tp)"),
    ("aiokafka.consumer.fetcher", "FetchResult", "_update_position", "(self)"),
    ("aiokafka.consumer.fetcher", "FetchError", "_backoff", "attribute"),
    ("aiokafka.consumer.fetcher", "FetchError", "check_raise", "(self)"),
    ("aiokafka.consumer.fetcher", "PartitionRecords", "_tp", "attribute"),
    ("aiokafka.consumer.fetcher", "PartitionRecords", "_records", "attribute"),
    ("aiokafka.consumer.fetcher", "PartitionRecords", "_check_crcs", "attribute"),
    ("aiokafka.consumer.fetcher", "PartitionRecords", "_isolation_level", "attribute"),
    ("aiokafka.consumer.fetcher", "PartitionRecords", "_aborted_producers", "attribute"),
    ("aiokafka.consumer.fetcher", "PartitionRecords", "next_fetch_offset", "attribute"),
    ("aiokafka.consumer.fetcher", "PartitionRecords", "_consume_aborted_up_to", "(self, batch_offset)"),
    ("aiokafka.consumer.fetcher", "PartitionRecords", "_contains_abort_marker", "(self, next_batch)"),
    ("aiokafka.consumer.fetcher", "READ_COMMITTED", "", "constant 1"),
    ("aiokafka.consumer.consumer", "AIOKafkaConsumer", "_fetcher", "attribute"),
    ("aiokafka.consumer.consumer", "AIOKafkaConsumer", "_closed", "attribute"),
    ("aiokafka.consumer.consumer", "AIOKafkaConsumer", "_coordinator", "attribute"),
    ("aiokafka.consumer.group_coordinator", "GroupCoordinator", "_coordination_task", "attribute"),
    ("aiokafka.consumer.consumer", "AIOKafkaConsumer", "_client", "attribute"),
    ("aiokafka.consumer.subscription_state", "SubscriptionState", "subscription", "property"),
    ("aiokafka.consumer.subscription_state", "SubscriptionState", "reassignment_in_progress", "property"),
    ("aiokafka.consumer.subscription_state", "SubscriptionState", "fetch_context", "(self)"),
    ("aiokafka.consumer.subscription_state", "Subscription", "assignment", "property"),
    ("aiokafka.consumer.subscription_state", "Assignment", "state_value", "(self, tp)"),
    ("aiokafka.consumer.subscription_state", "TopicPartitionState", "_position", "attribute"),
    ("aiokafka.consumer.subscription_state", "TopicPartitionState", "highwater", "attribute"),
    ("aiokafka.consumer.subscription_state", "TopicPartitionState", "lso", "attribute"),
    ("aiokafka.consumer.subscription_state", "TopicPartitionState", "timestamp", "attribute"),
    # Fetch requests: streams/engine/fetch_codec.py, fetch_pace.py
    ("aiokafka.protocol.fetch", "FetchRequest", "__init__",
     "(self, max_wait_time, min_bytes, max_bytes, isolation_level, topics, rack_id='')"),
    ("aiokafka.protocol.fetch", "FetchRequest", "_max_wait_ms", "attribute"),
    ("aiokafka.protocol.fetch", "FetchRequest", "_min_bytes", "attribute"),
    ("aiokafka.protocol.fetch", "FetchRequest", "_max_bytes", "attribute"),
    ("aiokafka.protocol.fetch", "FetchRequest", "_isolation_level", "attribute"),
    ("aiokafka.protocol.fetch", "FetchRequest", "_topics", "attribute"),
    ("aiokafka.protocol.fetch", "FetchRequest", "_rack_id", "attribute"),
    ("aiokafka.protocol.fetch", "FetchRequest", "build", "(self, request_struct_class)"),
    # Record sets: streams/engine/record_sets.py, which stands in for MemoryRecords in aiokafka.consumer.fetcher
    ("aiokafka.record.memory_records", "_MemoryRecordsPy", "__init__", "(self, bytes_data)"),
    ("aiokafka.record.memory_records", "_MemoryRecordsPy", "has_next", "(self)"),
    ("aiokafka.record.memory_records", "_MemoryRecordsPy", "size_in_bytes", "(self)"),
    ("aiokafka.record.memory_records", "_MemoryRecordsPy", "next_batch", "(self, _min_slice=26, _magic_offset=16)"),
    ("aiokafka.record.default_records", "_DefaultRecordBatchPy", "__init__", "(self, buffer)"),
    ("aiokafka.record.default_records", "_DefaultRecordBatchPy", "_maybe_uncompress", "(self)"),
    ("aiokafka.record.default_records", "_DefaultRecordBatchPy", "_buffer", "attribute"),
    ("aiokafka.record.default_records", "_DefaultRecordBatchPy", "_pos", "attribute"),
    ("aiokafka.record.default_records", "_DefaultRecordBatchPy", "_num_records", "attribute"),
    # A producer's patience: streams/engine/log_writer.py
    ("aiokafka.producer.producer", "AIOKafkaProducer", "_message_accumulator", "attribute"),
    ("aiokafka.producer.message_accumulator", "MessageAccumulator", "_batch_ttl", "attribute"),
    # Faust's consumer: streams/engine/consumer.py, consumer_thread.py
    ("faust.transport.drivers.aiokafka", "AIOKafkaConsumerThread", "_create_worker_consumer", "(self, transport)"),
    ("faust.transport.drivers.aiokafka", "AIOKafkaConsumerThread", "_ensure_consumer", "(self)"),
    ("faust.transport.drivers.aiokafka", "AIOKafkaConsumerThread", "_assignor", "attribute"),
    ("faust.transport.drivers.aiokafka", "AIOKafkaConsumerThread", "_consumer", "attribute"),
    ("faust.transport.drivers.aiokafka", "AIOKafkaConsumerThread", "_fetch_records",
     "(self, consumer, active_partitions, timeout=None, max_records=None)"),
    ("faust.transport.drivers.aiokafka", "AIOKafkaConsumerThread", "on_thread_stop", "(self)"),
    ("faust.transport.drivers.aiokafka", "Consumer", "_new_consumer_thread", "(self)"),
    ("faust.transport.drivers.aiokafka", "Producer", "_settings_auth", "(self)"),
    ("faust.transport.consumer", "ThreadDelegateConsumer", "_thread", "attribute"),
    ("faust.transport.consumer", "ConsumerThread", "on_partitions_assigned", "(self, assigned, generation_id=0)"),
    ("faust.transport.consumer", "Consumer", "_drain_messages", "(self, fetcher)"),
    ("faust.transport.consumer", "Consumer", "perform_seek", "(self)"),
    ("faust.transport.consumer", "Consumer", "commit", "(self, topics=None, start_new_transaction=True)"),
    ("faust.transport.consumer", "Consumer", "stop_flow", "(self)"),
    ("faust.transport.consumer", "Consumer", "flow_active", "attribute"),
    ("faust.transport.consumer", "Consumer", "on_partitions_revoked", "(self, revoked)"),
    ("faust.transport.consumer", "Consumer", "on_partitions_assigned", "(self, assigned, generation_id=0)"),
    ("faust.transport.consumer", "Consumer", "verify_event_path", "(self, now, tp)"),
    ("faust.transport.conductor", "Conductor", "_tp_index", "attribute"),
    ("faust.transport.conductor", "Conductor", "_acking_topics", "attribute"),
    ("faust.transport.conductor", "Conductor", "_update_indices", "(self)"),
    ("faust.transport.conductor", "Conductor", "acks_enabled_for", "(self, topic)"),
    # No idle seconds: streams/app.py
    ("faust.tables.manager", "TableManager", "on_start", "(self)"),
    ("faust.tables.manager", "TableManager", "_update_channels", "(self)"),
    ("mode.worker", "Worker", "_sentinel_task", "(self)"),
    ("mode.services", "Service", "_stopped", "attribute"),
    # No thread: streams/engine/one_loop.py
    ("mode.threads", "QueueServiceThread", "call_thread", "(self, fun, *args, **kwargs)"),
    ("mode.threads", "ServiceThread", "__init__",
     "(self, *, executor=None, loop=None, thread_loop=None, Worker=None, **kwargs)"),
    ("mode.threads", "ServiceThread", "Worker", "attribute"),
    ("mode.threads", "ServiceThread", "_serve", "(self)"),
    ("mode.threads", "ServiceThread", "set_shutdown", "(self)"),
    ("mode.threads", "ServiceThread", "_gather_remaining_tasks", "(self)"),
    ("mode.utils.queues", "FlowControlQueue", "force_put_nowait", "(self, item)"),
)  # fmt: skip

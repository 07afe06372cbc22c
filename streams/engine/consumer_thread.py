"""The aiokafka consumer, for which Faust has a thread and we have none: fetches, sets positions, commits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError, KafkaTimeoutError
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from streams.engine.batch import RecordBatch
from streams.engine.fetch_pace import pace_fetches
from streams.engine.fetched import FetchDrain, close_consumer, readable_end
from streams.engine.hooks import Progress
from streams.engine.one_loop import OneLoopConsumerThread
from streams.engine.record_sets import accept_any_header_name
from streams.errors import LogCut

if TYPE_CHECKING:
    from streams.engine.consumer import BatchConsumer
    from streams.engine.transport import BatchTransport

#: Faust's stock fetch can't be woken by `resume`, so it is asked again that often, s.
STOCK_POLL_S = 0.1
#: Between an assignment and the session that it begins, s: a matter of a few turns of the app's loop.
UNBOUND_S = 0.005
#: Between two tries to ask the broker for a partition's first and last offset, s.
RETRY_S = 0.5
#: For leaving the group and closing connections when the app stops, s.
STOP_TIMEOUT_S = 10.0


class BatchConsumerThread(OneLoopConsumerThread):
    """See the module, and `one_loop`."""

    _drain: FetchDrain | None = None

    @property
    def _batch_consumer(self) -> BatchConsumer:
        return cast("BatchConsumer", self.consumer)

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        conf = self.app.conf
        settings = self._batch_consumer.settings
        # Of this session: aiokafka's assignment, and the next offset to take of each partition that has its position.
        self._assignment: Any = None
        self._expected: dict[TP, int] = {}
        # The same of the session before: what was read up to there needs no look at where its log ends.
        self._read_before: dict[TP, int] = {}
        # Faust's own assignor, always: Faust takes a round robin one when there are no tables, which tears apart the
        # input topics' partitions of one number.
        self._assignor = self.app.assignor
        accept_any_header_name()
        return AIOKafkaConsumer(
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=settings.max_records,
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000.0),
            max_partition_fetch_bytes=settings.max_partition_fetch_bytes,
            fetch_max_bytes=settings.fetch_max_bytes,
            fetch_max_wait_ms=settings.fetch_max_wait_ms,
            request_timeout_ms=int(conf.broker_request_timeout * 1000.0),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000.0),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000.0),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000.0),
            isolation_level=settings.isolation_level,
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **cast("BatchTransport", transport).connection,
        )

    async def on_thread_stop(self) -> None:
        """Leave the group and close, in bounded time; mode would wait a minute for it."""
        if self._consumer is None:
            await super().on_thread_stop()
        else:
            await close_consumer(self._consumer, super().on_thread_stop(), STOP_TIMEOUT_S)

    def wake(self) -> None:
        """Let a waiting `take_batches` look again."""
        if self._consumer is not None:
            fetcher = self._consumer._fetcher
            for waiter in list(fetcher._fetch_waiters):
                fetcher._notify(waiter)

    def progress(self, tp: TP) -> Progress | None:
        """See `BatchConsumer.progress`."""
        consumer = self._consumer
        fetcher = consumer._fetcher if consumer is not None else None
        if fetcher is None or not self._is_bound() or tp not in self._expected:
            return None
        state = self._assignment.state_value(tp)
        position = state._position if state is not None else None
        end = readable_end(fetcher, tp)
        if state is None or position is None or end is None:
            return None
        return Progress(position, max(end, position), state.timestamp)

    def _is_bound(self) -> bool:
        """Whether the assignment is the one of this session: a newer one has positions that nobody has set."""
        subscription = self._ensure_consumer()._fetcher._subscriptions.subscription
        return subscription is not None and self._assignment is not None and subscription.assignment is self._assignment

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Fetch what was read before from where it was left, before aiokafka asks the group. Step (4), likewise."""
        consumer = self._ensure_consumer()
        for tp in assigned & self._expected.keys():
            consumer.seek(TopicPartition(*tp), self._expected[tp])
        await super().on_partitions_assigned(assigned, generation_id)

    def begin_session(self) -> None:
        """A new assignment: none of its partitions has a position. Step (7) of `streams.engine.consumer`."""
        subscription = self._ensure_consumer()._fetcher._subscriptions.subscription
        self._assignment = subscription.assignment if subscription is not None else None
        self._read_before, self._expected = self._expected, {}

    async def touch(self) -> None:
        """Count as a poll, so that aiokafka doesn't take this member for dead (aiokafka issue 1187)."""
        consumer = self._ensure_consumer()
        with consumer._fetcher._subscriptions.fetch_context():
            pass
        coordinating = getattr(consumer._coordinator, "_coordination_task", None)
        if coordinating is not None and coordinating.done() and not coordinating.cancelled():
            # aiokafka's side of the group has died: without this, no partition would ever come again, in silence.
            coordinating.result()

    async def take_batches(self, session: int, timeout_s: float) -> list[RecordBatch]:
        """Up to one batch of each partition that may be taken; waits up to `timeout_s` for the first."""
        consumer = self._ensure_consumer()
        fetcher = consumer._fetcher
        settings = self._batch_consumer.settings
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError()
        if fetcher.error_future.done():
            # aiokafka's fetch task has died: without this, nothing more would come, in silence.
            fetcher.error_future.result()
        if not settings.batch_transport:
            return await self._take_stock(session, timeout_s)
        deadline = monotonic() + timeout_s
        await self.touch()
        while self._batch_consumer.is_current(session) and self._is_bound():
            batches = self._take_at_hand(settings.max_records)
            remaining = deadline - monotonic()
            if batches or remaining <= 0:
                return batches
            waiter = fetcher._create_fetch_waiter()
            await asyncio.wait([waiter], timeout=remaining)
            if not waiter.done():
                waiter.cancel()
                self._check_positions()
                return []
            waiter.result()
            if fetcher._closed:
                raise ConsumerStoppedError()
        await asyncio.sleep(UNBOUND_S)
        return []

    def _takeable(self) -> set[TP]:
        return {tp for tp in self._batch_consumer.takeable() if tp in self._expected}

    def _take_at_hand(self, max_records: int) -> list[RecordBatch]:
        fetcher = self._ensure_consumer()._fetcher
        if self._drain is None or self._drain.fetcher is not fetcher:
            self._drain = FetchDrain(fetcher)
            pace_fetches(fetcher, self._batch_consumer.settings.fetch_interval_ms)
        takeable = self._takeable()
        batches: list[RecordBatch] = []
        for tp in [TP(*tp) for tp in fetcher._records]:
            batch = self._drain.take(tp, max_records) if tp in takeable else None
            if batch is not None:
                self._check_chain(tp, batch.start_offset)
                self._expected[tp] = batch.next_offset
                batches.append(batch)
        self._drain.release([TP(*tp) for tp in fetcher._records if tp not in takeable])
        return batches

    async def _take_stock(self, session: int, timeout_s: float) -> list[RecordBatch]:
        """Faust's own fetch; every message becomes a batch of one, and unreadable records an empty batch."""
        consumer = self._ensure_consumer()
        takeable = self._takeable()
        fetcher = consumer._fetcher
        # aiokafka takes no partitions to mean all of them, and in a rebalance it would wait for the new assignment and
        # take of that.
        waits = fetcher._subscriptions.reassignment_in_progress or not self._is_bound()
        if waits or not takeable or not self._batch_consumer.is_current(session):
            await self.touch()
            await asyncio.sleep(min(timeout_s, STOCK_POLL_S))
            return []
        max_records = self._batch_consumer.settings.max_records
        records = await self._fetch_records(consumer, takeable, min(timeout_s, STOCK_POLL_S), max_records)
        batches: list[RecordBatch] = []
        if not self._is_bound():
            return []  # of an assignment whose positions are not set yet
        for tp in takeable:
            state = self._assignment.state_value(tp)
            if state is None or state._position is None:
                continue
            rows = records.get(tp, ())
            expected = self._expected.get(tp, state._position)
            if rows and rows[0].offset < expected:
                self._check_chain(tp, rows[0].offset)
            for number, row in enumerate(rows, start=1):
                following = state._position if number == len(rows) else row.offset + 1
                batches.append(_batch_of_one(tp, row, expected, following, readable_end(consumer._fetcher, tp)))
                expected = following
            if state._position > expected:
                batches.append(
                    RecordBatch(tp.topic, tp.partition, expected, state._position,
                                max(readable_end(consumer._fetcher, tp) or 0, state._position))
                )  # fmt: skip
                expected = state._position
            self._expected[tp] = expected
        return batches

    def _check_positions(self) -> None:
        """A log that was made anew and is empty gives no batch to check: aiokafka just begins at its beginning."""
        if not self._is_bound():
            return
        for tp, expected in self._expected.items():
            state = self._assignment.state_value(tp)
            if state is not None and state._position is not None and state._position < expected:
                raise LogCut(_truncated(tp, expected, state._position))

    def _check_chain(self, tp: TP, start_offset: int) -> None:
        """aiokafka moves the position by itself when it is out of the log's range."""
        expected = self._expected.get(tp, start_offset)
        if start_offset > expected:
            lost = start_offset - expected
            self.log.error("%s: %s offsets were deleted by retention before they were read", tp, lost)
        elif start_offset < expected:
            raise LogCut(_truncated(tp, expected, start_offset))

    async def set_positions(self, session: int, positions: Mapping[TP, int | None]) -> None:
        """Seek each partition to its offset; None means its earliest. Step (9) of `streams.engine.consumer`.

        LogCut when an offset lies beyond the partition's end: the topic isn't the one that was read before.
        """
        unknown = {tp: at for tp, at in positions.items() if at is None or at > self._read_before.get(tp, -1)}
        begins, ends = await self._bounds(session, [TopicPartition(*tp) for tp in unknown])
        if session != self._batch_consumer._session or not self._is_bound():
            return
        consumer = self._ensure_consumer()
        for tp, offset in positions.items():
            begin, end = begins.get(tp, 0), ends.get(tp, 0)
            if tp in unknown and offset is not None and offset > end:
                raise LogCut(_truncated(TP(*tp), offset, end))
            if offset is not None and offset < begin:
                self.log.error("%s: %s offsets were deleted by retention before they were read", tp, begin - offset)
            start = begin if offset is None else max(offset, begin)
            consumer.seek(TopicPartition(*tp), start)
            self._expected[TP(*tp)] = start
        self.wake()

    async def _bounds(
        self, session: int, tps: list[TopicPartition]
    ) -> tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]:
        """Where these partitions begin and end; nothing if the session ends before the broker has answered."""
        consumer = self._ensure_consumer()
        while tps and session == self._batch_consumer._session:
            try:
                return await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
            except (KafkaTimeoutError, KafkaError) as exc:
                if not (exc.retriable or isinstance(exc, KafkaTimeoutError)):
                    raise
                self.log.warning("Asking for the ends of %s partitions failed, trying again: %r", len(tps), exc)
                await asyncio.sleep(RETRY_S)
        return {}, {}

    async def commit_quietly(self, offsets: Mapping[TP, int], timeout_s: float) -> bool:
        """See `BatchConsumer.commit_offsets`."""
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        wanted = {TopicPartition(*tp): OffsetAndMetadata(at, "") for tp, at in offsets.items() if tp in assigned}
        if not wanted:
            return False
        try:
            await asyncio.wait_for(consumer.commit(wanted), timeout_s)
        except (KafkaError, IllegalStateError, ConsumerStoppedError, TimeoutError) as exc:
            self.log.warning("Offsets not committed: %r", exc)
            return False
        return True


def _batch_of_one(tp: TP, row: Any, start: int, following: int, end: int | None) -> RecordBatch:
    return RecordBatch(
        tp.topic, tp.partition, start, following, max(end or 0, following), [row.offset],
        [-1 if row.timestamp is None else row.timestamp], [row.key], [row.value], [tuple(row.headers)],
    )  # fmt: skip


def _truncated(tp: TP, expected: int, found: int) -> str:
    return (
        f"Topic {tp.topic} partition {tp.partition} was recreated or cut: it was read up to offset {expected}, but now "
        f"goes on at {found}. Restore the topic, or begin anew with another application id."
    )

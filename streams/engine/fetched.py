"""Whole chunks out of aiokafka's fetcher, without a ConsumerRecord per record.

aiokafka's fetcher keeps, per partition, the answer to the last fetch (`Fetcher._records`). Its public `getmany` makes a
ConsumerRecord of every record in it. `FetchDrain` reads the same answers into the columns of a `RecordBatch`; what to
skip (control records, aborted transactions, records before the position) is decided exactly as in aiokafka's
`PartitionRecords._unpack_records`. Before the consumer of a fetcher is made, `accept_any_header_name` of
`streams.engine.record_sets` must have been called. The private names used are listed in
`streams.engine.transport.PRIVATE_NAMES`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from itertools import chain, islice, repeat
from operator import attrgetter
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult
from aiokafka.errors import CorruptRecordException
from faust.types import TP

from streams.engine.batch import RecordBatch
from streams.engine.record_sets import is_header_name_error

log = logging.getLogger(__name__)

# Mapped over records, these cost half of what a comprehension does.
_offset, _timestamp, _key, _value, _headers = map(attrgetter, ("offset", "timestamp", "key", "value", "headers"))


class RecordCursor:
    """A place in one fetched record set; takes any number of records at a time."""

    __slots__ = ("_iterator", "_open", "part")

    def __init__(self, part: Any) -> None:
        self.part = part
        self._open: Any = None
        self._iterator: Any = None

    def take(self, out: RecordBatch, max_records: int) -> bool:
        """Append up to `max_records` records to `out`; true when the record set is used up.

        Moves `part.next_fetch_offset` along. Raises CorruptRecordException for a record batch that fails its checksum.
        """
        part = self.part
        while len(out.offsets) < max_records:
            if self._open is None:
                if not part._records.has_next():
                    return True
                self._open = self._readable(part._records.next_plain_batch())
                if self._open is None:
                    continue
                # A record batch can be iterated once only, and islice would ask it for an iterator every time.
                self._iterator = chain(self._open)
            room = max_records - len(out.offsets)
            try:
                rows = list(islice(self._iterator, room))
            except (UnicodeDecodeError, CorruptRecordException) as exc:
                if not is_header_name_error(exc):
                    raise
                # From its first record on; those before the position are passed over by `_append`.
                self._iterator = part._records.read_again()
                continue
            if rows:
                self._append(out, rows)
            # Asked for by offset too: a batch that ends just at `room` is closed now, not by one more empty round.
            if len(rows) < room or rows[-1].offset >= self._open.next_offset - 1:
                part.next_fetch_offset = self._open.next_offset
                self._open = self._iterator = None
        return self._open is None and not part._records.has_next()

    def _append(self, out: RecordBatch, rows: list[Any]) -> None:
        part = self.part
        if rows[0].offset < part.next_fetch_offset:
            # A fetch from the middle of a record batch answers with the whole of it.
            rows = [row for row in rows if row.offset >= part.next_fetch_offset]
            if not rows:
                return
        first, last = rows[0].offset, rows[-1].offset
        # Offsets rise, so without a gap there is nothing to read of them. Only compaction and aborts leave gaps.
        out.offsets.extend(range(first, last + 1) if last - first == len(rows) - 1 else map(_offset, rows))
        timestamps = list(map(_timestamp, rows))
        out.timestamps.extend([-1 if at is None else at for at in timestamps] if None in timestamps else timestamps)
        out.keys.extend(map(_key, rows))
        out.values.extend(map(_value, rows))
        headers = list(map(_headers, rows))
        out.headers.extend(map(tuple, headers) if any(headers) else repeat((), len(rows)))
        part.next_fetch_offset = last + 1

    def _readable(self, batch: Any) -> Any:
        """The record batch, or None when it holds nothing for a reader; then the position is moved past it."""
        part = self.part
        if part._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {part._tp}")
        if part._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            part._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and part._contains_abort_marker(batch):
                part._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in part._aborted_producers:
                part.next_fetch_offset = batch.next_offset
                return None
        if batch.is_control_batch:
            part.next_fetch_offset = batch.next_offset
            return None
        return batch


class FetchDrain:
    """Takes `RecordBatch`es out of one fetcher; to be used in the fetcher's own event loop."""

    def __init__(self, fetcher: Fetcher) -> None:
        self.fetcher = fetcher
        self._cursors: dict[TP, RecordCursor] = {}

    def take(self, tp: TP, max_records: int) -> RecordBatch | None:
        """The next up to `max_records` records at hand of `tp`, and moves its position; None when there are none.

        Raises the fetch's own error (KafkaError) when the broker refused the partition, or CorruptRecordException.
        """
        fetched = self.fetcher._records.get(tp)
        if fetched is None:
            return None
        if not isinstance(fetched, FetchResult):
            self._drop(tp)
            fetched.check_raise()
            return None
        if not fetched.has_more() or not fetched.check_assignment(tp):
            self._drop(tp)
            return None
        part = fetched._partition_records
        cursor = self._cursors.get(tp)
        if cursor is None or cursor.part is not part:
            cursor = self._cursors[tp] = RecordCursor(part)
        start = part.next_fetch_offset
        batch = RecordBatch(tp.topic, tp.partition, start_offset=start, next_offset=start, highwater=0)
        try:
            used_up = cursor.take(batch, max_records)
        except BaseException:
            # Half read: dropped, so that a later fetch begins where this one did.
            self._drop(tp)
            raise
        fetched._update_position()
        batch.next_offset = part.next_fetch_offset
        batch.highwater = max(readable_end(self.fetcher, tp) or 0, batch.next_offset)
        if used_up:
            self._drop(tp)
        return batch if batch.next_offset > start else None

    def release(self, tps: list[TP]) -> None:
        """Let data at hand of `tps`, which nobody takes now, not delay the fetches of the other partitions.

        aiokafka holds back every fetch from a node for `prefetch_backoff` while a partition of it has data at hand.
        """
        changed = False
        for tp in tps:
            fetched = self.fetcher._records.get(tp)
            if fetched is not None and fetched._backoff:
                fetched._backoff = 0
                changed = True
        if changed:
            self.fetcher._notify(self.fetcher._wait_consume_future)

    def _drop(self, tp: TP) -> None:
        self._cursors.pop(tp, None)
        self.fetcher._records.pop(tp, None)
        # Wakes the fetch routine: this partition may be fetched again.
        self.fetcher._notify(self.fetcher._wait_consume_future)


async def close_consumer(consumer: AIOKafkaConsumer, closing: Coroutine[Any, Any, None], timeout_s: float) -> None:
    """Await `closing`, which stops `consumer`, in bounded time; never raises for what goes wrong in it.

    Without a broker, aiokafka's `stop` raises CancelledError out of a fetch that it cancelled itself. Awaited as it is,
    that would pass for the cancellation of whoever closes. In a task of its own it can be told apart.
    """
    task = asyncio.ensure_future(closing)
    await asyncio.wait([task], timeout=timeout_s)
    if task.done() and not task.cancelled() and task.exception() is None:
        return
    task.cancel()
    log.warning("A Kafka consumer wasn't closed cleanly (%r); its connections are closed now", task)
    await consumer._client.close()


def readable_end(fetcher: Fetcher, tp: TP) -> int | None:
    """The offset a reader can get to now: the last stable offset when read_committed, else the high watermark.

    None before the first answer of the broker, or when the partition isn't assigned.
    """
    subscription = fetcher._subscriptions.subscription
    assignment = subscription.assignment if subscription is not None else None
    state = assignment.state_value(tp) if assignment is not None else None
    if state is None:
        return None
    end: int | None = state.lso if fetcher._isolation_level == READ_COMMITTED else state.highwater
    return end

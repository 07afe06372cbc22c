"""One partition at work: its loop of applying and flushing, one task per partition (DESIGN decisions 2 and 5).

A rebalance does not stop it. `flush` is asked of it as one begins, so that whoever takes it over, if anybody does, has
little to apply again; `is_owner` once it is over and the partition is still this worker's, for in a rebalance that this
worker was late for another one may have had it. If the partition is lost it is abandoned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from streams.domain.transitions import STATUS_NAMES
from streams.engine.batch import RecordBatch
from streams.engine.cut import Flush
from streams.engine.flush import Flusher
from streams.engine.processor import PartitionProcessor
from streams.engine.tasks import end
from streams.engine.telling import tell
from streams.observability.metrics import Metrics

# Applying this many takes 10 to 20 ms; then other partitions, and the group's heartbeats, have their turn.
SLICE_RECORDS = 500
# Records at hand at which fetching of a topic is paused, and at which it goes on: enough to merge four topics without
# waiting for a fetch, and at 500 bytes a record no more than some 10 MB each.
PAUSE_RECORDS = 20_000
RESUME_RECORDS = 5_000
# A batch of large records counts by its bytes as well.
PAUSE_BYTES = 32_000_000
# Dead letters hold their records as they came, so they are sent before they grow.
DEAD_LETTERS_MAX = 2_000
DEAD_LETTER_BYTES_MAX = 8_000_000
# Flush intervals that changes are gathered for while there is a backlog: a row is then written once for many events of
# its product, and after a crash the input of so many intervals, not of one, is read again.
BACKLOG_INTERVALS = 40
# How often an idle partition looks whether its clock may move, s: twice in SPEC 5's steps of a second.
TICK_S = 0.5
# How often an idle partition looks whether a zombie has written since, s.
LOOK_FOR_OTHERS_S = 5.0
# How often the clock of an idle partition is made durable, s: for it must not go back (SPEC 5).
CLOCK_CUT_S = 60.0
_ROW_BYTES_GUESS = 600


@dataclass(frozen=True, slots=True)
class FlushLimits:
    """When a cut is written at the latest: after `interval_ms` (BACKLOG_INTERVALS times as long while the partition
    catches up), or when it has about `size_bytes`."""

    interval_ms: int
    size_bytes: int


class PartitionRunner:
    """Applies what is offered and flushes, until it is stopped or fails.

    `pause`, `resume`: stop and restart the fetching of one of this partition's topics. Each is paused by itself, for
    the one that is waited for must go on. `on_failure` is told of an error, once.
    """

    def __init__(
        self,
        partition: int,
        processor: PartitionProcessor,
        flusher: Flusher,
        limits: FlushLimits,
        metrics: Metrics,
        *,
        pause: Callable[[int], None],
        resume: Callable[[int], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self.partition = partition
        self.processor = processor
        self.flusher = flusher
        self.failed = False
        self._limits = limits
        self._metrics = metrics
        self._pause, self._resume = pause, resume
        self._on_failure = on_failure
        self._paused: set[int] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._flush_asked: asyncio.Future[None] | None = None
        self._look_asked: asyncio.Future[None] | None = None
        self._caught_up = True
        self._flushed_at = monotonic()
        self._flushed_clock = processor.partition.clock
        self._looked_at = monotonic()
        self._row_bytes = _ROW_BYTES_GUESS
        self._records = self._refused = 0

    def start(self) -> None:
        """Begin to work."""
        self._task = asyncio.create_task(self._work(), name=f"partition {self.partition}")

    def take_counts(self) -> tuple[int, int]:
        """How many records were flushed since this was last called, and how many of them were refused."""
        counts = self._records, self._refused
        self._records = self._refused = 0
        return counts

    @property
    def flushing_s(self) -> float:
        """How long the flush under way has been waiting for its acks, s; 0 if there is none."""
        return 0.0 if self._flushing is None or self._flushing.done() else monotonic() - self._flushed_at

    def offer(self, topic: int, batch: RecordBatch) -> None:
        """Take in a fetched batch of an input topic."""
        if self.failed:
            return
        try:
            self.processor.offer(topic, batch)
        except Exception as error:  # noqa: BLE001 - an agent that raised would have lost its batch
            self._fail(error)
            return
        queue = self.processor.queues[topic]
        if topic not in self._paused and (queue.pending >= PAUSE_RECORDS or queue.pending_bytes >= PAUSE_BYTES):
            self._paused.add(topic)
            self._pause(topic)
        self._wake.set()

    async def stop(self) -> bool:
        """Stop, flush what was applied, and drop what was not; whether the state in memory is the durable one."""
        task, self._task = self._task, None
        if task is not None:
            await end([task])
        if self.failed:
            return False
        try:
            await self._finish_flush()
            # Twice at the most: the second one takes what the first has published out of the outbox.
            while self._has_changes():
                await self._send(self._prepare())
        except asyncio.CancelledError:
            # It took too long. What is under way must not go on behind the next owner's back.
            self.failed = True
            if self._flushing is not None:
                self._flushing.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the next owner goes on from the last good cut
            self._fail(error)
        return not self.failed

    async def flush(self) -> None:
        """Wait until all that is applied by now is durable and published, or the runner has failed. Work goes on.

        While a policy takes effect nothing can be cut, and this returns at once.
        """
        if self._flush_asked is None:
            self._flush_asked = asyncio.get_running_loop().create_future()
        await self._grant(self._flush_asked)

    async def is_owner(self) -> bool:
        """Look whether another worker has claimed the partition, as soon as no flush is under way. Work goes on."""
        if self._look_asked is None:
            self._look_asked = asyncio.get_running_loop().create_future()
        await self._grant(self._look_asked)
        return not self.failed

    async def _grant(self, asked: asyncio.Future[None]) -> None:
        """Wait for the loop to do what it was asked for, or to end."""
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({asked, self._task}, return_when=asyncio.FIRST_COMPLETED)

    async def abandon(self) -> None:
        """Stop, for another worker has the partition now; what is applied and not durable is dropped.

        A flush on its way is waited for, whatever comes of it: it landed before the other's claim and counts, or after
        it and is void.
        """
        self.failed = True
        task, self._task = self._task, None
        if task is not None:
            await end([task])
        if self._flushing is not None:
            await asyncio.wait([self._flushing])
            if not self._flushing.cancelled():
                self._flushing.exception()  # Fenced, as likely as not

    def _fail(self, error: BaseException) -> None:
        if not self.failed:
            self.failed = True
            self._on_failure(error)

    # -- the loop

    async def _work(self) -> None:
        try:
            while True:
                self._wake.clear()
                applied = self._apply()
                await self._flush_if_due()
                self._resume_if_low()
                if applied >= SLICE_RECORDS:
                    await asyncio.sleep(0)
                else:  # all that can be applied now
                    await self._rest()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the worker stops, rather than go on with a partition that is wrong
            self._fail(error)

    def _apply(self) -> int:
        began = monotonic()
        applied = self.processor.run(SLICE_RECORDS)
        # Records that are announced but not written yet are no backlog: nobody knows when they come.
        self._caught_up = applied < SLICE_RECORDS and all(q.fetched >= q.end for q in self.processor.queues)
        if applied:
            self._metrics.applied(monotonic() - began)
        self.processor.tick()
        return SLICE_RECORDS if self.processor.is_advancing else applied

    async def _rest(self) -> None:
        """Wait for input, for the next tick, or for the time of the next flush."""
        timeout_s = TICK_S
        if self._flushing is None:
            await self._look_for_others()
        if self._has_changes() and self._flushing is None:
            timeout_s = min(timeout_s, max(0.0, self._flush_due_at() - monotonic()))
        timer = asyncio.get_running_loop().call_later(timeout_s, self._wake.set)
        try:
            await self._wake.wait()  # a flush that ends wakes it, too
        finally:
            timer.cancel()

    async def _look_for_others(self) -> None:
        if monotonic() - self._looked_at >= LOOK_FOR_OTHERS_S:
            await self.flusher.look_for_others()
            self._looked_at = monotonic()

    def _resume_if_low(self) -> None:
        for topic in sorted(self._paused):
            queue = self.processor.queues[topic]
            if queue.pending <= RESUME_RECORDS and queue.pending_bytes <= PAUSE_BYTES // 2:
                self._paused.discard(topic)
                self._resume(topic)

    # -- flushing

    def _has_changes(self) -> bool:
        if self.processor.is_advancing:
            return False  # none that could be cut
        clock_moved = self.processor.partition.clock != self._flushed_clock
        return self.flusher.has_news(self.processor) or (clock_moved and monotonic() - self._flushed_at >= CLOCK_CUT_S)

    def _flush_due_at(self) -> float:
        return self._flushed_at + self._limits.interval_ms / 1000 * (1 if self._caught_up else BACKLOG_INTERVALS)

    async def _flush_if_due(self) -> None:
        if self._flushing is not None and self._flushing.done():
            await self._finish_flush()
        if self._flushing is None:
            await self._do_what_is_asked()
        if not self._has_changes():
            return
        cut, letters = self.processor.partition.cut, self.processor.tally.dead_letters
        large = (
            len(cut.changed) * self._row_bytes >= self._limits.size_bytes
            or len(letters) >= DEAD_LETTERS_MAX
            or self.processor.tally.dead_letter_bytes >= DEAD_LETTER_BYTES_MAX
        )
        # Transitions go out at once, unless there is more to apply: then a busy product's rows are worth gathering.
        urgent = bool(cut.transitions) and self._caught_up
        if not (large or urgent or monotonic() >= self._flush_due_at()):
            return
        if self._flushing is not None:
            if not large:
                return  # what is under way ends soon, and wakes the loop
            await self._finish_flush()
        self._begin_flush()

    async def _do_what_is_asked(self) -> None:
        """Between two flushes: see `is_owner` and `flush`."""
        if self._look_asked is not None:
            await self.flusher.look_for_others()
            self._looked_at = monotonic()
            asked, self._look_asked = self._look_asked, None
            asked.set_result(None)
        if self._flush_asked is not None:
            asked, self._flush_asked = self._flush_asked, None
            if self._has_changes():
                self._begin_flush().add_done_callback(lambda _: asked.set_result(None))
            else:
                asked.set_result(None)

    def _begin_flush(self) -> asyncio.Task[None]:
        self._flushing = flushing = asyncio.create_task(self._send(self._prepare()))
        flushing.add_done_callback(lambda _: self._wake.set())
        return flushing

    def _prepare(self) -> Flush:
        cut, tally = self.processor.take()
        self._records += sum(tally.outcomes.values())
        self._refused += len(tally.dead_letters)
        tell(self._metrics, cut, tally)
        flush = self.flusher.prepare(self.processor, cut, tally)
        if flush.rows:
            self._row_bytes = max(100, flush.size // len(flush.rows))
        self._flushed_at = monotonic()
        self._flushed_clock = flush.meta.clock
        return flush

    async def _send(self, flush: Flush) -> None:
        began = monotonic()
        self._metrics.outbox_pending(self.partition, len(flush.outbox.transitions))
        await self.flusher.send(flush)
        if self.failed:
            return  # abandoned meanwhile: its gauges are forgotten
        self._metrics.outbox_pending(self.partition, 0)
        self._metrics.flushed(monotonic() - began, len(flush.rows), flush.size)
        statuses = self.processor.partition.statuses
        self._metrics.products(self.partition, dict(zip(STATUS_NAMES, statuses, strict=True)))

    async def _finish_flush(self) -> None:
        """Wait for the flush under way; being cancelled meanwhile does not cancel it, nor forget it."""
        if self._flushing is not None:
            await asyncio.wait([self._flushing])
            flushing, self._flushing = self._flushing, None
            flushing.result()

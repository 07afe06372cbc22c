"""The consumer under the agents: whole batches, positions of the engine's own, no commits by Faust.

What replaces what of Faust's consumer:

- `_drain_messages`: takes `RecordBatch`es from aiokafka and puts them on the streams' queues, with no await
  between the check that the session is current and the put. A *session* is one assignment; a batch fetched in an older
  one is thrown away, for every session sets its positions anew.
- `commit`, acks: nothing. Offsets are committed by `commit_offsets` alone, for lag tools (SPEC 9.3 rests on the cuts).
- `perform_seek`: nothing. Faust would seek to the group's offsets; positions come from `RebalanceHooks.on_assigned`.
- `verify_event_path`: nothing. The engine has a watchdog of its own.

The sequence at a rebalance (numbers are repeated in the code). aiokafka and Faust have the eager protocol only, in
which all partitions are revoked and assigned anew; but nothing rests on the revocation (docs/adr/0011), so the session
goes on until the assignment:
 (1) revocation, told by aiokafka: `app.on_rebalance_start()`; heartbeats go on meanwhile, and so does all else;
 (2) `hooks.on_rebalance(owned)` is awaited; the old generation is still valid for commits;
 (3) the group is joined anew (heartbeats pause). aiokafka still fetches for its old assignment, which is handed out;
 (4) assignment: the new generation's id is set on the app. From here on the old assignment's data is dead; what is kept
     is fetched for the new one from where it was left;
 (5) the session ends; what is left of the last one's `on_assigned` is cancelled;
 (6) Faust's `App._on_partitions_revoked`: flow control suspended, stream queues emptied; then its
     `App._on_partitions_assigned`: streams are indexed, recovery is signalled, heartbeats begin;
 (7) a new session, of the new assignment; `hooks.on_assigned(owned)` runs as a task, while aiokafka already prefetches
     what is new from the group's offsets: never taken. Data that is not of its position falls away once that is set;
 (8) meanwhile Faust's recovery service resumes flow control (which empties the queues once more) and the flow;
 (9) with (8) done, each partition is handed out once it has its position: those that were kept at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from aiokafka.errors import ConsumerStoppedError
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP
from faust.types.tuples import Message
from mode import Service
from mode.types import ServiceT

from streams.engine.batch import RecordBatch
from streams.engine.consumer_thread import BatchConsumerThread
from streams.engine.hooks import Progress, RebalanceHooks, TransportSettings
from streams.engine.tasks import end

if TYPE_CHECKING:
    from streams.engine.transport import BatchTransport

#: How long one round waits for data, s; also how often the drain loop looks whether it should stop.
POLL_S = 0.5
#: While some queue is crowded or the gate is shut, s.
SHORT_POLL_S = 0.02
#: A topic is not fetched while a stream of it has so many fetches queued. Agents hand batches on without waiting, so a
#: queue is nearly always empty; this only bounds memory when the event loop is late.
MAX_QUEUED_FETCHES = 16


class BatchConsumer(Consumer):
    """See the module. `app.consumer` is one when `streams.engine.transport.install` was called."""

    _thread: BatchConsumerThread

    def __init__(self, transport: BatchTransport, *args: Any, **kwargs: Any) -> None:
        self._hooks: RebalanceHooks = transport.hooks
        self.settings: TransportSettings = transport.settings
        self._session = 0
        self._generation = 0
        self._open = False
        self._starting: asyncio.Task[None] | None = None
        self._held: set[TP] = set()
        self._crowded: frozenset[TP] = frozenset()
        self.owned: frozenset[TP] = frozenset()
        super().__init__(transport, *args, **kwargs)

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # -- for the engine

    @property
    def flowing(self) -> bool:
        """True while batches of the partitions that have a position are handed out: Faust's flow is on."""
        return self._open and self.flow_active

    def pause(self, tps: Iterable[TP]) -> None:
        """Take no more of these partitions; what is fetched stays at hand.

        At once, but for one batch per partition that may be on its way, and what is in the stream's queue. It outlasts
        a rebalance in which the partition is kept.
        """
        self._held.update(TP(*tp) for tp in tps)

    def resume(self, tps: Iterable[TP]) -> None:
        """Take these partitions again, at once."""
        self._held.difference_update([TP(*tp) for tp in tps])
        self._thread.wake()

    async def commit_offsets(self, offsets: Mapping[TP, int], *, timeout_s: float = 10.0) -> bool:
        """Commit next offsets to the group; false when Kafka didn't take them.

        For lag tools and operators only: positions after a rebalance come from the hooks, so a failure costs nothing
        and is logged, not raised. After a crash the consumer has left the group already, and it is false as well.
        """
        return not self._thread.should_stop and await self._thread.commit_quietly(offsets, timeout_s)

    def progress(self, tp: TP) -> Progress | None:
        """How far `tp` is read; None while it has no position, or before the broker's first answer about it."""
        return self._thread.progress(TP(*tp))

    # -- asked by the consumer "thread"

    def is_current(self, session: int) -> bool:
        """Whether data fetched in `session` may still be handed out."""
        return session == self._session and self.flowing

    def takeable(self) -> list[TP]:
        """The partitions to take data of now."""
        return [tp for tp in self.owned if tp not in self._held and tp not in self._crowded]

    # -- handing out

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        stopped: Callable[[], bool] = cast(Service, fetcher)._stopped.is_set
        try:
            while not (self.should_stop or stopped()):
                session = self._session
                if not self.is_current(session) or not self.owned:
                    # Asking nothing of it still tells aiokafka that this member is alive: an idle one can't rejoin.
                    await self._thread.touch()
                    await asyncio.sleep(SHORT_POLL_S)
                    continue
                self._crowded = self._crowded_partitions()
                timeout_s = SHORT_POLL_S if self._crowded else POLL_S
                batches = await self._thread.take_batches(session, timeout_s)
                if self.is_current(session):
                    for together in _by_topic(batches):
                        self._hand_out(together)
                # The agents run now, before more is taken.
                await asyncio.sleep(0)
        except (ConsumerStoppedError, asyncio.CancelledError):
            if self.app.should_stop or self.should_stop or stopped():
                return
            raise
        except Exception as exc:
            if self.should_stop:
                # Crashed before, and what fetches with it: the first reason is the one to keep.
                return
            self.log.exception("Reading input failed")
            await self.crash(exc)
            raise

    def _hand_out(self, batches: list[RecordBatch]) -> None:
        """One event for all that was taken of a topic: what Faust does for an event costs more than a small batch."""
        tp, last = batches[0].tp, batches[-1]
        timestamp_s = last.timestamps[-1] / 1000.0 if last.timestamps else 0.0
        # A plain Message, not a ConsumerMessage: Faust neither tracks it nor acks it with the consumer.
        message = Message(
            tp.topic, tp.partition, batches[0].start_offset, timestamp_s, 0, None, None, cast(Any, batches), None,
            tp=tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip
        event = self.app.create_event(None, cast(Any, batches), cast(Any, None), message)
        for channel in cast(Any, self.app.topics)._tp_index.get(tp, ()):
            message.incref()
            channel.queue.force_put_nowait(event)

    def _crowded_partitions(self) -> frozenset[TP]:
        index = cast(Any, self.app.topics)._tp_index
        return frozenset(
            tp for tp in self.owned if any(channel.queue.qsize() >= MAX_QUEUED_FETCHES for channel in index.get(tp, ()))
        )

    # -- rebalances

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Step (2) of the module's sequence."""
        if self.app.should_stop or not self.owned:
            return
        timeout_s = self.settings.revoke_timeout_s
        try:
            await asyncio.wait_for(self._hooks.on_rebalance(self.owned), timeout_s)
        except TimeoutError:
            # Whoever gets a partition of which not all was flushed reads it again, from its own positions.
            self.log.error("The group goes on before all was flushed: it took longer than %s s", timeout_s)
        except Exception as exc:
            self.log.exception("Flushing for a rebalance failed")
            await self.crash(exc)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Steps (5) to (7) of the module's sequence."""
        if self.app.should_stop:
            return
        await self._end_session()  # (5)
        await super().on_partitions_revoked(set(self.owned))  # (6)
        await super().on_partitions_assigned(assigned, generation_id)
        changelogs = self.app.tables.changelog_topics
        self.owned = frozenset(TP(*tp) for tp in assigned if tp.topic not in changelogs)
        self._held &= self.owned
        self._thread.begin_session()  # (7)
        self._open = True
        # Generations are numbered: nobody else can have had what this member had in the one before.
        gapless, self._generation = generation_id == self._generation + 1, generation_id
        self._starting = self.loop.create_task(self._start_session(self._session, self.owned, gapless))

    async def _end_session(self) -> None:
        self._session += 1
        self._open = False
        self.stop_flow()
        self._thread.wake()
        starting, self._starting = self._starting, None
        if starting is not None:
            await end([starting])

    async def _start_session(self, session: int, owned: frozenset[TP], gapless: bool) -> None:
        placed: set[TP] = set()

        async def place(positions: Mapping[TP, int | None]) -> None:
            placed.update(positions)
            mine = {tp: offset for tp, offset in positions.items() if tp in owned}
            await self._thread.set_positions(session, mine)  # (9)

        try:
            _require_copartitioned(owned)
            await self._hooks.on_assigned(owned, place, gapless=gapless)
            await place(dict.fromkeys(owned - placed))
        except Exception as exc:  # noqa: BLE001 - whatever the engine raises stops the app
            if session == self._session:
                self.log.error("Taking over partitions failed: %r", exc)
                await self.crash(exc)

    async def _give_up(self, timeout_s: float) -> None:
        owned, self.owned = self.owned, frozenset()
        if not owned:
            return
        try:
            await asyncio.wait_for(self._hooks.on_revoked(owned), timeout_s)
        except TimeoutError:
            # What wasn't flushed is read again by the next owner, from its own positions.
            self.log.error("Partitions were given up before all was flushed: it took longer than %s s", timeout_s)
        except Exception as exc:
            self.log.exception("Giving up partitions failed")
            await self.crash(exc)

    async def on_stop(self) -> None:
        """The app stops: the last session ends, all is given up, then the engine closes what it has open."""
        await self._end_session()
        await self._give_up(self.settings.stop_timeout_s)
        try:
            await asyncio.wait_for(self._hooks.on_stopped(), self.settings.stop_timeout_s)
        except Exception:
            self.log.exception("Closing the engine failed")
        await super().on_stop()

    # -- what Faust does no more

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Nothing: see `commit_offsets`."""
        return False

    async def perform_seek(self) -> None:
        """Nothing: positions are set by `RebalanceHooks.on_assigned`."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: the engine has a watchdog of its own."""


def _by_topic(batches: list[RecordBatch]) -> Iterable[list[RecordBatch]]:
    found: dict[str, list[RecordBatch]] = {}
    for batch in batches:
        found.setdefault(batch.topic, []).append(batch)
    return found.values()


def _require_copartitioned(owned: frozenset[TP]) -> None:
    """All input topics' partitions of one number belong to one worker; RuntimeError otherwise."""
    topics = {tp.topic for tp in owned}
    partitions = {tp.partition for tp in owned}
    missing = {TP(topic, partition) for topic in topics for partition in partitions} - owned
    if missing:
        raise RuntimeError(f"The group split partitions that belong together; not assigned here: {sorted(missing)}")

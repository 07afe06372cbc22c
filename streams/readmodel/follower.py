"""Keeps the read model up with the topics: reads both, and writes what came into the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from aiokafka import TopicPartition
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from streams.clients.topic_reader import Part, TopicReader
from streams.errors import BrokerUnreachable, LogCut, UserError
from streams.observability.health import Health, Readiness
from streams.observability.logging import get_logger
from streams.readmodel.rows import key_text, product_row, transition_row
from streams.readmodel.store import Batch, NotOurs, Overtaken, Store
from streams.settings import Settings

# How long to wait before trying again what failed: the broker, the database.
_RETRY_S = 1.0
# Another process keeps the same database up; it is looked after this often whether it still does.
_STAND_BY_S = 5.0
# After so long without a record the broker is asked whether it is still there.
_SILENCE_S = 10.0

log = get_logger(__name__)


def source_of(settings: Settings) -> str:
    """What a database is made of: the names of the topics."""
    return f"{settings.flag_status_topic} {settings.flag_status_changed_topic}"


class Follower:
    """Reads the snapshots' and the transitions' topic into a store, from `start` to `stop`.

    `on_change` is called in the loop's thread after each change, with its number. `skipped` counts records that are
    neither snapshot nor transition: something else writes into these topics.
    """

    def __init__(
        self, settings: Settings, store: Store, health: Health, on_change: Callable[[int], None], wait_for: float = 0.0
    ) -> None:
        """`wait_for`: how many seconds `start` waits for a broker that does not answer yet."""
        self.skipped = 0
        self.lag = 0
        """Records that are yet to be read, as far as the broker has told."""
        self._settings = settings
        self._store = store
        self._health = health
        self._on_change = on_change
        self._wait_for_s = wait_for
        self._topics = [settings.flag_status_topic, settings.flag_status_changed_topic]
        self._positions: dict[TopicPartition, int] = {}
        self._targets: dict[TopicPartition, int] | None = None
        self._heard_at = 0.0
        self._generation: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_ready = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether all that was in the topics when we started is in the database."""
        return self._is_ready.is_set()

    async def start(self) -> None:
        """Begin to read. Raises UserError without a broker, without one of the topics, or without a database."""
        await asyncio.to_thread(self._store.open)
        reader = await self._reader()
        self._health.enter(Readiness.RECOVERING, "reading the topics")
        self._task = asyncio.create_task(self._run(reader), name="read model")
        # What nobody waits for shall not end in silence.
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Stop reading; what was begun to be written is written."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the read model stands still", exc_info=error)
            self._health.fail("read model", repr(error))

    async def _reader(self) -> TopicReader:
        """A reader that is at work. Raises UserError as TopicReader does, after the time to wait."""
        deadline = asyncio.get_running_loop().time() + self._wait_for_s
        while True:
            reader = TopicReader(self._settings, self._topics)
            try:
                return await reader.__aenter__()
            except BrokerUnreachable as error:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
                log.warning("waiting for the broker", reason=str(error))
                await asyncio.sleep(_RETRY_S)

    async def _run(self, reader: TopicReader | None) -> None:
        while True:
            try:
                async with AsyncExitStack() as stack:
                    if reader is None:
                        reader = await stack.enter_async_context(TopicReader(self._settings, self._topics))
                    else:
                        stack.push_async_exit(reader)
                    await self._follow(reader)
            except UserError as error:
                # No broker, or a topic that is being made anew: what is in the database is shown meanwhile.
                self._trouble("broker", error)
                await asyncio.sleep(_RETRY_S)
            reader = None

    async def _follow(self, reader: TopicReader) -> None:
        """Read until the broker can't be used any more."""
        await self._begin(reader)
        while True:
            try:
                parts = await reader.read()
                if parts:
                    await self._take(parts)
                await self._listen(reader, bool(parts))
                self.lag = await reader.lag()
                self._look_whether_ready()
            except LogCut as error:
                log.warning("beginning again", reason=str(error))
                await self._begin(reader)
            except Overtaken:
                log.info("another process keeps the database up; standing by")
                await asyncio.sleep(_STAND_BY_S)
                await self._begin(reader)
            except SQLAlchemyError as error:
                # Also what is none of the driver's: that all connections were in use for too long.
                self._trouble("database", _cause(error))
                await asyncio.sleep(_RETRY_S)
                await self._begin(reader)

    async def _listen(self, reader: TopicReader, came: bool) -> None:
        """A broker that is away looks as topics do in which nothing happens: it is asked now and then."""
        now = asyncio.get_running_loop().time()
        if not came and now - self._heard_at < _SILENCE_S:
            return
        if not came:
            await reader.ends()
        self._heard_at = now
        self._health.restore("broker")

    async def _begin(self, reader: TopicReader) -> None:
        """Go on where the database is, or from nothing if the topics are others than those it was made of."""
        while True:
            try:
                stored = await asyncio.to_thread(self._store.positions)
                self._look_whether_other_tables()
                try:
                    await reader.begin_at(stored)
                    self._positions = await reader.positions()
                except LogCut as error:
                    log.warning("making the database anew", reason=str(error))
                    self._not_ready()
                    await asyncio.to_thread(self._store.rebuild)
                    continue
                break
            except Overtaken:
                continue  # another process has made it anew just now
            except NotOurs as error:
                self._not_ready()
                self._trouble("database", error)
                await asyncio.sleep(_STAND_BY_S)
            except SQLAlchemyError as error:
                self._trouble("database", _cause(error))
                await asyncio.sleep(_RETRY_S)
        self._health.restore("database")
        self._health.restore("broker")
        if self._targets is None:
            self._targets = await reader.ends()
        # What others have written counts: who stands by may never come to write.
        self._look_whether_ready()

    async def _take(self, parts: list[Part]) -> None:
        writing = asyncio.ensure_future(asyncio.to_thread(self._write, parts))
        try:
            batch, change = await asyncio.shield(writing)
        except asyncio.CancelledError:
            # It goes on in its thread, and needs the database until it has ended.
            await asyncio.wait([writing])
            raise
        self._positions.update(batch.positions)
        self._on_change(change)

    def _write(self, parts: list[Part]) -> tuple[Batch, int]:
        """In a thread: to read two thousand records takes too long for the loop."""
        batch = self._batch(parts)
        return batch, self._store.apply(batch)

    def _batch(self, parts: list[Part]) -> Batch:
        batch = Batch()
        for part in parts:
            is_snapshot = part.partition.topic == self._settings.flag_status_topic
            take = self._take_snapshot if is_snapshot else self._take_transition
            for record in part.records:
                if not take(batch, record):
                    self.skipped += 1
            batch.positions[part.partition] = part.next_offset
        return batch

    @staticmethod
    def _take_snapshot(batch: Batch, record: Any) -> bool:
        if record.value is None:
            product_id = key_text(record.key)
            if product_id is None:
                return False
            batch.remove(product_id)
            return True
        row = product_row(record.key, record.value)
        if row is not None:
            batch.put(row)
        return row is not None

    @staticmethod
    def _take_transition(batch: Batch, record: Any) -> bool:
        row = None if record.value is None else transition_row(record.key, record.value)
        if row is not None:
            batch.add(row)
        return row is not None

    def _look_whether_other_tables(self) -> None:
        """Tables that were made anew, by whomever, hold nothing yet: half a list would look as if all were well."""
        if self._generation not in (None, self._store.generation):
            self._not_ready()
        self._generation = self._store.generation

    def _not_ready(self) -> None:
        self._targets = None
        self._is_ready.clear()
        self._health.enter(Readiness.RECOVERING, "reading the topics")

    def _look_whether_ready(self) -> None:
        if self._is_ready.is_set() or self._targets is None:
            return
        if all(self._positions[tp] >= end for tp, end in self._targets.items()):
            self._is_ready.set()
            self._health.enter(Readiness.RUNNING)
            log.info("the read model has caught up", skipped=self.skipped)

    def _trouble(self, part: str, error: BaseException | None) -> None:
        log.warning(f"the {part} can't be used, trying again", reason=str(error).strip())
        self._health.degrade(part, str(error).strip())


def _cause(error: SQLAlchemyError) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error

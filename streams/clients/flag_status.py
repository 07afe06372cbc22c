"""For visibility ranking: which products are flagged, answered from memory in well under a microsecond.

    async with FlagStatusView(settings) as view:
        await view.wait_ready()
        if view.visibility("P123") == "impacted": ...

A program without an event loop has the same with `FlagStatusView.in_thread(settings)`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeAlias

from aiokafka import TopicPartition

from streams.clients.flag_table import FlagTable, NotReady, ProductFlag
from streams.clients.topic_reader import TopicReader
from streams.codecs.durations import UNIT_MS
from streams.engine.tasks import end
from streams.errors import LogCut, UserError
from streams.observability.logging import get_logger
from streams.settings import Settings
from streams.wall import wall_ms

OnChange: TypeAlias = Callable[[str, ProductFlag | None, ProductFlag | None], None]

_RETRY_S = 1.0
# Kafka keeps a tombstone for a day by default. Whoever was away for longer may have missed some, and would show
# products as flagged for ever; half of it leaves room for clocks that differ, and for a broker told to keep less.
_OUT_OF_TOUCH_MS = 12 * UNIT_MS["h"]

log = get_logger(__name__)


class _Answers:
    """What can be asked of a view, from any thread."""

    def __init__(self, table: FlagTable) -> None:
        self._table = table
        # Bound once: a call less for whoever asks a million times a second.
        self.visibility: Callable[[str], str] = table.visibility
        """The status of a product by its id: `clear`, `at_risk`, `impacted` or `resolved`. Raises NotReady."""
        self.get: Callable[[str], ProductFlag | None] = table.get
        """What is known of a flagged product by its id; None if it is clear. Raises NotReady."""

    def __len__(self) -> int:
        """How many products are flagged, as far as is known."""
        return len(self._table)

    def __bool__(self) -> bool:
        """A view is one, also while nothing is flagged."""
        return True

    @property
    def is_ready(self) -> bool:
        """Whether it answers: it has caught up with where the topic ended when it began to read."""
        return self._table.is_ready

    @property
    def skipped(self) -> int:
        """How many records were no snapshots, and left out."""
        return self._table.skipped

    @property
    def age_ms(self) -> int | None:
        """How long ago (ms) it last knew all that the topic held; None before the first time.

        Some 100 ms are usual. While no broker answers it grows, and what is answered is of that time: whoever ranks
        decides how old is too old.
        """
        complete_ms = self._table.complete_ms
        return max(wall_ms() - complete_ms, 0) if complete_ms else None


class FlagStatusView(_Answers):
    """The compacted `flag-status` topic in memory, kept up to date by a task; an async context manager.

    Entering raises UserError if no broker answers or there is no such topic; it returns before all is read: see
    `wait_ready`. A broker that goes away later is waited for, and what is known is answered meanwhile: see `age_ms`.
    If the topic is deleted and made anew, or nothing could be read for 12 h, the view is not ready until it has read
    all anew. `on_change(product_id, before, after)` is called in the event loop's thread for each change of a status
    or reasons while it is ready (None is clear); after it was not ready, look at everything again.
    """

    def __init__(self, settings: Settings, *, on_change: OnChange | None = None) -> None:
        super().__init__(FlagTable())
        self._settings = settings
        self._on_change = on_change
        self._offsets: dict[TopicPartition, int] = {}
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @staticmethod
    def in_thread(settings: Settings, *, on_change: OnChange | None = None) -> FlagStatusThread:
        """The same in a thread of its own, as a plain context manager; `on_change` is called in that thread."""
        return FlagStatusThread(settings, on_change)

    async def __aenter__(self) -> Self:
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._follow(started))
        self._task.add_done_callback(self._ended)
        try:
            await asyncio.wait({started, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                self._task.result()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def wait_ready(self) -> None:
        """Wait until it is ready. Raises NotReady if it never will be, as its task has ended."""
        assert self._task is not None, "to be used within `async with`"
        waiter = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({waiter, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
        if self._task.done():
            raise NotReady("the view has ended")

    async def _stop(self) -> None:
        assert self._task is not None
        await end([self._task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        # An answer that nobody keeps true any more is worse than none.
        self._table.hide()
        self._ready.clear()
        if not task.cancelled() and task.exception() is not None and not isinstance(task.exception(), UserError):
            log.error("the view has ended", exc_info=task.exception())

    async def _follow(self, started: asyncio.Future[None]) -> None:
        while True:
            try:
                async with TopicReader(self._settings, [self._settings.flag_status_topic]) as reader:
                    await reader.begin_at(self._offsets)
                    ends = await reader.ends()
                    if not started.done():
                        started.set_result(None)
                    await self._read(reader, ends)
            except LogCut as error:
                log.warning("reading all flags anew", reason=str(error))
                self._ready.clear()
                self._table.forget()
                self._offsets = {}
            except UserError as error:
                if not started.done():
                    raise
                log.warning("flags can't be read, trying on", reason=str(error))
                await asyncio.sleep(_RETRY_S)

    async def _read(self, reader: TopicReader, ends: dict[TopicPartition, int]) -> None:
        while True:
            if not self._table.is_ready:
                positions = await reader.positions()
                if all(positions[partition] >= end for partition, end in ends.items()):
                    self._table.show()
                    self._ready.set()
            parts = await reader.read()
            known_ms = self._table.complete_ms
            if reader.complete_ms > known_ms:
                if known_ms and wall_ms() - known_ms > _OUT_OF_TOUCH_MS:
                    raise LogCut("nothing could be read for so long that tombstones may have been missed")
                self._table.complete_ms = reader.complete_ms
            for part in parts:
                for record in part.records:
                    self._apply(record.key, record.value)
                self._offsets[part.partition] = part.next_offset

    def _apply(self, key: bytes | None, value: bytes | None) -> None:
        change = self._table.apply(key, value)
        if change is None or self._on_change is None or not self._table.is_ready:
            return
        product_id, before, after = change
        if (before and (before.status, before.reasons)) != (after and (after.status, after.reasons)):
            try:
                self._on_change(product_id, before, after)
            except Exception:
                log.exception("on_change has failed")


class FlagStatusThread(_Answers):
    """A FlagStatusView in a thread of its own; a plain context manager. Entering raises what the view's raises."""

    def __init__(self, settings: Settings, on_change: OnChange | None) -> None:
        self._view = FlagStatusView(settings, on_change=on_change)
        super().__init__(self._view._table)
        self._end = asyncio.Event()
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, name="flag-status", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            self._thread.join()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with suppress(RuntimeError):  # its loop is closed already
            self._started.result().call_soon_threadsafe(self._end.set)
        self._thread.join()

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until it is ready. Raises NotReady if it never will be, TimeoutError after `timeout_s`."""
        asyncio.run_coroutine_threadsafe(self._view.wait_ready(), self._started.result()).result(timeout_s)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for it
            if not self._started.done():
                self._started.set_exception(error)

    async def _main(self) -> None:
        async with self._view:
            self._started.set_result(asyncio.get_running_loop())
            await self._end.wait()

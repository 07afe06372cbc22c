"""Faust's consumer "thread" in the app's own event loop, and no thread.

Python runs one thread at a time. A second one for the consumer saves no processor time: it costs some, and each time
that it is woken while the app's loop is at work it waits some ms for its turn, and so does the app's loop afterwards
(docs/adr/0012). Faust has the thread so that heartbeats go on while an agent's code blocks; here nothing blocks longer
than some tens of ms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from mode.threads import ServiceThread, WorkerThread
from mode.utils.futures import maybe_async


class LoopWorker:
    """What mode starts instead of its `WorkerThread`."""

    def __init__(self, service: ServiceThread) -> None:
        self._service = service
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Serve, in the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._serve(), name="consumer")

    def stop(self) -> None:
        """Nothing: whoever stops the service waits until it is shut down."""

    async def _serve(self) -> None:
        try:
            await self._service._serve()
        except Exception:  # noqa: BLE001 - `_serve` has told it to the app already
            self._service.set_shutdown()


class OneLoopConsumerThread(AIOKafkaConsumerThread):
    """See the module."""

    abstract = True
    Worker = cast("type[WorkerThread]", LoopWorker)

    def __init__(self, consumer: Any, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(consumer, loop=loop, thread_loop=loop, **kwargs)

    async def call_thread(self, fun: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """Just call it."""
        return await maybe_async(fun(*args, **kwargs))

    async def _gather_remaining_tasks(self) -> None:
        """Nothing: mode would cancel all tasks of the loop, which are the whole app's."""

"""The partitions of one worker, by what is being done about them: at work, being taken over, being let go of.

Assignments come and go; what is here outlasts them. A partition that is still owned is not touched. One that is being
taken over goes on being taken over, whatever the group does meanwhile, as long as it is not given to another worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

from streams.engine.runner import PartitionRunner
from streams.engine.tasks import end

# Reading changelogs is CPU work between waits: more at once would only take memory.
TAKEOVERS_AT_ONCE = 4


class Holdings:
    """See the module. `take` gives a runner of a partition, after having become its owner."""

    def __init__(self, take: Callable[[int], Awaitable[PartitionRunner]]) -> None:
        self.runners: dict[int, PartitionRunner] = {}
        self._take = take
        self._gate = asyncio.Semaphore(TAKEOVERS_AT_ONCE)
        self._taking: dict[int, asyncio.Task[PartitionRunner]] = {}
        self._leaving: dict[int, set[asyncio.Task[None]]] = {}

    def keep_only(self, partitions: Collection[int]) -> list[int]:
        """Let go of all but these, at once; what has failed is let go of as well. The partitions no longer at work.

        What of them is on its way to the log is waited for in the background: it must not be broken off, and others of
        this worker do not wait for it.
        """
        lost = [p for p, runner in self.runners.items() if p not in partitions or runner.failed]
        for partition in lost:
            self.drop(partition)
        for partition, task in list(self._taking.items()):
            if task.done() and not task.cancelled():
                task.exception()  # it is tried anew, for at that time it may have been somebody else's partition
            if partition not in partitions or task.done():
                del self._taking[partition]
                task.cancel()  # here and now: it must not claim what is another's
                self._leave(partition, end([task]))
        return lost

    def drop(self, partition: int) -> None:
        """Let go of a partition at work."""
        self._leave(partition, self.runners.pop(partition).abandon())

    async def runner(self, partition: int) -> PartitionRunner:
        """The partition at work: as it is, or once it is taken over, which goes on if this is cancelled.

        Raises what taking it over raises.
        """
        runner = self.runners.get(partition)
        if runner is None:
            task = self._taking.get(partition)
            if task is None:
                task = asyncio.create_task(self._take_over(partition), name=f"take over partition {partition}")
                self._taking[partition] = task
            runner = await asyncio.shield(task)
        return runner

    async def stop(self) -> dict[int, PartitionRunner]:
        """Give up everything; those that could make durable and publish all they had applied."""
        taking, self._taking = self._taking, {}
        await end(taking.values())
        runners = dict(self.runners)
        self.runners.clear()
        good = await asyncio.gather(*(runner.stop() for runner in runners.values()))
        leaving = [task for tasks in self._leaving.values() for task in tasks]
        if leaving:
            await asyncio.wait(leaving)
        return {partition: runner for (partition, runner), ok in zip(runners.items(), good, strict=True) if ok}

    def _leave(self, partition: int, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending, name=f"let go of partition {partition}")
        tasks = self._leaving.setdefault(partition, set())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _take_over(self, partition: int) -> PartitionRunner:
        while leaving := self._leaving.get(partition):
            await asyncio.wait(leaving)
        async with self._gate:
            runner = await self._take(partition)
        # Nothing is awaited between these: it is either being taken over, or at work.
        self._taking.pop(partition, None)
        self.runners[partition] = runner
        runner.start()
        return runner

"""Taking over a partition: from its changelog to a processor and a flusher that go on from the last cut."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from streams.domain.rulebook import Rulebook
from streams.engine.changelog import LogState
from streams.engine.cut import OutputTopics, snapshot_rows
from streams.engine.flush import Flusher
from streams.engine.kafka_log import Log
from streams.engine.processor import ClockMode, PartitionProcessor, Wall
from streams.engine.restore import Restored, restoring


@dataclass(frozen=True)
class Parts:
    """The classes at work; the simulator puts mutated ones in their place."""

    flusher: type[Flusher] = Flusher
    log_state: type[LogState] = LogState
    processor: type[PartitionProcessor] = PartitionProcessor


async def _always() -> None:
    pass


async def recover(
    partition: int,
    topics: OutputTopics,
    log: Log,
    book: Rulebook,
    clock_mode: ClockMode,
    wall: Wall,
    parts: Parts | None = None,
    may_claim: Callable[[], Awaitable[object]] = _always,
) -> tuple[PartitionProcessor, Flusher]:
    """Become the owner of a partition: (1) read its changelog, and claim it unless it is a newer program's, (2) restore
    the state of its last cut, (3) publish that cut's outbox again, before anything new. The input is to be read from
    the queues' positions.

    `may_claim` is awaited before the claim.
    Raises UserError if the changelog cannot be read; Fenced, or a WriteError.
    """
    parts = parts or Parts()
    flusher = parts.flusher(partition, topics, log, wall)
    state = parts.log_state()
    await flusher.read_on(state)
    state.require_known_versions()
    await may_claim()
    await flusher.claim(state)  # (1)
    restored = await _restore(state, book)  # (2)
    meta = restored.meta
    flusher.resume(restored)
    processor = parts.processor(restored.partition, clock_mode, wall)
    for queue, position, awaited in zip(processor.queues, meta.positions, meta.awaited, strict=True):
        queue.position = queue.fetched = position
        queue.awaited = awaited
    snapshots = snapshot_rows(restored.partition, restored.outbox.snapshots, flusher.epoch)
    await flusher.publish(restored.outbox.transitions, snapshots)  # (3)
    return processor, flusher


async def _restore(state: LogState, book: Rulebook) -> Restored:
    """What the last cut says. The loop has its turn meanwhile: so a rebalance, or a signal, need not wait for it."""
    for restored in restoring(state, book):  # noqa: B007 - the last is the complete one
        await asyncio.sleep(0)
    return restored

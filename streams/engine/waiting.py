"""Waits until the workers have applied what was sent, and reads what they published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from faust.types import TP

from streams.engine.log_reader import offsets_range, read_partition
from streams.errors import UserError
from streams.settings import Settings

POLL_S = 0.25


async def wait_until_applied(
    settings: Settings, ends: Mapping[TP, int], progress: Callable[[int, int], None], *, poll_s: float = POLL_S
) -> None:
    """Wait until the group has committed all of `ends`; by then state is durable and transitions are published.

    `progress` is told how many records are applied since this began, and how many there are, at each look.
    """
    admin = AIOKafkaAdminClient(**settings.kafka_kwargs())
    try:
        await admin.start()
        begin: dict[TP, int] | None = None
        while True:
            committed = await _committed(admin, settings.app_id, ends)
            begin = begin or committed
            total = sum(max(0, end - begin[tp]) for tp, end in ends.items())
            done = sum(min(committed[tp], end) - begin[tp] for tp, end in ends.items() if end > begin[tp])
            progress(done, total)
            if all(committed[tp] >= end for tp, end in ends.items()):
                return
            await asyncio.sleep(poll_s)
    except KafkaError as error:
        raise UserError(f"cannot ask the broker how far the workers are: {error}") from error
    finally:
        await admin.close()


async def _committed(admin: AIOKafkaAdminClient, group: str, ends: Mapping[TP, int]) -> dict[TP, int]:
    try:
        found = await admin.list_consumer_group_offsets(group)
    except KafkaError as error:
        if not error.retriable:
            raise
        found = {}  # the group's coordinator is not there yet: nobody has committed anything
    offsets = {TP(*tp): meta.offset for tp, meta in found.items()}
    return {tp: max(0, offsets.get(tp, 0)) for tp in ends}


async def transition_starts(settings: Settings) -> dict[int, int]:
    """Where each partition of the transitions topic ends now: what is published from now on comes after."""
    starts = {}
    for partition in range(await _partitions(settings)):
        starts[partition] = (
            await offsets_range(settings.kafka_kwargs(), settings.flag_status_changed_topic, partition)
        )[1]
    return starts


async def _partitions(settings: Settings) -> int:
    from streams.engine.admin import check_topics
    from streams.topics import topic_specs

    return await check_topics(settings.kafka_kwargs(), topic_specs(settings))


async def published_transitions(settings: Settings, starts: Mapping[int, int]) -> AsyncIterator[bytes]:
    """The values published since `starts`, by partition and in order; of copies with one id the first.

    Raises UserError if two copies differ, which SPEC 9.2 rules out.
    """
    for partition, start in sorted(starts.items()):
        seen: dict[bytes, bytes] = {}
        async for batch in read_partition(
            settings.kafka_kwargs(), settings.flag_status_changed_topic, partition, start=start
        ):
            for value, headers in zip(batch.values, batch.headers, strict=True):
                event_id = _event_id(headers)
                if value is None or event_id is None:
                    continue
                first = seen.setdefault(event_id, value)
                if first is value:
                    yield value
                elif first != value:
                    raise UserError(f"transition {event_id.decode()} was published with two different values")


def _event_id(headers: Any) -> bytes | None:
    for name, value in headers:
        if name == "ce_id":
            event_id: bytes | None = value
            return event_id
    return None

"""Runs records through the core, one partition, event clock."""

from __future__ import annotations

from collections.abc import Iterable

from streams.codecs.inputs import Refused, decode
from streams.domain.events import InputEvent
from streams.domain.partition import Partition
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.domain.rulebook import Rulebook
from streams.domain.transitions import Transition
from streams.testing.records import SimulatedRecord


def event_of(record: SimulatedRecord) -> InputEvent | Refused:
    """What the codec says of a record."""
    try:
        event = decode(record.topic, record.key, record.value, record.timestamp_ms, ())
    except Refused as refused:
        return refused
    assert not isinstance(event, str), f"unknown type {event}"
    return event


def play(
    records: Iterable[SimulatedRecord], until_ms: int | None = None, policies: PolicySet | None = None
) -> list[Transition]:
    """The transitions of all records, in the order given, and of what falls due until the end. None may be refused."""
    partition = Partition(Rulebook(policies or PolicySet((DEFAULT_POLICY,))))
    for record in records:
        event = event_of(record)
        assert not isinstance(event, Refused), f"{event.message}: {record}"
        partition.advance(event.occurred_at)
        partition.apply(event)
    if until_ms is not None:
        partition.advance(until_ms)
    return partition.take_cut().transitions

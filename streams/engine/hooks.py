"""What the transport and the engine agree on: settings, and the hooks around a rebalance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from faust.types import TP


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """How input is fetched.

    `max_records`: at most so many records in one `RecordBatch`. 2,000 with 1 MB fetches was twice as fast as 5,000 with
    4 MB (DESIGN, pitfalls).
    `batch_transport`: false takes Faust's stock path, one message at a time, each a `RecordBatch` of one record.
    `fetch_max_wait_ms`: how long the broker may hold back an answer while there is no data. One fetch per node is in
    flight, so an idle partition delays the busy ones by so much; Faust's own 1,500 would cost a third of the speed.
    `fetch_interval_ms`: the least time between two fetches from one node (`streams.engine.fetch_pace`).
    `revoke_timeout_s`: for `on_revoked` in a rebalance; below Kafka's rebalance timeout (Faust's default 60 s).
    `stop_timeout_s`: for `on_revoked` and for `on_stopped` when the app stops.
    """

    max_records: int = 2000
    batch_transport: bool = True
    fetch_max_wait_ms: int = 50
    fetch_interval_ms: int = 5
    fetch_max_bytes: int = 52_428_800
    max_partition_fetch_bytes: int = 1_048_576
    isolation_level: str = "read_committed"
    revoke_timeout_s: float = 45.0
    stop_timeout_s: float = 15.0


class Progress(NamedTuple):
    """How far an input partition is read, as the fetcher knows it."""

    #: The next offset to be handed to the stream.
    position: int
    #: The end of the readable log in the broker's last answer.
    end: int
    #: Wall clock, epoch milliseconds, of that answer.
    answered_ms: int


class RebalanceHooks(Protocol):
    """The engine's side of a rebalance. All are called in the app's event loop, never two at once for one session."""

    async def on_assigned(self, assigned: frozenset[TP]) -> Mapping[TP, int]:
        """Take over all the input partitions now owned, and say from which offset each is to be read.

        Runs beside the group's heartbeats, so it may take as long as it needs; nothing is handed out before it returns.
        Kept partitions are included: a rebalance empties every buffer, so give the engine's own next offset. A
        partition left out starts at its earliest record. Cancelled when the partitions are revoked first. An exception
        stops the app.
        """
        ...

    async def on_revoked(self, revoked: frozenset[TP]) -> None:
        """Let go of all the input partitions owned: drop what is pending, flush, publish, commit.

        Awaited before the group goes on, or when the app stops; bounded in time, then cancelled. Flow has stopped.
        """
        ...

    async def on_stopped(self) -> None:
        """After the last `on_revoked`: close what is open."""
        ...

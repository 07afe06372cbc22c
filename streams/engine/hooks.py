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
    `revoke_timeout_s`: for `on_rebalance`; below Kafka's rebalance timeout (Faust's default 60 s).
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


class Place(Protocol):
    """Sets positions; see `RebalanceHooks.on_assigned`."""

    async def __call__(self, positions: Mapping[TP, int | None], /) -> None:
        """Read each of these partitions from this offset on; None: from its earliest record.

        Raises LogCut when an offset lies beyond the partition's end.
        """


class RebalanceHooks(Protocol):
    """The engine's side of a rebalance. All are called in the app's event loop; only `on_rebalance` may come while
    `on_assigned` still runs."""

    async def on_rebalance(self, owned: frozenset[TP]) -> None:
        """The group is being rebalanced: make durable what was applied, commit it, and go on with all that is owned.

        Awaited before the group goes on, bounded in time, then cancelled. Until the assignment everything is handed out
        as before, but nothing may be committed: Kafka would make the group join once more.
        """
        ...

    async def on_assigned(self, assigned: frozenset[TP], place: Place, *, gapless: bool) -> None:
        """These are now all the input partitions owned: let go of the others, keep what is kept, take over the rest.

        `place` is to be told from which offset each partition is read; it is handed out from then on. What is kept is
        among them: a rebalance empties all buffers but the engine's. Those of which nothing was said when this returns
        begin at their earliest record. `gapless`: this is the group's next generation after the one of the assignment
        before, so that no other worker was given in between what is kept.
        Runs beside the group's heartbeats, so it may take as long as it needs. Cancelled by the next assignment, and
        when the app stops. An exception stops the app.
        """
        ...

    async def on_revoked(self, revoked: frozenset[TP]) -> None:
        """The app stops: let go of all the input partitions owned: drop what is pending, flush, publish, commit.

        Awaited before the group is left; bounded in time, then cancelled. Nothing is handed out any more.
        """
        ...

    async def on_stopped(self) -> None:
        """After the last `on_revoked`: close what is open."""
        ...

"""What must hold in a simulation, as SPEC section 9 says it, checked at each append and at the end.

It reads the changelog by the rules of `engine.changelog`, but with code of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from streams.codecs.dead_letters import OFFSET_HEADER, TOPIC_HEADER
from streams.codecs.meta import CLAIM_KEY, META_KEY, OUTBOX_PREFIX, decode_meta, decode_outbox, epoch_of, outbox_key
from streams.codecs.outputs import encode_transition
from streams.domain.partition import Partition
from streams.domain.policy import PolicySet
from streams.domain.rulebook import Rulebook
from streams.domain.transitions import CLEAR, STATUS_NAMES
from streams.engine.backtest import BacktestResult, backtest
from streams.engine.changelog import LogState
from streams.engine.log_writer import Row
from streams.engine.restore import restore_partition
from streams.testing.fake_log import FakePartition
from streams.testing.random_log import RandomLog
from streams.testing.simulated_worker import TOPICS


class Broken(Exception):
    """A promise that was not kept."""


def require(kept: bool, promise: str, *details: object) -> None:
    """Raise Broken unless it was kept."""
    if not kept:
        raise Broken(": ".join([promise, *map(str, details)]))


class Judge:
    """One partition's oracle: `backtest` of the same log, and what has been published and made durable so far.

    `protected`: the offset from which on compaction may not touch the changelog yet. That is what
    `min.compaction.lag.ms` gives: a row that does not count (void, or of a lower epoch) makes no older row go until
    its partition's owner has had the time to find it and to write its key again, which takes an owner two cuts, or
    one if it has read the row in recovery.
    """

    def __init__(self, partition: int, log: RandomLog, policies: PolicySet) -> None:
        self.partition = partition
        records = [record for topic in log.logs[partition] for record in topic]
        self.result = backtest(records, policies, partitions=1)
        self.expected = [encode_transition(transition) for transition in self.result.transitions[0]]
        self.ends = [len(topic) for topic in log.logs[partition]]
        self.positions = [0, 0, 0, 0]
        self.published: list[bytes] = []
        self._policies = policies
        self._refused = [(topic, offset) for part, topic, offset in log.refused if part == partition]
        self._ids = {json.loads(value)["event_id"]: value for value in self.expected}
        self._first_copies: set[bytes] = set()
        self._durable: set[bytes] = set()
        self._dead_letters: set[tuple[int, int]] = set()
        self._cuts: list[tuple[list[int], list[bytes]]] = []
        self._rows: dict[bytes, bytes | None] = {}
        self._epoch = 0
        self._claims: dict[int, int] = {}
        self._pending: dict[bytes, int] = {}
        self._bad: dict[int, int | None] = {}

    @property
    def protected(self) -> int:
        """See the class."""
        return min((*self._pending.values(), *self._bad), default=1 << 60)

    # -- at each append

    def changelog(self, base: int, rows: Sequence[Row]) -> None:
        """A record batch was appended to the changelog."""
        for offset, (key, value, headers) in enumerate(rows, base):
            assert key is not None
            epoch = epoch_of(tuple(headers))
            if epoch < self._epoch:
                self._bad[offset] = None
                continue
            if epoch > self._epoch:
                self._epoch = epoch
                self._claims[epoch] = offset
            if key == META_KEY:
                self._commit(value or b"")
            elif key != CLAIM_KEY:
                self._pending.setdefault(key, offset)
                if key.startswith(OUTBOX_PREFIX):
                    self._rows[key] = value

    def _commit(self, row: bytes) -> None:
        meta = decode_meta(row)
        require(all(map(int.__le__, self.positions, meta.positions)), "positions never go back", self.positions, meta)
        self.positions = meta.positions
        rows = [self._rows.get(outbox_key(index)) for index in range(meta.outbox_rows)]
        values = [entry.value for entry in decode_outbox(row or b"" for row in rows).transitions]
        self._durable.update(values)
        self._cuts.append((meta.positions, values))
        for topic, offset in self._refused:
            if offset < meta.positions[topic]:
                require((topic, offset) in self._dead_letters, "a dead letter is out before its cut", topic, offset)
        self._pending.clear()
        for offset, seen in list(self._bad.items()):
            if self._claims[self._epoch] > offset or seen == self._epoch:
                del self._bad[offset]
            else:
                self._bad[offset] = self._epoch

    def transitions(self, rows: Sequence[Row]) -> None:
        """A record batch was appended to the transitions."""
        for _, value, _ in rows:
            assert value is not None
            require(value in self._durable, "published only once it is durable", value[:60])
            if value in self._first_copies:
                continue
            self._first_copies.add(value)
            event_id = json.loads(value)["event_id"]
            require(self._ids.get(event_id) == value, "a transition is the backtest's", event_id)
            require(
                value == self.expected[len(self.published)], "first copies come in order", event_id, len(self.published)
            )
            self.published.append(value)

    def dead_letters(self, rows: Sequence[Row]) -> None:
        """A record batch was appended to the dead letters."""
        for _, _, headers in rows:
            told = dict(headers)
            topic = TOPICS.inputs.index(told[TOPIC_HEADER].decode())
            self._dead_letters.add((topic, int(told[OFFSET_HEADER])))

    def committed(self, positions: list[int]) -> None:
        """Positions were committed to the group."""
        require(all(map(int.__le__, positions, self.positions)), "committed only what is durable", positions)
        for cut_positions, values in self._cuts:
            if all(map(int.__le__, cut_positions, positions)):
                require(self._first_copies.issuperset(values), "committed only what is published", positions)

    # -- at the end

    def state(self, partition: Partition, whose: str) -> None:
        """A partition that has come to the end of the log is what the backtest says."""
        wanted, found = self.result.partitions[0], BacktestResult([partition])
        require(list(found.rates()) == list(self.result.rates()), f"{whose}: the rates are the backtest's")
        require(partition.statuses == wanted.statuses, f"{whose}: the statuses are the backtest's")
        require(partition.clock == wanted.clock, f"{whose}: the clock is the backtest's", partition.clock)
        for product_id, product in wanted.products.items():
            same = partition.find(product_id)
            require(
                (same.sequence if same else 0) == product.sequence, f"{whose}: sequences are the backtest's", product_id
            )

    def all_published(self) -> None:
        """Every transition of the backtest was published."""
        require(self.published == self.expected, "nothing is lost", len(self.published), len(self.expected))

    def recovered(self, log: FakePartition, whose: str) -> None:
        """Who reads the changelog now finds the state at the end of the log."""
        state = LogState()
        state.read(log.fetch((TOPICS.changelog, self.partition), 0, log.end, len(log.entries) + 1))
        restored = restore_partition(state, Rulebook(self._policies))
        require(restored.meta.positions == self.ends, f"{whose}: the positions are the ends", restored.meta)
        self.state(restored.partition, whose)

    def snapshots(self, log: FakePartition) -> None:
        """The last snapshot of each product is that of its status; a tombstone, or nothing, if it is clear."""
        last = {entry.key: entry.value for entry in log.entries}
        products = self.result.partitions[0].products
        flagged = {product.id: product for product in products.values() if product.status != CLEAR}
        for product_id in flagged.keys() | {key.decode() for key in last if key is not None}:
            value, product = last.get(product_id.encode()), flagged.get(product_id)
            told: Any = None if value is None else msgspec.json.decode(value)
            found = told and (told["current_status"], told["sequence"])
            wanted = product and (STATUS_NAMES[product.status], product.sequence)
            require(found == wanted, "the latest snapshot is of the present status", product_id, found, wanted)

"""The flush protocol: from a cut of a partition to durable state, published outputs and a position (DESIGN 2 and 3).

 (1) Dead letters of the cut are published and acked: from (2) on, their input is passed.
 (2) Rows and the meta row, which holds the transitions (the outbox), are appended to the changelog in one record batch
     and acked. Now the cut is durable. If it did not land right after this writer's last batch, somebody else wrote:
     a higher epoch means that this worker has lost the partition; a lower one was a zombie's last gasp, and the keys
     it touched are written again in the next cut.
 (3) Transitions are published, then snapshots, and acked.
 (4) The positions may be committed to the group; `durable_positions` says which.

The next flush begins after (3), so its meta row no longer holds these transitions. A crash between (2) and (3) leaves
them in the log: the next owner publishes them before anything new, with the same ids and bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streams.codecs.dead_letters import dead_letter
from streams.codecs.meta import CLAIM_KEY, META_KEY, Meta, OutboxEntry, encode_meta, epoch_headers, epoch_of
from streams.codecs.outputs import encode_snapshot, encode_transition, transition_headers
from streams.codecs.row import RowWriter, product_of
from streams.domain.partition import Cut, Partition
from streams.domain.reasons import snapshot_of
from streams.domain.transitions import CLEAR, Transition
from streams.engine.changelog import LogState
from streams.engine.kafka_log import Log
from streams.engine.log_writer import BatchTooLarge, Row
from streams.engine.processor import DeadLetter, PartitionProcessor, Tally, Wall

# A cut larger than this goes out in several batches, of which the last has the meta row: until that is there, none of
# them counts. Below the 12 MB the producer takes, with room for what a batch adds to each record.
BATCH_BYTES_MAX = 8_000_000
_ROW_OVERHEAD = 40


class Fenced(Exception):
    """Another worker has taken the partition: this one must publish nothing more of it."""


@dataclass(frozen=True, slots=True)
class OutputTopics:
    """Where a partition writes; `inputs` are the names of the input topics, for dead letters."""

    changelog: str
    transitions: str
    snapshots: str
    dead_letters: str
    inputs: tuple[str, str, str, str]
    source: str


@dataclass(slots=True)
class Flush:
    """A cut in bytes, ready to go out."""

    rows: list[Row]
    meta: Meta
    dead_letters: list[Row]
    transitions: list[Transition]
    snapshots: list[Row]
    size: int


class Flusher:
    """Writes the cuts of one partition. One flush at a time.

    `epoch` is this writer's; `expected` the offset at which its next batch must land. `outbox_stands`: what the last
    cut has in its outbox was published, but stands in the log still; another cut spares the next owner from
    publishing it again.
    """

    def __init__(
        self,
        partition: int,
        topics: OutputTopics,
        log: Log,
        wall: Wall,
    ) -> None:
        self.partition = partition
        self.topics = topics
        self.epoch = 0
        self.expected = 0
        self.flush_number = 0
        self.outbox_stands = False
        self.rows = RowWriter()
        self.durable_positions: list[int] = []
        self._log = log
        self._wall = wall
        self._stale: set[bytes] = set()
        self._expected_snapshot = 0
        self._stale_snapshots: set[str] = set()

    # -- taking over

    async def claim(self, state: LogState) -> None:
        """Become the one writer of the changelog partition, which has been read into `state` to its end.

        Reads on, into `state`, what others wrote meanwhile. From the claim's offset on, what anybody else writes is of
        a lower epoch and counts for nothing.
        """
        while True:
            epoch = state.epoch + 1
            base = await self._append([(CLAIM_KEY, b"", epoch_headers(epoch))])
            contested = base != state.next_offset
            if contested:
                await self.read_on(state, base)
            if state.epoch < epoch:
                break
            # Somebody claimed as much or more in between. Beyond our own claim there may be more of theirs.
            await self.read_on(state, base + 1)
        state.epoch = epoch
        state.next_offset = base + 1
        self.epoch, self.expected = epoch, base + 1
        self._stale = state.stale_keys()
        self._expected_snapshot = await self._log.end(self.topics.snapshots, self.partition)
        meta = state.decode_meta()
        self.flush_number = meta.flush_number
        self.durable_positions = list(meta.positions)

    async def read_on(self, state: LogState, end: int | None = None) -> None:
        """Read the changelog partition on, up to `end` or else to its present end."""
        batches = self._log.read(self.topics.changelog, self.partition, state.next_offset, end)
        async for batch in batches:
            state.read(batch)

    # -- a cut

    def prepare(self, processor: PartitionProcessor, cut: Cut, tally: Tally) -> Flush:
        """Encode a cut as of now; nothing is sent. Later changes of the partition are in later cuts."""
        partition = processor.partition
        rows = self._encode(partition, cut)
        for product_id in self._stale_snapshots:
            cut.snapshots[product_id] = None
        self._stale_snapshots = set()
        self.flush_number += 1
        self.outbox_stands = False
        meta = Meta(
            clock=partition.clock,
            positions=processor.positions,
            awaited=[queue.awaited for queue in processor.queues],
            flush_number=self.flush_number,
            outbox=[
                OutboxEntry(t.product_id, t.sequence, t.effective_at, encode_transition(t)) for t in cut.transitions
            ],
            snapshots=list(cut.snapshots),
        )
        return Flush(
            rows=rows,
            meta=meta,
            dead_letters=[self._dead_letter(letter) for letter in tally.dead_letters],
            transitions=cut.transitions,
            snapshots=self.snapshots(partition, cut.snapshots),
            size=sum(len(key or b"") + len(value or b"") + _ROW_OVERHEAD for key, value, _ in rows),
        )

    def _encode(self, partition: Partition, cut: Cut) -> list[Row]:
        """The rows of the cut, and of what somebody else has overwritten."""
        stale, self._stale = self._stale, set()
        for key in stale:
            product_id = product_of(key)
            cut.changed[product_id] = None
            product = partition.products.get(product_id)
            if product is not None:
                product.touched = None  # nobody knows what of it is good: all of its pages are written
        written: dict[bytes, bytes | None] = dict.fromkeys(stale)
        for product_id in cut.changed:
            written.update(self.rows.encode(product_id, partition.products.get(product_id)))
        headers = epoch_headers(self.epoch)
        return [(key, value, headers) for key, value in written.items()]

    def _dead_letter(self, letter: DeadLetter) -> Row:
        batch, index = letter.batch, letter.index
        key, value, headers = dead_letter(
            self.topics.inputs[letter.topic],
            self.partition,
            batch.offsets[index],
            batch.keys[index],
            batch.values[index],
            batch.headers[index],
            letter.refused,
        )
        return key, value, headers  # type: ignore[return-value]  # a null header value is sent as it came

    def snapshots(self, partition: Partition, product_ids: Iterable[str]) -> list[Row]:
        """The snapshot records of these products: a tombstone for what is clear, or gone."""
        headers = epoch_headers(self.epoch)
        records: list[Row] = []
        for product_id in product_ids:
            product = partition.products.get(product_id)
            value = None
            if product is not None and product.status != CLEAR:
                assert partition.clock is not None
                value = encode_snapshot(snapshot_of(product, partition.book, product.as_of))
            records.append((product_id.encode(), value, headers))
        return records

    async def send(self, flush: Flush) -> None:
        """Steps (1) to (3). Raises Fenced, or a WriteError after which this flusher is of no more use."""
        await self._publish_dead_letters(flush.dead_letters)  # (1)
        await self._append_cut(flush)  # (2)
        self.durable_positions = list(flush.meta.positions)
        await self.publish(flush.meta.outbox, flush.snapshots)  # (3), which allows (4)

    async def _publish_dead_letters(self, letters: list[Row]) -> None:
        try:
            if letters:
                await self._log.publish(self.topics.dead_letters, self.partition, letters, self._wall())
        except BatchTooLarge:
            # A record as large as the broker takes: alone in a batch it may be sent all the same.
            for letter in letters:
                await self._log.append(self.topics.dead_letters, self.partition, [letter], self._wall())

    async def _append_cut(self, flush: Flush) -> None:
        meta_row: Row = (META_KEY, encode_meta(flush.meta), epoch_headers(self.epoch))
        for part in _parts(flush.rows, meta_row):
            base = await self._append(part)
            if base != self.expected:
                await self._inspect_intruder(base)
            self.expected = base + len(part)

    async def _append(self, rows: list[Row]) -> int:
        return await self._log.append(self.topics.changelog, self.partition, rows, self._wall())

    async def _inspect_intruder(self, base: int) -> None:
        """Somebody else wrote between our last batch and this one: who?"""
        between = LogState(epoch=self.epoch, next_offset=self.expected)
        await self.read_on(between, base)
        if between.epoch > self.epoch:
            raise Fenced(
                f"partition {self.partition}: another worker took it over (epoch {between.epoch} after {self.epoch})"
            )
        self._stale |= between.stale_keys()

    async def publish(self, outbox: list[OutboxEntry], snapshots: list[Row]) -> None:
        """Step (3): transitions in order, then snapshots. Raises a WriteError."""
        now = self._wall()
        if outbox:
            records: list[Row] = [
                (
                    entry.product_id.encode(),
                    entry.value,
                    transition_headers(entry.product_id, entry.sequence, entry.effective_at, self.topics.source),
                )
                for entry in outbox
            ]
            await self._log.publish(self.topics.transitions, self.partition, records, now)
        if snapshots:
            offsets = await self._log.publish(self.topics.snapshots, self.partition, snapshots, now)
            if offsets[-1] - offsets[0] + 1 != len(offsets) or offsets[0] != self._expected_snapshot:
                await self._inspect_snapshots(offsets[-1])
            self._expected_snapshot = offsets[-1] + 1
        self.outbox_stands = bool(outbox or snapshots)

    async def _inspect_snapshots(self, end: int) -> None:
        """Somebody else wrote snapshots since our last: those of a lower epoch are written again in the next cut."""
        batches = self._log.read(self.topics.snapshots, self.partition, self._expected_snapshot, end)
        async for batch in batches:
            for key, headers in zip(batch.keys, batch.headers, strict=True):
                epoch = epoch_of(headers)
                if epoch > self.epoch:
                    raise Fenced(f"partition {self.partition}: a worker of epoch {epoch} writes its snapshots")
                if epoch < self.epoch and key is not None:
                    self._stale_snapshots.add(key.decode())


def _parts(rows: list[Row], meta_row: Row) -> list[list[Row]]:
    """The rows in batches of at most BATCH_BYTES_MAX, the meta row at the very end."""
    parts: list[list[Row]] = [[]]
    size = 0
    for row in [*rows, meta_row]:
        row_size = len(row[0] or b"") + len(row[1] or b"") + _ROW_OVERHEAD
        if size + row_size > BATCH_BYTES_MAX and parts[-1]:
            parts.append([])
            size = 0
        parts[-1].append(row)
        size += row_size
    return parts

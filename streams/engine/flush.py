"""The flush protocol: from a cut of a partition to durable state, published outputs and a position (DESIGN 2 and 3).

 (1) Dead letters of the cut are published and acked: from (2) on, their input is passed.
 (2) Rows and the meta row, which holds the transitions (the outbox), are appended to the changelog in one record batch
     and acked. Now the cut is durable. If it did not land right after this writer's last batch, somebody else wrote:
     a higher epoch means that this worker has lost the partition; a lower one was a zombie's last gasp, and the keys
     it touched are written again in the next cut.
 (3) Transitions and snapshots are published, side by side, and acked.
 (4) The positions may be committed to the group: `durable_positions`.

The next flush begins after (3), so its meta row no longer holds these transitions. A crash between (2) and (3) leaves
them in the log: the next owner publishes them before anything new, with the same ids and bytes.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from streams.codecs.meta import (
    CLAIM_KEY,
    META_KEY,
    Meta,
    OutboxEntry,
    encode_meta,
    encode_outbox,
    epoch_headers,
    epoch_of,
    outbox_key,
)
from streams.codecs.row import RowError, RowWriter, product_of
from streams.domain.cut import Cut
from streams.domain.dormant import rest
from streams.domain.partition import Partition
from streams.engine.changelog import LogState
from streams.engine.cut import (
    Flush,
    OutputTopics,
    dead_letter_row,
    outbox_of,
    parts,
    row_size,
    snapshot_rows,
    transition_rows,
    without_value,
)
from streams.engine.kafka_log import Log
from streams.engine.log_writer import BatchTooLarge, Row
from streams.engine.processor import PartitionProcessor, Tally, Wall
from streams.engine.restore import Restored
from streams.errors import LogCut

# Products that a partition keeps awake where nobody has set another limit.
AWAKE_MAX = 1 << 62


class Fenced(Exception):
    """Another worker has taken the partition: this one must publish nothing more of it."""


class Flusher:
    """Writes the cuts of one partition. One flush at a time.

    `epoch` is this writer's; `expected` the offset at which its next batch must land. `outbox_stands`: what the last
    cut has in its outbox was published, but stands in the log still; another cut spares the next owner from
    publishing it again. `prepared_positions` are those of the last cut that was encoded, `durable_positions` those of
    the last one that is durable and published. `awake_max`: of so many products at the most the partition keeps more
    than the row.
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
        self.awake_max = AWAKE_MAX
        self.rows = RowWriter()
        self.durable_positions: list[int] = []
        self.prepared_positions: list[int] = []
        self._log = log
        self._wall = wall
        self._outbox_rows = 0
        # Keys and products whose last row in the changelog, or last snapshot, is not what it should be.
        self._stale: set[bytes] = set()
        self._stale_snapshots: set[str] = set()
        self._expected_snapshot = 0

    # -- taking over

    async def claim(self, state: LogState) -> None:
        """Become the one writer of the changelog partition, which has been read into `state` to its end.

        Reads on, into `state`, what others wrote meanwhile. From the claim's offset on, what anybody else writes is of
        a lower epoch and counts for nothing.
        """
        while True:
            epoch = state.epoch + 1
            base = await self._append([(CLAIM_KEY, b"", epoch_headers(epoch))])
            self._require_whole_log(base, state.next_offset)
            if base == state.next_offset:
                break
            # Somebody wrote in between, and may have claimed as much or more. What is there to read does not tell: a
            # worker that sleeps here may find that compaction has taken their claim. So it claims again, higher.
            await self.read_on(state, base + 1)
        self.succeed(state, epoch, base)
        # What was written to the snapshot topic since the last cut may be a sleeper's: it is written again.
        await self.look_for_others()

    def succeed(self, state: LogState, epoch: int, claimed_at: int) -> None:
        """Go on from what has been read, as the writer whose claim of this epoch landed at this offset."""
        state.epoch, state.next_offset = epoch, claimed_at + 1
        self.epoch, self.expected = epoch, claimed_at + 1
        self._stale = state.stale_keys()
        meta = state.decode_meta()
        self.flush_number, self._outbox_rows = meta.flush_number, meta.outbox_rows
        self._expected_snapshot = meta.snapshots_end

    def resume(self, restored: Restored) -> None:
        """Go on from what was restored of the log that this flusher has claimed."""
        self.rows.pages = restored.pages
        self.durable_positions = list(restored.meta.positions)
        self.prepared_positions = list(restored.meta.positions)

    async def read_on(self, state: LogState, end: int | None = None) -> None:
        """Read the changelog partition on, up to `end` or else to its present end."""
        batches = self._log.read(self.topics.changelog, self.partition, state.next_offset, end)
        async for batch in batches:
            state.read(batch)
            await asyncio.sleep(0)  # there may be more at hand: but a rebalance, or a signal, is not to wait for it

    # -- a cut

    def prepare(self, processor: PartitionProcessor, cut: Cut, tally: Tally) -> Flush:
        """Encode a cut as of now; nothing is sent. Later changes of the partition are in later cuts.

        Then products that have not changed for long go to sleep, if too many are awake.
        """
        for product_id in sorted(self._stale_snapshots):
            cut.snapshots[product_id] = None
        self._stale_snapshots = set()
        partition, outbox = processor.partition, outbox_of(cut)
        outbox_rows = encode_outbox(outbox)
        rows = self._encode(partition, cut, outbox_rows)
        self.flush_number += 1
        self.outbox_stands = False
        self._outbox_rows = len(outbox_rows)
        meta = Meta(
            clock=partition.clock,
            positions=processor.positions,
            awaited=[queue.awaited for queue in processor.queues],
            flush_number=self.flush_number,
            outbox_rows=self._outbox_rows,
            snapshots_end=self._expected_snapshot,
            lands_at=self.expected,
            products=partition.size,
            rules=partition.book.digest,
        )
        self.prepared_positions = meta.positions
        snapshots = snapshot_rows(partition, cut.snapshots, self.epoch)
        rest(partition, cut.changed, self.awake_max)
        return Flush(
            rows=rows,
            meta=meta,
            outbox=outbox,
            dead_letters=[dead_letter_row(letter, self.topics) for letter in tally.dead_letters],
            snapshots=snapshots,
            size=sum(map(row_size, rows)),
        )

    def _encode(self, partition: Partition, cut: Cut, outbox_rows: list[tuple[bytes, bytes]]) -> list[Row]:
        """The rows of the cut, of what somebody else has overwritten, and of the outbox."""
        stale, self._stale = sorted(self._stale), set()
        # What is written again below replaces this; what is not is not there any more.
        written: dict[bytes, bytes | None] = dict.fromkeys(stale)
        for key in stale:
            try:
                product_id = product_of(key)
            except RowError:
                continue  # of the outbox, or of nothing that this program writes
            cut.changed[product_id] = None
            product = partition.find(product_id)
            if product is not None:
                product.touched = None  # nobody knows what of it is good: all of its pages are written
        for product_id in cut.changed:
            written.update(self.rows.encode(product_id, partition.products.get(product_id), partition.book))
        written.update((outbox_key(index), None) for index in range(len(outbox_rows), self._outbox_rows))
        written.update(outbox_rows)
        headers = epoch_headers(self.epoch)
        return [(key, value, headers) for key, value in written.items()]

    def has_news(self, processor: PartitionProcessor) -> bool:
        """Whether another cut would say anything new."""
        return (
            not processor.partition.cut.is_empty
            or bool(processor.tally.dead_letters)
            or processor.positions != self.prepared_positions
            or self.must_write
        )

    @property
    def must_write(self) -> bool:
        """Whether another cut is due though nothing has changed: to take what was published out of the outbox, or to
        write again what somebody else has overwritten, before compaction could prefer theirs."""
        return self.outbox_stands or bool(self._stale or self._stale_snapshots)

    async def send(self, flush: Flush) -> None:
        """Steps (1) to (3). Raises Fenced, or a WriteError after which this flusher is of no more use."""
        await self._publish_dead_letters(flush.dead_letters)  # (1)
        await self._append_cut(flush)  # (2)
        await self.publish(flush.outbox.transitions, flush.snapshots)  # (3)
        self.durable_positions = list(flush.meta.positions)  # (4)

    async def _publish_dead_letters(self, letters: list[Row]) -> None:
        try:
            if letters:
                await self._log.publish(self.topics.dead_letters, self.partition, letters, self._wall())
        except BatchTooLarge:
            # A record as large as the broker takes: alone in a batch it may be sent all the same.
            for letter in letters:
                await self._append_dead_letter(letter)

    async def _append_dead_letter(self, letter: Row) -> None:
        topic = self.topics.dead_letters
        try:
            await self._log.append(topic, self.partition, [letter], self._wall())
        except BatchTooLarge:
            await self._log.append(topic, self.partition, [without_value(letter)], self._wall())

    async def _append_cut(self, flush: Flush) -> None:
        meta_row: Row = (META_KEY, encode_meta(flush.meta), epoch_headers(self.epoch))
        for part in parts(flush.rows, meta_row):
            base = await self._append(part)
            self._require_whole_log(base, self.expected)
            if base != self.expected:
                await self._inspect_intruder(base)
            self.expected = base + len(part)

    def _require_whole_log(self, found: int, expected: int) -> None:
        """Raises LogCut if the changelog ends, at `found`, before what was written to it."""
        if found < expected:
            raise LogCut(
                f"{self.topics.changelog}-{self.partition} goes on at offset {found}, but had reached {expected}: the "
                "topic was deleted and made anew, or the broker lost data, and with it the state of products. Start "
                "under another app_id (FLAGGED_APP_ID) and replay the input"
            )

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
        """Step (3): transitions in order, and snapshots, side by side. Raises a WriteError."""
        if not (outbox or snapshots):
            self.outbox_stands = False
            return
        records = transition_rows(outbox, self.topics.source)
        outputs = ((self.topics.transitions, records), (self.topics.snapshots, snapshots))
        _, offsets = await self._log.publish_all(self.partition, outputs, self._wall())
        if snapshots:
            if offsets[-1] - offsets[0] + 1 != len(offsets) or offsets[0] != self._expected_snapshot:
                await self._inspect_snapshots(offsets[-1])
            self._expected_snapshot = offsets[-1] + 1
        self.outbox_stands = True

    async def look_for_others(self) -> None:
        """Look whether somebody else wrote rows or snapshots since our last; for an owner who has nothing to write.

        Not while a flush is under way. Raises Fenced.
        """
        end = await self._log.end(self.topics.changelog, self.partition)
        self._require_whole_log(end, self.expected)
        if end > self.expected:
            await self._inspect_intruder(end)
            self.expected = end
        end = await self._log.end(self.topics.snapshots, self.partition)
        if end > self._expected_snapshot:
            await self._inspect_snapshots(end)
            self._expected_snapshot = end

    async def _inspect_snapshots(self, end: int) -> None:
        """Somebody else wrote snapshots since our last: those of a lower epoch are written again in the next cut."""
        batches = self._log.read(self.topics.snapshots, self.partition, self._expected_snapshot, end)
        async for batch in batches:
            for key, headers in zip(batch.keys, batch.headers, strict=True):
                epoch = epoch_of(headers)
                if epoch > self.epoch:
                    raise Fenced(
                        f"partition {self.partition}: another worker took it over (its snapshots have epoch {epoch} "
                        f"after {self.epoch})"
                    )
                if epoch < self.epoch and key is not None:
                    with suppress(UnicodeDecodeError):  # what is no product's is none of ours to write again
                        self._stale_snapshots.add(key.decode())

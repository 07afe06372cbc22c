"""The changelog of one partition: how its log is read, and how a worker becomes its one writer (DESIGN 2 and 3).

The log is a series of cuts. A cut is rows and then one meta row, nearly always in one record batch. Reading it:

 (1) A row of a lower epoch than one seen before it was written by a worker that had lost the partition: it is
     ignored, and its key is *stale* (compaction might prefer it), so the next owner writes the key again.
 (2) Other rows are *pending* until a meta row follows; then they, and whatever else is pending, are the state.
 (3) What is pending at the end of the log was never completed. It is void, and its keys are stale as well.

Rule (2) needs no numbering of cuts, for who takes over writes all stale keys before or with its first meta row, so that
nothing void is ever pending when a meta row comes.

Rows may be of a version that this program does not read (`LogState.require_known_versions`). That is to be found before
the partition is claimed: the claim would fence the newer worker that wrote them, and nobody would be the better for it.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

from streams.codecs import meta as meta_rows
from streams.codecs import row as product_rows
from streams.codecs.meta import (
    CLAIM_KEY,
    META_KEY,
    OUTBOX_PREFIX,
    Meta,
    Outbox,
    decode_meta,
    decode_outbox,
    epoch_of,
    outbox_key,
)
from streams.codecs.row import RowError
from streams.codecs.row_pages import PAGE_VERSION
from streams.engine.batch import RecordBatch
from streams.engine.dormant import unreadable
from streams.errors import UserError

# The versions of rows that this program reads: the first byte of each. Those of products, and those of other kinds.
READ_VERSIONS = product_rows.READ_VERSIONS
OTHER_VERSIONS = frozenset((PAGE_VERSION, meta_rows.VERSION))


@dataclass(slots=True)
class LogState:
    """What has been read of a changelog partition; `next_offset` is where to read on.

    `versions`: of all rows, whether they count or not; `other_versions`: of all that are no product's header.
    """

    rows: dict[bytes, bytes] = field(default_factory=dict)
    pending: dict[bytes, bytes | None] = field(default_factory=dict)
    stale: set[bytes] = field(default_factory=set)
    meta: bytes | None = None
    meta_offset: int = 0
    epoch: int = 0
    next_offset: int = 0
    versions: set[int] = field(default_factory=set)
    other_versions: set[int] = field(default_factory=set)

    def read(self, batch: RecordBatch) -> None:
        """Read the next batch of the log, by the rules of this module."""
        keys, headers = batch.keys, batch.headers
        self._note_versions(keys, batch.values)
        epoch = epoch_of(headers[0]) if headers else 0
        if epoch >= self.epoch and None not in keys and headers.count(headers[0] if headers else ()) == len(headers):
            self._read_of_one(batch, epoch)
        else:
            self._read_of_many(batch)
        self.next_offset = batch.next_offset

    def _read_of_one(self, batch: RecordBatch, epoch: int) -> None:
        """Rows that are all of the present writer, as nearly all of a log are: stretches between meta rows."""
        keys, values, start = batch.keys, batch.values, 0
        self.epoch = epoch if keys else self.epoch
        while start < len(keys):
            try:
                stop = keys.index(META_KEY, start)
            except ValueError:
                stop = len(keys)
            self.pending.update(zip(keys[start:stop], values[start:stop], strict=True))  # type: ignore[arg-type]
            self.pending.pop(CLAIM_KEY, None)
            if stop < len(keys):
                self._commit(values[stop], batch.offsets[stop])
            start = stop + 1

    def _read_of_many(self, batch: RecordBatch) -> None:
        pending, epoch = self.pending, self.epoch
        last_headers: object = None
        row_epoch = 0
        for offset, key, value, headers in zip(batch.offsets, batch.keys, batch.values, batch.headers, strict=True):
            if key is None:
                continue
            if headers != last_headers:  # nearly always those of the row before
                row_epoch, last_headers = epoch_of(headers), headers
            if row_epoch < epoch:
                self.stale.add(key)  # (1)
                continue
            epoch = row_epoch
            if key == META_KEY:
                self._commit(value, offset)
            elif key != CLAIM_KEY:
                pending[key] = value  # (2)
        self.epoch = epoch

    def _commit(self, meta: bytes | None, offset: int) -> None:
        rows, pending = self.rows, self.pending
        if None not in pending.values():
            rows.update(pending)  # type: ignore[arg-type]
        else:
            for key, value in pending.items():
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value
        pending.clear()
        self.meta, self.meta_offset = meta, offset

    def _note_versions(self, keys: list[bytes | None], values: list[bytes | None]) -> None:
        self.versions.update({value[0] for value in values if value})
        # No UTF-8 text, and so no product's key, begins with a byte as high as those of pages, outbox and meta row.
        others = {value[0] for key, value in zip(keys, values, strict=True) if key and key >= OUTBOX_PREFIX and value}
        self.other_versions.update(others)

    def stale_keys(self) -> set[bytes]:
        """The keys whose last row in the log is not what it should be; the meta row is in every cut anyway."""
        return (self.stale | self.pending.keys()) - {META_KEY, CLAIM_KEY}  # (3)

    def require_known_versions(self) -> None:
        """Raises UserError if a row of the last complete cut is of a version that this program does not read.

        What no longer counts is not looked at, be it void or overwritten: it may be gone by compaction at any time.
        """
        if self.versions <= READ_VERSIONS and self.other_versions <= OTHER_VERSIONS:
            return  # by far the usual case, and known without another look at all rows
        rows = self.rows
        unknown = {row[0] for row in rows.values() if row} - READ_VERSIONS
        others = {row[0] for row in (rows[key] for key in rows if key >= OUTBOX_PREFIX) if row}
        if self.meta:
            others.add(self.meta[0])
        unknown |= others - OTHER_VERSIONS
        if unknown:
            newer = max(unknown) > max(READ_VERSIONS)
            raise UserError(
                f"the changelog cannot be read: it has rows of version {_listed(unknown)}, and this program reads "
                f"version {_listed(READ_VERSIONS)}. Use the version of this program that wrote them"
                f"{', or a newer one' if newer else ''}; or start anew under another app_id (FLAGGED_APP_ID) with the "
                "input replayed"
            )

    def decode_meta(self) -> Meta:
        """The meta row of the last complete cut; a fresh one for an empty log. Raises UserError if it is unreadable."""
        try:
            return Meta() if self.meta is None else decode_meta(self.meta)
        except RowError as error:
            raise unreadable(error) from error

    def decode_outbox(self) -> Outbox:
        """What the last complete cut publishes. Raises RowError if part of it is not there."""
        count = self.decode_meta().outbox_rows
        rows: list[bytes] = []
        for index in range(count):
            row = self.rows.get(outbox_key(index))
            if row is None:
                raise RowError(f"of the {count} outbox rows of the last cut, number {index} is missing")
            rows.append(row)
        return decode_outbox(rows)


def _listed(versions: Set[int]) -> str:
    return ", ".join(map(str, sorted(versions)))

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

import struct
from collections.abc import Generator, Set
from dataclasses import dataclass, field
from heapq import heapify
from itertools import islice

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
from streams.codecs.row import (
    HAS_PAGES,
    PAGE_PREFIX,
    PENDING,
    VERSION,
    RowError,
    decode_product,
    due_of,
    product_of,
    read_prefix,
)
from streams.domain.dormant import Found, Stored, lay_down, put_back, put_to_sleep
from streams.domain.partition import Partition
from streams.domain.rulebook import Rulebook
from streams.domain.transitions import STATUS_NAMES
from streams.engine.batch import RecordBatch
from streams.engine.dormant import DormantRows, unreadable
from streams.errors import LogCut, UserError

Keyed = tuple[bytes, bytes]
"""A row and its key."""

# The versions of rows that this program reads: the first byte of each. Those of products, and those of other kinds.
READ_VERSIONS = product_rows.READ_VERSIONS
OTHER_VERSIONS = frozenset((product_rows.PAGE_VERSION, meta_rows.VERSION))

# Between two pauses of a recovery, in which the event loop has its turn: some 5 ms of work.
_ROWS_AT_ONCE = 5_000
_PRODUCTS_AT_ONCE = 100


@dataclass(slots=True)
class LogState:
    """What has been read of a changelog partition; `next_offset` is where to read on."""

    rows: dict[bytes, bytes] = field(default_factory=dict)
    pending: dict[bytes, bytes | None] = field(default_factory=dict)
    stale: set[bytes] = field(default_factory=set)
    meta: bytes | None = None
    meta_offset: int = 0
    epoch: int = 0
    next_offset: int = 0

    def read(self, batch: RecordBatch) -> None:
        """Read the next batch of the log, by the rules of this module."""
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
        self.next_offset = batch.next_offset

    def _commit(self, meta: bytes | None, offset: int) -> None:
        rows = self.rows
        for key, value in self.pending.items():
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        self.pending.clear()
        self.meta, self.meta_offset = meta, offset

    def stale_keys(self) -> set[bytes]:
        """The keys whose last row in the log is not what it should be; the meta row is in every cut anyway."""
        return (self.stale | self.pending.keys()) - {META_KEY, CLAIM_KEY}  # (3)

    def require_known_versions(self) -> None:
        """Raises UserError if a row of the last complete cut is of a version that this program does not read.

        What no longer counts is not looked at, be it void or overwritten: it may be gone by compaction at any time.
        """
        rows = self.rows
        found = {row[0] for row in rows.values() if row}
        unknown = found - READ_VERSIONS
        # No UTF-8 text, and so no product's key, begins with a byte as high as those of pages and the outbox.
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


@dataclass(slots=True)
class Restored:
    """A partition as of its last complete cut; `pages`: how many pages its large products have."""

    partition: Partition
    meta: Meta
    outbox: Outbox
    pages: dict[str, int]


def restore_partition(state: LogState, book: Rulebook) -> Restored:
    """What the last complete cut says; `restoring` at one go."""
    steps = restoring(state, book)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            restored: Restored = done.value
            return restored


def restoring(state: LogState, book: Rulebook) -> Generator[None, None, Restored]:
    """Restores what the last complete cut says, in steps of some milliseconds.

    Raises UserError if a row cannot be read: going on without it would count its events as never seen. LogCut if rows
    are missing. What is wrong with a row of a product that stays dormant is found when the product wakes.
    """
    state.require_known_versions()
    try:
        partition = Partition(book, DormantRows(book))
        restored = Restored(partition, state.decode_meta(), state.decode_outbox(), {})
        yield from _restore_products(state.rows, restored)
    except RowError as error:
        raise unreadable(error) from error
    meta, found = restored.meta, restored.partition.size
    if meta.lands_at > state.meta_offset or found != (found if meta.products is None else meta.products):
        raise LogCut(
            f"the changelog has lost state: its last cut, at offset {state.meta_offset}, was written for offset "
            f"{meta.lands_at} or later and for {meta.products} products, and {found} are there. Was the topic made "
            "anew, or its cleanup.policy not compact? Start anew under another app_id with the input replayed"
        )
    return restored


def _listed(versions: Set[int]) -> str:
    return ", ".join(map(str, sorted(versions)))


def _restore_products(rows: dict[bytes, bytes], restored: Restored) -> Generator[None]:
    """Products that are not due yet stay dormant. The others, those with a snapshot pending, and all of them where the
    rules are not those that their due times were found by, are read; then those of them sleep again that may."""
    partition, clock = restored.partition, restored.meta.clock
    if clock is None:
        return
    partition.clock = clock
    pages: dict[bytes, dict[int, bytes]] = {}
    for key in [key for key in rows if key.startswith(PAGE_PREFIX)]:
        pages.setdefault(key[5:], {})[int.from_bytes(key[1:5], "big")] = rows[key]
    to_read: list[Keyed] = []
    if restored.meta.rules == partition.book.digest:
        items = iter(rows.items())
        while part := list(islice(items, _ROWS_AT_ONCE)):
            to_read += _leave(part, pages, restored)
            yield
        heapify(partition.agenda)
    else:
        to_read += rows.items()
    for number, (key, row) in enumerate(to_read):
        if key < OUTBOX_PREFIX:
            _read_product(restored, key, row, pages.get(key, {}))
        if number % _PRODUCTS_AT_ONCE == 0:
            yield


def _leave(part: list[Keyed], pages: dict[bytes, dict[int, bytes]], restored: Restored) -> list[Keyed]:
    """Leave products dormant that may be; the rows of the others."""
    found, to_read, clock = Found(), [], restored.partition.clock
    ids, stored, dues, statuses = found.ids, found.stored, found.dues, found.statuses
    assert clock is not None
    for key, row in part:
        try:
            version, due_at, status = read_prefix(row)
            product_id = key.decode()
        except (struct.error, UnicodeDecodeError):
            to_read.append((key, row))  # what is wrong with it is told by who reads it
            continue
        rows: Stored | None = row
        if status >= HAS_PAGES or key in pages:
            rows, status = _with_pages(row, status, pages.get(key, {}))
        if version != VERSION or due_at <= clock or status >= len(STATUS_NAMES) or rows is None:
            to_read.append((key, row))
            continue
        if rows is not row:
            restored.pages[product_id] = len(rows) - 1
        ids.append(product_id)
        stored.append(rows)
        dues.append(due_at)
        statuses.append(status)
    lay_down(restored.partition, found)
    return to_read


def _with_pages(row: bytes, status: int, pages: dict[int, bytes]) -> tuple[Stored | None, int]:
    """All rows of a product and its status; None if it cannot be left as they are, for whatever reason."""
    if not status & HAS_PAGES or status & PENDING or not all(page in pages for page in range(len(pages))):
        return None, status
    return (row, *(pages[page] for page in range(len(pages)))), status & ~HAS_PAGES


def _read_product(restored: Restored, key: bytes, row: bytes, pages: dict[int, bytes]) -> None:
    partition, clock = restored.partition, restored.partition.clock
    assert clock is not None
    product, page_count = decode_product(product_of(key), row, pages, partition.book, clock)
    partition.restore(product)
    if page_count:
        restored.pages[product.id] = page_count
    if row[0] != VERSION:
        put_to_sleep(partition, product)
        return
    if product.due_at is not None and product.due_at < due_of(row):
        partition.cut.changed[product.id] = None  # other rules than those it was written by make it due earlier
    put_back(partition, product, (row, *map(pages.__getitem__, range(page_count))) if page_count else row)

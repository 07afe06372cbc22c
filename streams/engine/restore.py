"""From the last cut of a changelog to a partition (DESIGN decision 6).

A million products must be back within seconds. So a product is not read but left as its rows, dormant, wherever its
header row says that it has nothing to do yet.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heapify
from itertools import islice

from streams.codecs.meta import OUTBOX_PREFIX, Meta, Outbox
from streams.codecs.row import (
    HAS_PAGES,
    PAGE_PREFIX,
    PREFIX_BYTES,
    VERSION,
    RowError,
    decode_product,
    due_of,
    product_of,
    read_prefix,
)
from streams.domain.dormant import Found, lay_down, put_back, put_to_sleep
from streams.domain.partition import Partition
from streams.domain.rulebook import Rulebook
from streams.domain.transitions import STATUS_NAMES
from streams.engine.changelog import LogState
from streams.engine.dormant import DormantRows, unreadable
from streams.errors import LogCut

# Between two pauses, in which the event loop has its turn: some 5 ms of work.
_ROWS_AT_ONCE = 5_000
_PRODUCTS_AT_ONCE = 100

Keyed = tuple[bytes, bytes]
"""A row and its key."""
Pages = dict[bytes, dict[int, bytes]]
"""The pages of products, by the key of their header and by their number."""


@dataclass(slots=True)
class Restored:
    """A partition as of its last complete cut; `pages`: how many pages its large products have."""

    partition: Partition
    meta: Meta
    outbox: Outbox
    pages: dict[str, int]


def restore_partition(state: LogState, book: Rulebook) -> Restored:
    """What the last complete cut says; `restoring` at one go."""
    return deque(restoring(state, book), maxlen=1).pop()


def restoring(state: LogState, book: Rulebook) -> Iterator[Restored]:
    """Restores what the last complete cut says, in steps of some milliseconds; what it gives is complete at the last.

    Raises UserError if a row cannot be read: going on without it would count its events as never seen. LogCut if rows
    are missing. What is wrong with a row of a product that stays dormant is found when the product wakes.
    """
    state.require_known_versions()
    try:
        partition = Partition(book, DormantRows(book))
        restored = Restored(partition, state.decode_meta(), state.decode_outbox(), {})
        for _ in _restore_products(state.rows, restored):
            yield restored
    except RowError as error:
        raise unreadable(error) from error
    meta, found = restored.meta, restored.partition.size
    if meta.lands_at > state.meta_offset or found != (found if meta.products is None else meta.products):
        raise LogCut(
            f"the changelog has lost state: its last cut, at offset {state.meta_offset}, was written for offset "
            f"{meta.lands_at} or later and for {meta.products} products, and {found} are there. Was the topic made "
            "anew, or its cleanup.policy not compact? Start anew under another app_id with the input replayed"
        )
    yield restored


def _restore_products(rows: dict[bytes, bytes], restored: Restored) -> Iterator[None]:
    """Products that are not due yet stay dormant. The others, those with a snapshot pending, and all of them where the
    rules are not those that their due times were found by, are read; then those of them sleep again that may."""
    partition, clock = restored.partition, restored.meta.clock
    if clock is None:
        return
    partition.clock = clock
    others: list[Keyed] = []
    same_rules = restored.meta.rules == partition.book.digest
    if same_rules:
        items = iter(rows.items())
        for _ in range(0, len(rows), _ROWS_AT_ONCE):
            yield
            others += _leave(islice(items, _ROWS_AT_ONCE), restored)
    else:
        others += rows.items()
    pages: Pages = {}
    for key, row in others:
        if key.startswith(PAGE_PREFIX):
            pages.setdefault(key[5:], {})[int.from_bytes(key[1:5], "big")] = row
    to_read = [(key, row) for key, row in others if key < OUTBOX_PREFIX]
    if same_rules:
        to_read = _leave_with_pages(to_read, pages, restored)
    heapify(partition.agenda)
    for number, (key, row) in enumerate(to_read):
        if number % _PRODUCTS_AT_ONCE == 0:
            yield
        _read_product(restored, key, row, pages.pop(key, {}))
    for key, left_over in pages.items():
        stored = partition.dormant.rows.get(product_of(key))
        if isinstance(stored, bytes):  # a product whose header says that it has none
            decode_product(product_of(key), stored, left_over, partition.book, clock)


def _leave(part: Iterable[Keyed], restored: Restored) -> list[Keyed]:
    """Leave products dormant that are one row and may be; the other rows."""
    found, others, clock = Found(), [], restored.partition.clock
    ids, stored, dues, statuses = found.ids, found.stored, found.dues, found.statuses
    assert clock is not None
    for key, row in part:
        try:
            version, due_at, status = read_prefix(row)
            if version != VERSION or due_at <= clock or status >= len(STATUS_NAMES):
                others.append((key, row))
                continue
            ids.append(key.decode())
        except (struct.error, UnicodeDecodeError):
            others.append((key, row))  # no header; or what is wrong with it is told by who reads it
            continue
        stored.append(row)
        dues.append(due_at)
        statuses.append(status)
    lay_down(restored.partition, found)
    return others


def _leave_with_pages(headers: list[Keyed], pages: Pages, restored: Restored) -> list[Keyed]:
    """Leave products dormant that have pages, and may be; the headers of the others."""
    found, to_read, clock = Found(), [], restored.partition.clock
    assert clock is not None
    for key, row in headers:
        parts = pages.get(key, {})
        version, due_at, status = read_prefix(row) if parts and len(row) > PREFIX_BYTES else (0, 0, 0)
        status -= HAS_PAGES
        numbers = range(len(parts))
        if (
            version != VERSION
            or due_at <= clock
            or not 0 <= status < len(STATUS_NAMES)
            or not all(page in parts for page in numbers)
        ):
            to_read.append((key, row))
            continue
        product_id = product_of(key)
        restored.pages[product_id] = len(parts)
        found.ids.append(product_id)
        found.stored.append((row, *(parts[page] for page in numbers)))
        found.dues.append(due_at)
        found.statuses.append(status)
    lay_down(restored.partition, found)
    return to_read


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

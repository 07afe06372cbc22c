"""A product as rows of the changelog, and back (DESIGN decision 2).

A row is a version byte, then a msgpack array. Most products are one row, keyed by product_id. A product with many
lines and fees is a header row and pages, so that a cut writes what changed and not the whole of it; an item is in the
page that the CRC of its id says. All rows of a product are written in one cut, so they always fit together.

Between its version and its array a header row has what a reader must know of a product that it leaves as it is: when
the product is due (8 bytes, ms; NEVER for never; it may be early, not late), and its status (1 byte), with bits that
say that it has pages, or a snapshot pending. Version 1 has neither; it is read still.

Keys: a product's header is its id in UTF-8; a page is 0xFF, the page number (4 bytes, big-endian) and the id. No UTF-8
text begins with 0xFF or 0xFE, the meta row's key (`meta`), so no product can be mistaken for either.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, TypeVar

import msgspec

from streams.codecs import row_shape
from streams.codecs.row_pages import PAGE_VERSION, Pages
from streams.codecs.row_shape import ARGUMENTS, Header, Items, packed
from streams.domain.buckets import unpack
from streams.domain.counters import NEVER
from streams.domain.levels import MetricState
from streams.domain.lines import Line
from streams.domain.outlook import row_due
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook
from streams.domain.transitions import CLEAR

# Of header rows, as they are written and as they are read.
VERSION = 2
READ_VERSIONS = frozenset((1, VERSION))
PAGE_PREFIX = b"\xff"

# Bits of the status byte beside the status.
HAS_PAGES, PENDING = 0x40, 0x80
_prefix = struct.Struct(">BQB")
PREFIX_BYTES = _prefix.size
read_prefix = _prefix.unpack_from
"""Version, due time and status byte of a header row of this version. Raises struct.error for a row that is too short.
Of a row of version 1 only the version means anything."""

# Below this many items a product is one row: some 5 KB, which a cut may write whole. Most products stay below for good,
# and only those can be put to sleep again.
PAGED_FROM = 128
# Items a page has on the average, at most and at least, before the number of pages is doubled or halved. With each item
# that changes its whole page is written; but each page is a key of the changelog for as long as the product lives.
PAGE_ITEMS_MAX, PAGE_ITEMS_MIN = 32, 8

Row = tuple[bytes, bytes | None]
T = TypeVar("T")

# Counters by their packed integer: most buckets have few facts, and nearly all are as they were when written last.
_counters: dict[int, tuple[int, ...]] = {}
_COUNTERS_MAX = 4_096  # some 1.5 MB

_encode = msgspec.msgpack.Encoder().encode
_ALONE = b"\x91"  # how an array of one begins: the sequence of a product of which nothing else is left


class RowError(ValueError):
    """A row that cannot be read: of a version this program does not know, or damaged."""


class RowWriter:
    """Writes the products of one partition; remembers which of them have pages, how many, and what is in them."""

    def __init__(self, pages: Mapping[str, int] | None = None) -> None:
        self.pages: dict[str, int] = dict(pages or {})
        # Of products that have pages and were written by this writer.
        self._contents: dict[str, Pages] = {}

    def encode(self, product_id: str, product: Product | None, book: Rulebook) -> list[Row]:
        """The rows that changed since the product was last written; tombstones where it is gone (None)."""
        before = self.pages.get(product_id, 0)
        key = product_id.encode()
        if product is None or product.is_empty:
            self._forget(product_id)
            if product is not None:
                product.touched = None
            alone = None
            if product is not None and product.sequence:
                alone = _prefix.pack(VERSION, NEVER, CLEAR) + _encode([product.sequence])
            return [(key, alone), *((page_key(key, page), None) for page in range(before))]
        pages = _pages(before, len(product.lines) + len(product.seen))
        if pages == 0:
            if before:
                self._forget(product_id)
            product.touched = None
            header = _header_row(product, 0, _items(product), book)
            return [(key, header), *((page_key(key, page), None) for page in range(before))]
        contents, changed = self._changed(product, pages, before)
        rows: list[Row] = [(key, _header_row(product, pages, None, book))]
        rows.extend((page_key(key, page), contents.row(product, page)) for page in sorted(changed))
        rows.extend((page_key(key, page), None) for page in range(pages, before))
        return rows

    def _changed(self, product: Product, pages: int, before: int) -> tuple[Pages, Iterable[int]]:
        """What is in the product's pages, and which of them are to be written."""
        touched, contents = product.touched, self._contents.get(product.id)
        changed: Iterable[int] = range(pages)
        if touched is None or pages != before:
            contents = Pages(product, pages)
        else:
            if contents is None or contents.touched is not touched or len(contents) != pages:
                contents = Pages(product, pages)  # it was read from its rows, or somebody else wrote it since
            changed = contents.update(product, touched)
        self.pages[product.id], self._contents[product.id] = pages, contents
        product.touched = contents.touched = set()
        return contents, changed

    def _forget(self, product_id: str) -> None:
        """It has no pages."""
        self.pages.pop(product_id, None)
        self._contents.pop(product_id, None)


def page_key(key: bytes, page: int) -> bytes:
    """The key of a page of the product with this key."""
    return PAGE_PREFIX + page.to_bytes(4, "big") + key


def product_of(key: bytes) -> str:
    """The product that a header's or a page's key belongs to. Raises RowError for a key that is neither."""
    try:
        return (key[5:] if key.startswith(PAGE_PREFIX) else key).decode()
    except UnicodeDecodeError as error:
        raise RowError(f"{key!r} is the key of no product: {error}") from error


def _pages(before: int, items: int) -> int:
    """How many pages a product with so many items is to have: 0 or a power of two."""
    if before == 0:
        if items < PAGED_FROM:
            return 0
        before = 2
    while items > before * PAGE_ITEMS_MAX:
        before *= 2
    while before > 1 and items < before * PAGE_ITEMS_MIN:
        before //= 2
    return before if before > 1 else 0


def _header_row(product: Product, pages: int, items: list[Any] | None, book: Rulebook) -> bytes:
    status = _status_byte(product.status, pages, product.snapshot_pending)
    return _prefix.pack(VERSION, row_due(product, book), status) + _encode(_header(product, pages, items))


def _status_byte(status: int, pages: int, snapshot_pending: bool) -> int:
    return status | (HAS_PAGES if pages else 0) | (PENDING if snapshot_pending else 0)


def due_of(row: bytes) -> int:
    """When the product of a header row of this version is due, ms; NEVER for never."""
    return int.from_bytes(row[1:9], "big")


def with_due(row: bytes, due_at: int) -> bytes:
    """A header row that says another due time."""
    return row[:1] + due_at.to_bytes(8, "big") + row[9:]


def _header(product: Product, pages: int, items: list[Any] | None) -> list[Any]:
    buckets: list[int] = []
    for bucket, counts in product.buckets.items():
        buckets.append(bucket)
        buckets += _counters.get(counts) or _unpacked(counts)
    states = product.states
    return [
        product.sequence,
        product.status,
        product.relapse_count,
        product.resolved_at,
        product.effective_at,
        product.as_of,
        product.held_from,
        product.seller,
        product.region,
        product.category,
        buckets,
        list(chain.from_iterable(product.impressions.items())),
        states and [(state.level, state.since, state.breach_since, state.exit_since) for state in states],
        product.snapshot_at,
        product.snapshot_pending,
        pages,
        items,
    ]


def _unpacked(counts: int) -> tuple[int, ...]:
    """The counters of a bucket, to be found in `_counters` from now on."""
    if len(_counters) >= _COUNTERS_MAX:
        _counters.clear()
    _counters[counts] = counters = unpack(counts)
    return counters


def _items(product: Product) -> list[Any]:
    """[lines, seen, high fees], all of them."""
    lines = [(order_id, line_id, line.facts) for (order_id, line_id), line in product.lines.items()]
    return [lines, list(product.seen.items()), product.high_fees]


def decode_product(
    product_id: str, header: bytes, pages: Mapping[int, bytes], book: Rulebook, clock_ms: int
) -> tuple[Product, int]:
    """A product and the number of its pages, from its rows, as of the partition's clock when they were written.

    Raises RowError for a row of another version, a damaged one, or pages that are not those the header tells of.
    """
    if not header or header[0] not in READ_VERSIONS:
        raise RowError(_other_version(header, READ_VERSIONS))
    start = 1 if header[0] == 1 else PREFIX_BYTES
    if header[start : start + 1] == _ALONE:
        (sequence,) = _read(row_shape.read_sequence, product_id, header, start)
        _check_prefix(product_id, header, CLEAR)
        product = Product(product_id, book, clock_ms)
        product.sequence = sequence
        return product, 0
    values = _read(row_shape.read_header, product_id, header, start)
    _check_prefix(product_id, header, _status_byte(values.status, values.pages, values.snapshot_pending))
    try:
        row_shape.check_header(values, len(pages), book.bucket_ms, clock_ms)
        product = _from_header(product_id, values, book, clock_ms)
        parts = [values.items] if values.items is not None else _pages_of(product_id, values, pages)
        _add_items(product, parts)
    except (ValueError, KeyError) as error:
        raise _unreadable(product_id, error) from error
    product.restore(book)
    return product, values.pages


def _check_prefix(product_id: str, header: bytes, status: int) -> None:
    """That what a header row says before its array fits the array."""
    if header[0] != 1 and (header[PREFIX_BYTES - 1] != status or due_of(header) > NEVER):
        raise _unreadable(product_id, ValueError("what it says of its status does not fit it"))


def _pages_of(product_id: str, header: Header, pages: Mapping[int, bytes]) -> list[Items]:
    found = []
    for row in (pages[page] for page in range(header.pages)):
        if not row or row[0] != PAGE_VERSION:
            raise RowError(_other_version(row, {PAGE_VERSION}))
        found.append(_read(row_shape.read_page, product_id, row, 1))
    return found


def _read(decode: Callable[[memoryview], T], product_id: str, row: bytes, start: int) -> T:
    try:
        return decode(memoryview(row)[start:])
    except (ValueError, RecursionError) as error:  # not UTF-8 is a ValueError too
        raise _unreadable(product_id, error) from error


def _other_version(row: bytes, known: Iterable[int]) -> str:
    return f"row version {row[0] if row else 'none'} is not {' or '.join(map(str, sorted(known)))}, which is read here"


def _unreadable(product_id: str, error: Exception) -> RowError:
    return RowError(f"a row of product {product_id!r} is damaged: {error}")


def _from_header(product_id: str, header: Header, book: Rulebook, clock_ms: int) -> Product:
    product = Product(product_id, book, header.as_of)
    product.sequence, product.status, product.relapse_count = header.sequence, header.status, header.relapse_count
    product.resolved_at, product.effective_at = header.resolved_at, header.effective_at
    product.held_from = header.held_from
    product.seller, product.region, product.category = header.seller, header.region, header.category
    product.buckets = _buckets(header)
    impressions = header.impressions
    product.impressions = dict(zip(impressions[::2], impressions[1::2], strict=True))
    if header.states is not None:
        product.states = [_state(*state) for state in header.states]
    product.snapshot_at, product.snapshot_pending = header.snapshot_at, header.snapshot_pending
    product.plan = book.plan(product.region_name, product.category_name, clock_ms)
    if header.pages:
        product.touched = set()
    return product


def _buckets(header: Header) -> dict[int, int]:
    buckets: dict[int, int] = {}
    flat, first = header.buckets, header.held_from
    for i in range(0, len(flat), 9):
        bucket = flat[i]
        if bucket < first or bucket in buckets:
            raise ValueError("a bucket is there that was dropped, or twice")
        buckets[bucket] = packed(flat[i + 1 : i + 9])
    return buckets


def _add_items(product: Product, parts: Iterable[Items]) -> None:
    first, kept, told = product.held_from, product.lines, 0
    for lines, seen, high_fees in parts:
        told += len(lines)
        for order_id, line_id, facts in lines:
            for kind, _, _, argument in facts:
                if type(argument) is not ARGUMENTS[kind]:
                    raise ValueError("a fact has not what its kind asks for")
            key = (order_id, line_id)
            kept[key] = Line(key, facts)
        # Pages are not written anew for what leaves them by age.
        for event_id, bucket in seen:
            if bucket >= first:
                product.seen[event_id] = bucket
        product.high_fees += [fee for fee in high_fees if fee[1] >= first]
    if told != len(kept):
        raise ValueError("a line is there twice")


def _state(level: int, since: int | None, breach_since: int | None, exit_since: int | None) -> MetricState:
    state = MetricState()
    state.level, state.since, state.breach_since, state.exit_since = level, since, breach_since, exit_since
    return state

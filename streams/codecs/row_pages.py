"""What is in each page of a product, kept up from cut to cut: so a cut costs what changed, and not all that is there.

A page's items stand in the order in which the product has them, lines, seen ids and high fees each, as they would if
all of the product were gone through: what is written does not depend on what was kept here.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Final
from zlib import crc32

import msgspec

from streams.domain.lines import LineKey
from streams.domain.product import Product

PAGE_VERSION: Final = 1
# A page's version, and how an array of three begins.
_BEGIN: Final = bytes((PAGE_VERSION, 0x93))

_encode = msgspec.msgpack.Encoder().encode
_HighFee = tuple[int, int, str]


def line_item(key: LineKey) -> str:
    """The id by which a line finds its page: many lines of one order are not one page."""
    return f"{key[0]}/{key[1]}"


def page_of(item_id: str, pages: int) -> int:
    """The page an item with this id is in; `pages` is a power of two."""
    return crc32(item_id.encode()) & (pages - 1)


class _Page:
    """Keys of lines with the lines as they are written, ids with their buckets, and high fees.

    `writes`: how often it was written. Its lines are there from the second time on, and empty before: most pages that
    are written because others are, or once after a restart, are spared the work and the memory.
    """

    __slots__ = ("high_fees", "lines", "seen", "writes")

    def __init__(self) -> None:
        self.writes = 0
        self.lines: dict[LineKey, bytes] = {}
        self.seen: dict[str, int] = {}
        self.high_fees: list[_HighFee] = []


class Pages:
    """The pages of one product, as of when it was last written.

    `touched`: the set that the product was given then. Only while it has that very one is it known what changed since.
    """

    __slots__ = ("_high_fees", "_pages", "_seen", "_told", "touched")

    def __init__(self, product: Product, count: int) -> None:
        """Of a product in `count` pages, a power of two."""
        self.touched: set[str | LineKey] = set()
        self._pages = [_Page() for _ in range(count)]
        for key in product.lines:
            self._pages[page_of(line_item(key), count)].lines[key] = b""
        # What leaves by age is not touched, but then the product has another dict, and another list.
        self._seen: dict[str, int] = product.seen
        for event_id, bucket in product.seen.items():
            self._pages[page_of(event_id, count)].seen[event_id] = bucket
        self._high_fees: list[_HighFee] = []
        self._told = 0
        self._tell_high_fees(product)

    def __len__(self) -> int:
        return len(self._pages)

    def update(self, product: Product, touched: set[str | LineKey]) -> set[int]:
        """Take in what was touched since the last time; the pages that it is in."""
        pages, lines, count = self._pages, product.lines, len(self._pages)
        place: dict[str | LineKey, int] = {}
        for item in touched:
            if isinstance(item, str):
                place[item] = page_of(item, count)
                continue
            place[item] = number = page_of(line_item(item), count)
            line = lines.get(item)
            if line is None:
                pages[number].lines.pop(item, None)
            else:
                pages[number].lines[item] = _encode((*item, line.facts)) if pages[number].writes > 1 else b""
        # What was added since is at the end, and was touched. It came in the order it has there.
        for key in reversed(list(takewhile(touched.__contains__, reversed(lines)))):
            kept = pages[place[key]].lines
            kept[key] = kept.pop(key)
        self._age(product)
        seen = product.seen
        for event_id in reversed(list(takewhile(touched.__contains__, reversed(seen)))):
            pages[place[event_id]].seen[event_id] = seen[event_id]
        self._tell_high_fees(product)
        return set(place.values())

    def _age(self, product: Product) -> None:
        """Let go of the ids that the product has let go of."""
        seen = product.seen
        if seen is self._seen:
            return
        self._seen = seen
        for page in self._pages:
            page.seen = {event_id: bucket for event_id, bucket in page.seen.items() if seen.get(event_id) == bucket}

    def _tell_high_fees(self, product: Product) -> None:
        """Take in the high fees that are new; all of them where some have left by age: there are not many."""
        high_fees, pages = product.high_fees, self._pages
        if high_fees is not self._high_fees:
            self._high_fees, self._told = high_fees, 0
            for page in pages:
                page.high_fees = []
        for fee in high_fees[self._told :] if self._told else high_fees:
            pages[page_of(fee[2], len(pages))].high_fees.append(fee)
        self._told = len(high_fees)

    def row(self, product: Product, number: int) -> bytes:
        """A page as it is written."""
        page, lines = self._pages[number], product.lines
        page.writes += 1
        if page.writes == 1:
            told = [(*key, lines[key].facts) for key in page.lines]
            return bytes((PAGE_VERSION,)) + _encode((told, list(page.seen.items()), page.high_fees))
        if page.writes == 2:
            page.lines = {key: _encode((*key, lines[key].facts)) for key in page.lines}
        parts = (_BEGIN, _array(len(page.lines)), *page.lines.values())
        return b"".join((*parts, _encode(list(page.seen.items())), _encode(page.high_fees)))


def _array(length: int) -> bytes:
    """How an array of so many begins in msgpack."""
    if length < 16:
        return bytes((0x90 | length,))
    return b"\xdc" + length.to_bytes(2, "big") if length < 1 << 16 else b"\xdd" + length.to_bytes(4, "big")

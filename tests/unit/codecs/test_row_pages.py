"""Pages as they are written when they are full, and more than once (`streams.codecs.row_pages`).

What is in them is held against all of the product by tests/property/test_row_pages.py.
"""

from __future__ import annotations

import msgspec
import pytest

from streams.codecs.row import RowWriter, page_key
from streams.codecs.row_pages import _array, line_item, page_of
from tests.core.scene import HOUR_MS, T0, Scene

KEY = b"P1"


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 65_535, 65_536])
def test_an_array_begins_as_msgpack_has_it(length: int) -> None:
    whole = msgspec.msgpack.encode([None] * length)
    assert _array(length) == whole[: len(whole) - length]


def test_a_page_is_the_same_however_often_it_was_written() -> None:
    scene, writer = Scene(), RowWriter()
    book = scene.partition.book
    scene.many_placed(range(300), ship_by=T0 + HOUR_MS)
    product = scene.partition.products["P1"]
    writer.encode("P1", product, book)
    pages = writer.pages["P1"]
    for number in range(200, 206):
        key = (f"O{number}", "1")
        scene.shipped(key[0], T0 + number)
        # One that is there already is written in its place, a new one at the end.
        scene.placed(f"N{number}", T0 + number, T0 + HOUR_MS)
        written = dict(writer.encode("P1", product, book))
        page = page_of(line_item(key), pages)
        lines, seen, high_fees = msgspec.msgpack.decode((written[page_key(KEY, page)] or b"")[1:])
        assert [tuple(line[:2]) for line in lines] == [
            key for key in product.lines if page_of(line_item(key), pages) == page
        ]
        assert len(lines) > 16
        assert all(len(facts) == len(product.lines[order_id, line_id].facts) for order_id, line_id, facts in lines)
        assert (seen, high_fees) == ([], [])

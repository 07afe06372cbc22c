"""Rows written by earlier builds: they are read as they were meant, and those of this version are written the same.

Whoever changes the row format raises its version, and adds a file; these never change. See `golden/rows-v2.json`:
keys and values are hex, `state` is what they say (`row_views`), `due` the due time of the header (from version 2 on).
The meta row and the outbox have version 1.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.codecs import row
from streams.codecs.meta import decode_meta, decode_outbox, encode_meta, encode_outbox
from streams.codecs.row import PAGE_PREFIX, RowWriter, decode_product, due_of, page_key, product_of, with_due
from streams.domain.counters import NEVER
from streams.domain.policy import DEFAULT_POLICY, PolicySet
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook
from tests.unit.codecs.row_views import meta_view, outbox_view, product_view

GOLDEN, PRESENT = (
    json.loads((Path(__file__).parent / "golden" / f"rows-v{version}.json").read_text()) for version in (1, 2)
)
PRODUCTS = [
    pytest.param(entry, id=f"v{golden['version']}: {entry['description']}")
    for golden in (GOLDEN, PRESENT)
    for entry in golden["products"]
]
PRESENT_PRODUCTS = [pytest.param(entry, id=entry["description"]) for entry in PRESENT["products"]]


def rows_of(entry: dict[str, Any]) -> dict[bytes, bytes]:
    return {bytes.fromhex(key): bytes.fromhex(value) for key, value in entry["rows"].items()}


def read(entry: dict[str, Any]) -> tuple[Product, int]:
    rows = rows_of(entry)
    product_id = entry["product_id"]
    assert {product_of(key) for key in rows} == {product_id}
    pages = {int.from_bytes(key[1:5], "big"): value for key, value in rows.items() if key.startswith(PAGE_PREFIX)}
    book = Rulebook(PolicySet((DEFAULT_POLICY,)))
    return decode_product(product_id, rows[product_id.encode()], pages, book, entry["clock"])


@pytest.mark.parametrize("entry", PRODUCTS)
def test_a_products_rows_say_what_they_said(entry: dict[str, Any]) -> None:
    product, pages = read(entry)
    assert product_view(product) == entry["state"]
    assert pages == len(rows_of(entry)) - 1


@pytest.mark.parametrize("entry", PRESENT_PRODUCTS)
def test_a_product_is_written_as_it_was(entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row, "PAGE_ITEMS_MIN", 1)  # the golden pages are small ones
    product, pages = read(entry)
    product.touched = None  # so that all pages are written
    book = Rulebook(PolicySet((DEFAULT_POLICY,)))
    written, golden = dict(RowWriter({product.id: pages}).encode(product.id, product, book)), rows_of(entry)
    key = product.id.encode()
    assert due_of(golden[key]) == (NEVER if entry["due"] is None else entry["due"])
    # It may be earlier, and how early is found anew with every version of the rules of thumb.
    assert 0 < due_of(written[key] or b"") <= due_of(golden[key])
    written[key] = with_due(written[key] or b"", due_of(golden[key]))
    assert written == golden


def test_what_is_written_anew_says_what_it_said_before() -> None:
    assert PRESENT["version"] == row.VERSION
    assert [entry["state"] for entry in PRESENT["products"]] == [entry["state"] for entry in GOLDEN["products"]]


class FirstMeta(msgspec.Struct, array_like=True):
    """The meta row as the first readers know it: they pass over what was added at the end."""

    clock: int | None
    positions: list[int]
    awaited: list[int]
    flush_number: int
    outbox_rows: int
    snapshots_end: int


def test_the_meta_row_says_what_it_said_and_is_read_by_those_who_wrote_it() -> None:
    value = bytes.fromhex(GOLDEN["meta"]["row"])
    meta = decode_meta(value)
    assert meta_view(meta) == GOLDEN["meta"]["state"]
    assert (meta.lands_at, meta.products, meta.rules) == (0, None, 0)
    first = msgspec.msgpack.Decoder(FirstMeta)
    assert first.decode(encode_meta(meta)[1:]) == first.decode(value[1:])


def test_the_outbox_says_what_it_said_and_is_written_as_it_was() -> None:
    values = [bytes.fromhex(value) for value in GOLDEN["outbox"]["rows"]]
    outbox = decode_outbox(values)
    assert outbox_view(outbox) == GOLDEN["outbox"]["state"]
    assert [value for _, value in encode_outbox(outbox)] == values


def test_the_keys_of_pages() -> None:
    assert page_key(b"P1", 258) == b"\xff\x00\x00\x01\x02P1"
    assert product_of(b"\xff\x00\x00\x01\x02P1") == product_of(b"P1") == "P1"

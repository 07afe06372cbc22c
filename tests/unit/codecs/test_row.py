"""Products as rows: which rows a cut writes, when there are pages, and what is refused (DESIGN decision 2)."""

from __future__ import annotations

import msgspec
import pytest

from streams.codecs import row
from streams.codecs.row import (
    HAS_PAGES,
    PAGE_PREFIX,
    PENDING,
    Row,
    RowError,
    RowWriter,
    decode_product,
    due_of,
    page_key,
    read_prefix,
    with_due,
)
from streams.codecs.row_pages import line_item, page_of
from streams.domain.counters import NEVER
from streams.domain.product import Product
from streams.domain.transitions import AT_RISK, CLEAR
from tests.core.scene import BUCKET_MS, DAY_MS, FEES, HOUR_MS, STOCK, T0, Scene, policy
from tests.unit.codecs.row_views import product_view

KEY = b"P1"


@pytest.fixture
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row, "PAGED_FROM", 8)
    monkeypatch.setattr(row, "PAGE_ITEMS_MAX", 6)
    monkeypatch.setattr(row, "PAGE_ITEMS_MIN", 2)


small_pages = pytest.mark.usefixtures("_small_pages")


class Table:
    """What is in the changelog of one product, written by one writer."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.writer = RowWriter()
        self.rows: dict[bytes, bytes] = {}

    def write(self) -> list[Row]:
        """Write the product as it stands; the rows of this cut."""
        written = self.writer.encode("P1", self.scene.partition.products.get("P1"), self.scene.partition.book)
        for key, value in written:
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        return written

    def read(self) -> tuple[Product, int]:
        pages = {int.from_bytes(key[1:5], "big"): value for key, value in self.rows.items() if key[:1] == PAGE_PREFIX}
        return decode_product("P1", self.rows[KEY], pages, self.scene.partition.book, self.scene.clock)

    def check(self) -> int:
        """What is read back is what was written; the number of pages."""
        product, pages = self.read()
        assert product_view(product) == product_view(self.scene.partition.products["P1"])
        return pages


def placed(scene: Scene, numbers: range, at: int = T0) -> None:
    scene.many_placed(numbers, at, ship_by=at + HOUR_MS)


def test_a_product_of_few_items_is_one_row() -> None:
    scene = Scene()
    placed(scene, range(5))
    table = Table(scene)
    assert [key for key, _ in table.write()] == [KEY]
    assert table.check() == 0


def test_what_is_derived_is_derived_again() -> None:
    scene = Scene(policy(metrics={STOCK: {"n_min": 1, "k_min": 1}}))
    placed(scene, range(5))
    scene.cancelled("O000", T0 + 1)
    scene.until(T0 + 30 * 60_000)
    table = Table(scene)
    table.write()
    read, product = table.read()[0], scene.product()
    assert read.totals == product.totals
    assert read.threats == product.threats == 4
    assert read.plan is product.plan
    assert sorted(read.agenda) == sorted((line.wake_at, key) for key, line in read.lines.items() if line.wake_at)
    for key, line in product.lines.items():
        other = read.lines[key]
        for name in ("placed_share", "due_share", "threatens", "placed_at", "ship_by", "fate", "wake_at"):
            assert getattr(other, name) == getattr(line, name), name


def test_the_plan_is_that_of_the_partitions_clock() -> None:
    """A product that slept through an effective_from is judged by the policy that is in force by now."""
    scene = Scene(policy("old"), policy("new", T0 + DAY_MS))
    placed(scene, range(1))
    table = Table(scene)
    table.write()
    old, _ = decode_product("P1", table.rows[KEY], {}, scene.partition.book, T0 + DAY_MS - 1)
    new, _ = decode_product("P1", table.rows[KEY], {}, scene.partition.book, T0 + DAY_MS)
    assert (old.plan.policy.version, new.plan.policy.version) == ("old", "new")


def test_a_product_that_is_gone_is_a_tombstone() -> None:
    assert RowWriter().encode("P1", None, Scene().partition.book) == [(KEY, None)]


def test_a_sequence_alone_is_a_row_of_its_own() -> None:
    scene = Scene(policy(only=STOCK, metrics={STOCK: {"n_min": 1, "k_min": 1}}))
    placed(scene, range(1))
    scene.cancelled("O000", T0)
    scene.until(T0 + 400 * DAY_MS)
    table = Table(scene)
    ((key, value),) = table.write()
    assert (key, value) == (KEY, b"\x02" + NEVER.to_bytes(8, "big") + b"\x00\x91\x05")
    product, pages = table.read()
    assert (product.sequence, product.is_empty, pages, product.as_of) == (5, True, 0, scene.clock)


# -- pages


@small_pages
def test_from_so_many_items_on_there_are_pages_and_a_cut_writes_what_changed() -> None:
    scene = Scene()
    placed(scene, range(7))
    table = Table(scene)
    assert len(table.write()) == 1
    placed(scene, range(7, 8))
    assert [key for key, _ in table.write()] == [KEY, page_key(KEY, 0), page_key(KEY, 1)]
    assert table.check() == 2
    # An order, and a fee by its event_id and by its order.
    scene.shipped("O003", T0 + 1)
    assert [key for key, _ in table.write()] == [KEY, page_key(KEY, page_of(line_item(("O003", "1")), 2))]
    fee = next(name for name in ("f1", "f2", "f3", "f4", "f5") if page_of(name, 2) != page_of("O004", 2))
    scene.fee(T0 + 2, order_id="O004", event_id=fee)
    changed = {0, 1}
    assert [key for key, _ in table.write()] == [KEY, *(page_key(KEY, page) for page in sorted(changed))]
    scene.impressions(T0 + 3, 1, event_id="shown")
    assert [key for key, _ in table.write()] == [KEY, page_key(KEY, page_of("shown", 2))]
    assert table.check() == 2


@small_pages
def test_pages_double_as_items_come_and_halve_as_they_go_and_vanish() -> None:
    scene = Scene(policy(only=FEES))
    table = Table(scene)
    counts = []
    for first in range(0, 40, 4):
        placed(scene, range(first, first + 4))
        table.write()
        counts.append(table.check())
    assert counts == [0, 2, 2, 4, 4, 4, 8, 8, 8, 8]
    for number in range(40):
        if number % 8:
            scene.shipped(f"O{number:03d}", T0 + 1)
    scene.until(T0 + HOUR_MS + 7 * DAY_MS + 1)  # those shipped in time are forgotten
    scene.product()
    written = table.write()
    assert table.check() == 2
    # The pages beyond are tombstones.
    assert [key for key, value in written if value is None] == [page_key(KEY, page) for page in range(2, 8)]
    for number in range(0, 32, 8):
        scene.cancelled(f"O{number:03d}", T0 + HOUR_MS)
    scene.until(T0 + 40 * DAY_MS)
    assert scene.partition.products == {}
    assert table.write() == [(KEY, None), (page_key(KEY, 0), None), (page_key(KEY, 1), None)]
    assert (table.rows, table.writer.pages) == ({}, {})


@small_pages
def test_a_line_that_is_forgotten_leaves_its_page() -> None:
    scene = Scene()
    table = Table(scene)
    placed(scene, range(9))
    scene.shipped("O004", T0)
    table.write()
    scene.until(T0 + HOUR_MS + 7 * DAY_MS + 1)
    scene.product()
    assert [key for key, _ in table.write()] == [KEY, page_key(KEY, page_of(line_item(("O004", "1")), 2))]
    assert ("O004", "1") not in table.read()[0].lines
    assert table.check() == 2


@small_pages
def test_what_leaves_a_page_by_age_alone_is_left_out_when_it_is_read() -> None:
    """Fees and ids whose bucket is dropped: no page is written anew for them."""
    scene = Scene()
    table = Table(scene)
    for number in range(9):
        scene.fee(T0, order_id=f"O{number}")
    scene.fee(T0 + BUCKET_MS, order_id="new", event_id="new")
    table.write()
    scene.until(T0 + 30 * DAY_MS)
    scene.product()
    product = scene.partition.products["P1"]
    assert set(product.seen) == {"new"}
    before = dict(table.rows)
    header = RowWriter(table.writer.pages).encode("P1", product, scene.partition.book)[0]
    # As it is after a cut that had other reasons to keep its pages.
    table.rows = before | {KEY: before[KEY]}
    read, _ = decode_product(
        "P1", _with_pages(header[1], before[KEY]), _pages(before), scene.partition.book, scene.clock
    )
    assert set(read.seen) == {"new"}
    assert read.high_fees == [(T0 + BUCKET_MS, (T0 + BUCKET_MS) // BUCKET_MS, "new")]


def _pages(rows: dict[bytes, bytes]) -> dict[int, bytes]:
    return {int.from_bytes(key[1:5], "big"): value for key, value in rows.items() if key[:1] == PAGE_PREFIX}


def _with_pages(new_header: bytes | None, old_header: bytes) -> bytes:
    """The new header, but with the pages of the old one instead of items of its own."""
    assert new_header is not None
    values, old = msgspec.msgpack.decode(new_header[10:]), msgspec.msgpack.decode(old_header[10:])
    values[-2:] = old[-2:]
    return new_header[:9] + bytes((new_header[9] | row.HAS_PAGES,)) + msgspec.msgpack.encode(values)


@small_pages
def test_a_product_that_was_read_goes_on_writing_what_changed() -> None:
    scene = Scene()
    table = Table(scene)
    placed(scene, range(9))
    table.write()
    product, pages = table.read()
    scene.partition.products["P1"] = product
    table.writer = RowWriter({"P1": pages})
    scene.shipped("O002", T0 + 1)
    assert [key for key, _ in table.write()] == [KEY, page_key(KEY, page_of(line_item(("O002", "1")), 2))]
    assert table.check() == 2
    # Where nobody knows what of it is good, all of it is written.
    product.touched = None
    assert len(table.write()) == 3


def test_the_default_limits_keep_a_row_small() -> None:
    assert (row.PAGED_FROM, row.PAGE_ITEMS_MAX, row.PAGE_ITEMS_MIN) == (128, 32, 8)
    assert [row._pages(0, items) for items in (127, 128, 129)] == [0, 4, 8]
    assert [row._pages(4, items) for items in (128, 129, 32, 31, 15)] == [4, 8, 4, 2, 0]


# -- what cannot be read


def test_rows_that_cannot_be_read_are_refused() -> None:
    scene = Scene()
    placed(scene, range(3))
    table = Table(scene)
    table.write()
    good = table.rows[KEY]
    bad = [b"", b"\x03" + good[1:], b"\x01" + good[1:], good[:-1], good + b"\x00", good[:9], good[:10], good[:1]]
    bad += [b"\x01\x01", b"\x01\x90", b"\x01\x92\x01\x02", good[:10] + b"\x91\x00", good[:10] + b"\x92\x01\x02"]
    # A status that is not the product's, none at all, and a due time beyond all.
    bad += [good[:9] + bytes((status,)) + good[10:] for status in (1, 4, 0x80)] + [b"\x02\xff" + good[2:]]
    for value in bad:
        with pytest.raises(RowError):
            decode_product("P1", value, {}, scene.partition.book, T0)


def test_a_row_says_when_its_product_is_due_and_what_its_status_is() -> None:
    scene = Scene(policy(metrics={STOCK: {"n_min": 1, "k_min": 1, "at_risk": "0.01"}}))
    table = Table(scene)
    placed(scene, range(2))
    table.write()
    expiry = (T0 // BUCKET_MS + scene.partition.book.held_buckets) * BUCKET_MS
    assert read_prefix(table.rows[KEY]) == (2, expiry, CLEAR)
    # Where time alone could open a gate, the row says when: with its second and third line late, for two are to come.
    placed(scene, range(2, 5))
    table.write()
    assert read_prefix(table.rows[KEY]) == (2, T0 + HOUR_MS + 1, CLEAR)
    scene.cancelled("O000", T0 + 1)
    table.write()
    assert read_prefix(table.rows[KEY]) == (2, T0 + HOUR_MS + 1, AT_RISK)
    # Another number within the minute: its snapshot is pending, and so it must be read when the partition is.
    scene.impressions(T0 + 2, 1)
    table.write()
    assert read_prefix(table.rows[KEY]) == (2, T0 + HOUR_MS + 1, AT_RISK | PENDING)
    assert table.read()[0].snapshot_pending


@small_pages
def test_a_header_row_says_that_there_are_pages() -> None:
    scene = Scene()
    table = Table(scene)
    placed(scene, range(9))
    table.write()
    header = table.rows[KEY]
    assert header[9] == CLEAR | HAS_PAGES
    assert read_prefix(with_due(header, 7)) == (2, 7, CLEAR | HAS_PAGES)
    assert due_of(with_due(header, 7)) == 7
    assert with_due(header, 7)[10:] == header[10:]


@small_pages
def test_a_page_that_is_not_there_is_refused() -> None:
    scene = Scene()
    table = Table(scene)
    placed(scene, range(9))
    table.write()
    del table.rows[page_key(KEY, 1)]
    with pytest.raises(RowError, match="P1"):
        table.read()

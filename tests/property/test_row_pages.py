"""Pages that are kept up from cut to cut are those of a writer that goes through all of the product each time."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.codecs.row import PAGE_PREFIX, Row, RowWriter, decode_product, page_key
from streams.codecs.row_pages import line_item, page_of
from streams.domain.lines import Line, LineKey
from streams.domain.product import Product
from tests.core.scene import BUCKET_MS, DAY_MS, HOUR_MS, MINUTE_MS, T0, Scene
from tests.property.test_recovery import small_pages
from tests.unit.codecs.row_views import product_view

unhurried = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))

KEY = b"P1"


class Life:
    """A product that lives through random events and cuts. `met`: how often what is to be tested was met."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.scene = Scene()
        self.scene.until(T0)
        self.writer = RowWriter()
        self.rows: dict[bytes, bytes] = {}
        self.met: Counter[str] = Counter()
        # As of the last cut.
        self._lines: dict[LineKey, Line] = {}
        self._seen: dict[str, int] = {}

    @property
    def product(self) -> Product | None:
        return self.scene.partition.products.get("P1")

    def live(self, events: int) -> None:
        """Some events, of few orders and with few ids, so that they come again; then, perhaps, a while without any."""
        for _ in range(events):
            self._tell()
        random = self.random
        if random.random() < 0.2:
            pause = random.choice((MINUTE_MS, BUCKET_MS, 2 * DAY_MS, 9 * DAY_MS, 27 * DAY_MS, 70 * DAY_MS))
            self.scene.until(self.scene.clock + pause)
            if random.random() < 0.5 and self.product is not None:
                self.scene.product()  # caught up
            for _ in range(random.choice((0, 0, 2, 60))):
                self._tell()

    def _tell(self) -> None:
        random, scene = self.random, self.scene
        at = scene.clock + random.choice((0, 1, MINUTE_MS, -HOUR_MS, -DAY_MS))
        order, told = f"O{random.randrange(60)}", f"e{random.randrange(200)}"
        match random.randrange(7):
            case 0 | 1 | 2:
                line = str(random.randrange(2))
                ship_by = at + random.choice((1, HOUR_MS, 2 * DAY_MS))
                scene.placed(order, at, ship_by, line_id=line, event_id=told)
            case 3:
                scene.shipped(order, at, line_id=str(random.randrange(2)), event_id=told)
            case 4:
                scene.cancelled(order, at, random.choice(("buyer_request", "out_of_stock")), event_id=told)
            case 5:
                named = {"order_id": order} if random.random() < 0.8 else {}
                scene.fee(at, random.choice(("3", "9")), event_id=told, **named)
            case _:
                scene.impressions(at, random.randrange(3), event_id=told)

    def change_hands(self) -> None:
        """Now and then the product is read from its rows, by another owner or by this one; or another writer writes."""
        random, product = self.random, self.product
        if product is None or KEY not in self.rows:
            return
        case = random.randrange(12)
        if case <= 1:
            product, _ = self._read(self.rows)
            self.scene.partition.products["P1"] = product
            if case:
                self.writer = RowWriter(self.writer.pages)
        elif case == 2:
            self._tell()
            self._take(RowWriter(self.writer.pages).encode("P1", self.product, self.scene.partition.book))
            self.writer.pages = {"P1": len(self.rows) - 1} if len(self.rows) > 1 else {}
        elif case == 3:
            product.touched = None
        self.met["in other hands"] += case <= 3

    def cut(self) -> None:
        """Write the product, and hold it against a writer that has never seen it."""
        product, book = self.product, self.scene.partition.book
        before = self.writer.pages.get("P1", 0)
        touched = None if product is None else product.touched
        written = self.writer.encode("P1", product, book)
        self._take(written)
        pages = self.writer.pages.get("P1", 0)
        if product is None or product.is_empty:
            self.met["gone"] += before > 0
            assert pages == 0
            assert self.rows.keys() <= {KEY}
            return
        self._note(product, before, pages)
        given, product.touched = product.touched, None
        anew = {key: value for key, value in RowWriter({"P1": pages}).encode("P1", product, book) if value is not None}
        product.touched = given
        changed = set(range(pages))
        if touched is not None and pages == before:
            items = (item if isinstance(item, str) else line_item(item) for item in touched)
            changed = {page_of(item, pages) for item in items}
        assert written == [
            (KEY, anew[KEY]),
            *((page_key(KEY, page), anew[page_key(KEY, page)]) for page in sorted(changed)),
            *((page_key(KEY, page), None) for page in range(pages, before)),
        ]
        # What left by age alone stays in pages that were not written.
        assert self.rows.keys() == anew.keys()
        assert product_view(self._read(self.rows)[0]) == product_view(self._read(anew)[0]) == product_view(product)

    def _take(self, written: list[Row]) -> None:
        for key, value in written:
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value

    def _read(self, rows: dict[bytes, bytes]) -> tuple[Product, int]:
        pages = {int.from_bytes(key[1:5], "big"): value for key, value in rows.items() if key[:1] == PAGE_PREFIX}
        return decode_product("P1", rows[KEY], pages, self.scene.partition.book, self.scene.clock)

    def _note(self, product: Product, before: int, pages: int) -> None:
        lines, seen = self._lines, self._seen
        self.met["doubled"] += 0 < before < pages
        self.met["halved"] += 0 < pages < before
        self.met["gone"] += pages == 0 < before
        if 0 < pages == before:
            self.met["kept"] += 1
            self.met["aged"] += not seen.keys() <= product.seen.keys()
            self.met["forgotten"] += not lines.keys() <= product.lines.keys()
            self.met["came again"] += any(lines.get(key, line) is not line for key, line in product.lines.items())
            self.met["told again"] += any(seen.get(key, bucket) != bucket for key, bucket in product.seen.items())
            self.met["high fees"] += len({page_of(fee[2], pages) for fee in product.high_fees}) > 1
        self._lines, self._seen = dict(product.lines), dict(product.seen)


def live(seed: int, cuts: int, *, changes_hands: bool) -> Counter[str]:
    life = Life(seed)
    with small_pages():
        for _ in range(cuts):
            life.live(life.random.choice((1, 1, 2, 5, 20)))
            life.cut()
            if changes_hands:
                life.change_hands()
    return life.met


@settings(unhurried, max_examples=60)
@given(st.integers(0, 2**32), st.booleans())
def test_any_life(seed: int, changes_hands: bool) -> None:
    live(seed, 30, changes_hands=changes_hands)


@pytest.mark.parametrize("changes_hands", [False, True])
def test_long_lives_meet_all_that_can_happen_to_pages(changes_hands: bool) -> None:
    met: Counter[str] = Counter()
    for seed in range(8):
        met += live(seed, 150, changes_hands=changes_hands)
    happens = {"doubled", "halved", "gone", "kept", "aged", "forgotten", "came again", "told again", "high fees"}
    assert met.keys() == happens | ({"in other hands"} if changes_hands else set())
    assert min(met.values()) > 1, met

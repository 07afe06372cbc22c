"""Products that nobody works on: they lie as the rows that they are in the changelog, and cost next to no memory.

A dormant product is awake again when an event comes for it, when its due time does, or when a policy takes effect: as
it was when it fell asleep, and then brought up to the clock, unjudged. That comes to what it would be had it been awake
all the time, for nothing has been due for it meanwhile. tests/property/test_dormant.py holds both against each other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeAlias

from streams.domain.counters import NEVER
from streams.domain.product import Product
from streams.domain.transitions import CLEAR

if TYPE_CHECKING:
    from streams.domain.partition import Partition

# So many products are put to sleep after a cut at the least, if there are too many: some 50 ms of work.
_ASLEEP_AT_ONCE = 2_000


Stored: TypeAlias = bytes | tuple[bytes, ...]
"""A product as its row, or as its rows."""


class RowCodec(Protocol):
    """How products become rows, and rows products; the engine knows."""

    def due_at(self, stored: Stored) -> int:
        """The time of its entry in the agenda, as the row says; NEVER for none."""

    def with_due(self, stored: Stored, due_at: int) -> Stored:
        """The same with another time."""

    def wake(self, product_id: str, stored: Stored, clock_ms: int) -> Product:
        """The product, as of when its row was written. Raises an error that the domain lets through."""

    def sleep(self, product: Product) -> Stored | None:
        """A product as a row; None for one that is more than a row."""


@dataclass(slots=True)
class Found:
    """Products that recovery leaves dormant, as columns; `dues`: NEVER for one that only an event wakes."""

    ids: list[str] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    dues: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)


class Dormant:
    """The dormant products of a partition: `rows` by product id. Each has an entry in the agenda, of its due time."""

    __slots__ = ("_codec", "rows")

    def __init__(self, codec: RowCodec | None) -> None:
        """Without a codec no product can be dormant."""
        self.rows: dict[str, Stored] = {}
        self._codec = codec

    def take(self, product_id: str, clock_ms: int) -> Product | None:
        """The product, awake, as of when it fell asleep; None if it is not here."""
        stored = self.rows.get(product_id)
        if stored is None:
            return None
        assert self._codec is not None
        product = self._codec.wake(product_id, stored, clock_ms)
        due_at = self._codec.due_at(stored)
        product.wake_at = None if due_at == NEVER else due_at
        del self.rows[product_id]
        return product

    def is_due(self, product_id: str, at: int) -> bool:
        """Whether the product is here, and has its entry in the agenda at this time."""
        stored = self.rows.get(product_id)
        return stored is not None and self._codec is not None and self._codec.due_at(stored) == at

    def put(self, product: Product, stored: Stored | None = None) -> bool:
        """Take in a product; False if it cannot be put to sleep. `stored`: its row, if that is known to be good."""
        if self._codec is None:
            return False
        if stored is None and product.touched is None:  # else it has pages
            stored = self._codec.sleep(product)
        if stored is None:
            return False
        self.rows[product.id] = self._codec.with_due(stored, NEVER if product.wake_at is None else product.wake_at)
        return True


def lay_down(partition: Partition, found: Found) -> None:
    """Take in dormant products, in recovery: none of them is due yet. The agenda is to be made a heap afterwards."""
    partition.dormant.rows.update(zip(found.ids, found.stored, strict=True))
    for status, count in Counter(found.statuses).items():
        partition.statuses[status] += count
    entries = zip(found.dues, found.ids, strict=True)
    partition.agenda.extend(entries if NEVER not in found.dues else [entry for entry in entries if entry[0] != NEVER])


def wake_all(partition: Partition) -> dict[str, Product]:
    """All products, awake, to look at them. Raises what reading a damaged row does."""
    for product_id in list(partition.dormant.rows):
        partition.find(product_id)
    return partition.products


def put_to_sleep(partition: Partition, product: Product) -> bool:
    """Let a clear product sleep, if it may: not what has changed since the last cut, for that is to be written yet."""
    if product.status != CLEAR or product.snapshot_pending or product.id in partition.cut.changed:
        return False
    if not partition.dormant.put(product):
        return False
    del partition.products[product.id]
    return True


def put_back(partition: Partition, product: Product, stored: Stored) -> None:
    """Let a product sleep again that recovery has only looked at, if it may. `stored` is what it was read from."""
    unchanged = product.id in partition.products and product.id not in partition.cut.changed
    if unchanged and not product.snapshot_pending and partition.dormant.put(product, stored):
        del partition.products[product.id]


def rest(partition: Partition, written: dict[str, None], awake_max: int) -> None:
    """Put products to sleep, if more than `awake_max` are awake: those first that have not changed for longest.

    To be called after each cut, with the products that it wrote.
    """
    products = partition.products
    too_many = len(products) - awake_max
    if too_many <= 0:
        return
    for product_id in written:  # to the end of the queue
        product = products.pop(product_id, None)
        if product is not None:
            products[product_id] = product
    at_once = max(_ASLEEP_AT_ONCE, 2 * len(written))
    for product in list(islice(products.values(), min(too_many, at_once))):
        if not put_to_sleep(partition, product):
            del products[product.id]
            products[product.id] = product

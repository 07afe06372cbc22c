"""Products that nobody works on: they lie as the rows that they are in the changelog, and cost next to no memory.

A dormant product is awake again when an event comes for it, when its due time does, or when a policy takes effect: as
it was when it fell asleep, and then brought up to the clock, unjudged. That comes to what it would be had it been awake
all the time, for nothing has been due for it meanwhile. tests/property/test_dormant.py holds both against each other.
"""

from __future__ import annotations

from heapq import heapify
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

from streams.domain.counters import NEVER
from streams.domain.product import Product
from streams.domain.transitions import CLEAR

if TYPE_CHECKING:
    from streams.domain.partition import Partition

# So many products are put to sleep after a cut at the least, if there are too many: some 50 ms of work.
_ASLEEP_AT_ONCE = 2_000


class RowCodec(Protocol):
    """How products become rows, and rows products; the engine knows."""

    def due_at(self, row: bytes) -> int:
        """The time of its entry in the agenda, as the row says; NEVER for none."""

    def wake(self, product_id: str, row: bytes, clock_ms: int) -> Product:
        """The product of a row, as of when that was written. Raises an error that the domain lets through."""

    def sleep(self, product: Product) -> bytes | None:
        """A product as a row, with the time of its entry in the agenda; None for a product that is more than a row."""


class DormantRow(NamedTuple):
    """A product that is not awake; `due_at`: NEVER for one that only an event wakes."""

    product_id: str
    row: bytes
    due_at: int
    status: int


class Dormant:
    """The dormant products of a partition: `rows` by product id. Each has an entry in the agenda, of its due time."""

    __slots__ = ("_codec", "rows")

    def __init__(self, codec: RowCodec | None) -> None:
        """Without a codec no product can be dormant."""
        self.rows: dict[str, bytes] = {}
        self._codec = codec

    def take(self, product_id: str, clock_ms: int) -> Product | None:
        """The product, awake, as of when it fell asleep; None if it is not here."""
        row = self.rows.get(product_id)
        if row is None:
            return None
        assert self._codec is not None
        product = self._codec.wake(product_id, row, clock_ms)
        due_at = self._codec.due_at(row)
        product.wake_at = None if due_at == NEVER else due_at
        del self.rows[product_id]
        return product

    def is_due(self, product_id: str, at: int) -> bool:
        """Whether the product is here, and has its entry in the agenda at this time."""
        row = self.rows.get(product_id)
        return row is not None and self._codec is not None and self._codec.due_at(row) == at

    def put(self, product: Product) -> bool:
        """Take in a product that is clear and has no snapshot pending; False if it cannot be put to sleep."""
        row = None
        if self._codec is not None and product.touched is None:  # else it has pages
            row = self._codec.sleep(product)
        if row is not None:
            self.rows[product.id] = row
        return row is not None


def lay_down(partition: Partition, found: list[DormantRow]) -> None:
    """Take in dormant products, in recovery: none of them is due yet at the partition's clock."""
    rows, statuses, agenda = partition.dormant.rows, partition.statuses, partition.agenda
    for product_id, row, due_at, status in found:
        rows[product_id] = row
        statuses[status] += 1
        if due_at != NEVER:
            agenda.append((due_at, product_id))
    heapify(agenda)


def wake_all(partition: Partition) -> dict[str, Product]:
    """All products, awake, to look at them. Raises what reading a damaged row does."""
    for product_id in list(partition.dormant.rows):
        partition.find(product_id)
    return partition.products


def put_to_sleep(partition: Partition, product: Product) -> bool:
    """Let a product sleep, if it may: not what has changed since the last cut, for that is still to be written."""
    if product.status != CLEAR or product.snapshot_pending or product.id in partition.cut.changed:
        return False
    if not partition.dormant.put(product):
        return False
    del partition.products[product.id]
    return True


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

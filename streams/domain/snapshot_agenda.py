"""When the snapshots of flagged products are written: with a transition, else at most once in a minute (SPEC 8)."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush

from streams.domain.counters import NEVER
from streams.domain.cut import Cut
from streams.domain.policy import MINUTE_MS
from streams.domain.product import Product

SNAPSHOT_INTERVAL_MS = MINUTE_MS


class SnapshotAgenda:
    """The products whose numbers have changed since their last snapshot, by the time (ms) at which the next is due."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        # A heap; an entry counts only while the product's last snapshot is the one it follows.
        self._entries: list[tuple[int, str]] = []

    @property
    def next_at(self) -> int:
        """When the next one is due; NEVER for none."""
        return self._entries[0][0] if self._entries else NEVER

    def write(self, product: Product, now: int, cut: Cut) -> None:
        """A snapshot goes into the cut."""
        product.snapshot_at = now
        product.snapshot_pending = False
        cut.snapshots[product.id] = None
        cut.changed[product.id] = None

    def note(self, product: Product, now: int, cut: Cut) -> None:
        """A flagged product's numbers have changed: a snapshot is written, now or once it is due."""
        if product.snapshot_pending:
            return
        if product.snapshot_at is None or now >= product.snapshot_at + SNAPSHOT_INTERVAL_MS:
            self.write(product, now, cut)
        else:
            product.snapshot_pending = True
            cut.changed[product.id] = None
            self.enter(product)

    def enter(self, product: Product) -> None:
        """Put a product with a snapshot pending on the agenda."""
        assert product.snapshot_at is not None
        heappush(self._entries, (product.snapshot_at + SNAPSHOT_INTERVAL_MS, product.id))

    def run(self, to: int, products: Mapping[str, Product], cut: Cut) -> None:
        """Write what is due up to and at `to`."""
        entries = self._entries
        while entries and entries[0][0] <= to:
            at, product_id = heappop(entries)
            product = products.get(product_id)
            if product is not None and product.snapshot_pending and product.snapshot_at == at - SNAPSHOT_INTERVAL_MS:
                self.write(product, at, cut)

"""Dormant products as rows of the changelog: what `streams.domain.dormant` asks of the engine."""

from __future__ import annotations

from streams.codecs.row import RowError, RowWriter, decode_product, due_of, with_due
from streams.domain.counters import NEVER
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook
from streams.errors import UserError


class DormantRows:
    """A `RowCodec` of products that are one row each."""

    def __init__(self, book: Rulebook) -> None:
        self._book = book

    def due_at(self, row: bytes) -> int:
        """As `RowCodec`."""
        return due_of(row)

    def wake(self, product_id: str, row: bytes, clock_ms: int) -> Product:
        """As `RowCodec`. Raises UserError for a row that cannot be read."""
        try:
            product, _ = decode_product(product_id, row, {}, self._book, clock_ms)
        except RowError as error:
            raise unreadable(error) from error
        return product

    def sleep(self, product: Product) -> bytes | None:
        """As `RowCodec`."""
        rows = RowWriter().encode(product.id, product, self._book)
        row = rows[0][1]
        if len(rows) > 1 or row is None:
            return None
        return with_due(row, NEVER if product.wake_at is None else product.wake_at)


def unreadable(error: RowError) -> UserError:
    """What is to be said of a row that cannot be read: to go on without it would count its events as never seen."""
    return UserError(
        f"the changelog cannot be read: {error}. Use the version of this program that wrote it, or start anew under "
        "another app_id (FLAGGED_APP_ID) with the input replayed"
    )

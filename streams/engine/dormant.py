"""Dormant products as rows of the changelog: what `streams.domain.dormant` asks of the engine."""

from __future__ import annotations

from streams.codecs.row import RowError, RowWriter, decode_product, due_of, with_due
from streams.domain.dormant import Stored
from streams.domain.product import Product
from streams.domain.rulebook import Rulebook
from streams.errors import UserError


class DormantRows:
    """A `RowCodec`: a product is its header row, or that and its pages, in order."""

    def __init__(self, book: Rulebook) -> None:
        self._book = book

    def due_at(self, stored: Stored) -> int:
        """As `RowCodec`."""
        return due_of(stored if isinstance(stored, bytes) else stored[0])

    def with_due(self, stored: Stored, due_at: int) -> Stored:
        """As `RowCodec`."""
        if self.due_at(stored) == due_at:
            return stored
        if isinstance(stored, bytes):
            return with_due(stored, due_at)
        return (with_due(stored[0], due_at), *stored[1:])

    def wake(self, product_id: str, stored: Stored, clock_ms: int) -> Product:
        """As `RowCodec`. Raises UserError for a row that cannot be read."""
        header, pages = (stored, ()) if isinstance(stored, bytes) else (stored[0], stored[1:])
        try:
            product, _ = decode_product(product_id, header, dict(enumerate(pages)), self._book, clock_ms)
        except RowError as error:
            raise unreadable(error) from error
        return product

    def sleep(self, product: Product) -> Stored | None:
        """As `RowCodec`."""
        rows = RowWriter().encode(product.id, product, self._book)
        return None if len(rows) > 1 else rows[0][1]


def unreadable(error: RowError) -> UserError:
    """What is to be said of a row that cannot be read: to go on without it would count its events as never seen."""
    return UserError(
        f"the changelog cannot be read: {error}. Use the version of this program that wrote it, or start anew under "
        "another app_id (FLAGGED_APP_ID) with the input replayed"
    )

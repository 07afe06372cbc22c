"""What is asked of the read model. Every answer is bounded, and bounded in what it costs to find."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from streams.domain.transitions import CLEAR, STATUS_NAMES
from streams.readmodel.rows import metric_bit, searchable
from streams.readmodel.schema import products, transitions

_EXPORT_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which flagged products are asked for; None for any. `statuses` and `reason` are names, `text` is in the id."""

    seller_id: str | None = None
    statuses: frozenset[str] = frozenset()
    reason: str | None = None
    region: str | None = None
    text: str | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """As conditions on `products`."""
        if self.seller_id is not None:
            yield products.c.seller_id == self.seller_id
        if self.statuses:
            yield products.c.status.in_(sorted(STATUS_NAMES.index(status) for status in self.statuses))
        if self.reason is not None:
            yield products.c.reasons.op("&")(metric_bit(self.reason)) != 0
        if self.region is not None:
            yield products.c.region == self.region
        if self.text:
            yield products.c.search.contains(searchable(self.text), autoescape=True)


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of products: by a column of a kind, then by product_id, which is always ascending."""

    column: str
    kind: type
    descending: bool

    def order(self) -> list[Any]:
        """As the terms of ORDER BY."""
        column = products.c[self.column]
        first = column.desc() if self.descending else column.asc()
        return [first] if self.column == "product_id" else [first, products.c.product_id.asc()]

    def after(self, value: Any, product_id: str) -> ColumnElement[bool]:
        """What comes after the row with this value and product."""
        if self.column == "product_id":
            return products.c.product_id > product_id
        column = products.c[self.column]
        beyond = column < value if self.descending else column > value
        # The first half follows from the second; with it, an index is read from the right place on.
        return and_(
            column <= value if self.descending else column >= value, or_(beyond, products.c.product_id > product_id)
        )


SORTS = {
    "severity": Sort("severity", float, descending=True),
    "-effective_at": Sort("effective_at", int, descending=True),
    "effective_at": Sort("effective_at", int, descending=False),
    "product_id": Sort("product_id", str, descending=False),
}
"""The orders that can be asked for, by their names."""


@dataclass(frozen=True, slots=True)
class Found:
    """A product's record, and the value it is sorted by."""

    product_id: str
    value: Any
    body: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """What is told of a change to those who follow: of a product's transition, or of its numbers.

    `sequence` is the product's; `previous_status` is None where only numbers have changed.
    """

    number: int
    product_id: str
    seller_id: str | None
    current_status: str
    previous_status: str | None
    sequence: int


def list_products(
    connection: Connection, chosen: Filter, sort: Sort, limit: int, after: tuple[Any, str] | None = None
) -> list[Found]:
    """Up to `limit` products in this order, those after a value and product if given."""
    column = products.c[sort.column]
    statement = select(products.c.product_id, column, products.c.body).where(*chosen.conditions())
    if after is not None:
        statement = statement.where(sort.after(*after))
    statement = statement.order_by(*sort.order()).limit(limit)
    return [Found(*row) for row in connection.execute(statement)]


def product_pages(
    reading: Callable[[], AbstractContextManager[Connection]], chosen: Filter, most: int
) -> Iterator[list[bytes]]:
    """The records of all products, by product_id, up to `most`, in pages; at least one, if empty.

    Each page has a connection of its own, which is given back before it is shown: whoever takes long between two of
    them holds none, nor an old state of the database.
    """
    sort, after, given = SORTS["product_id"], None, 0
    while True:
        limit = min(_EXPORT_PAGE, most - given)
        with reading() as connection:
            page = list_products(connection, chosen, sort, limit, after)
        yield [found.body for found in page]
        given += len(page)
        if len(page) < limit or given >= most:
            return
        after = (page[-1].value, page[-1].product_id)


def count_products(connection: Connection, chosen: Filter) -> dict[str, int]:
    """How many products there are of each status but clear."""
    statement = select(products.c.status, func.count()).where(*chosen.conditions()).group_by(products.c.status)
    counts = {STATUS_NAMES[status]: count for status, count in connection.execute(statement)}
    return {status: counts.get(status, 0) for index, status in enumerate(STATUS_NAMES) if index != CLEAR}


def get_product(connection: Connection, product_id: str) -> bytes | None:
    """The snapshot of a product; None if it is not flagged."""
    return connection.execute(select(products.c.body).where(products.c.product_id == product_id)).scalar()


def list_transitions(
    connection: Connection, product_id: str, limit: int, *, before: int | None = None, seller_id: str | None = None
) -> list[bytes]:
    """A product's transitions, the latest first, those below a sequence if given, and only this seller's if given."""
    statement = select(transitions.c.body).where(transitions.c.product_id == product_id)
    if before is not None:
        statement = statement.where(transitions.c.sequence < before)
    if seller_id is not None:
        statement = statement.where(transitions.c.seller_id == seller_id)
    return list(connection.execute(statement.order_by(transitions.c.sequence.desc()).limit(limit)).scalars())


def list_changes(connection: Connection, after: int, up_to: int, limit: int) -> list[Change] | None:
    """The changes after one number up to another, in order; None if there are more than `limit`.

    Of a product only the latest numbers are left, and all its transitions.
    """
    found: list[Change] = []
    for statement in (_changed_transitions(after, up_to), _changed_numbers(after, up_to)):
        rows = connection.execute(statement.limit(limit + 1)).all()
        if len(found) + len(rows) > limit:
            return None
        found += map(_change, rows)
    return sorted(found, key=lambda change: (change.number, change.product_id, change.sequence))


def _changed_transitions(after: int, up_to: int) -> Select[Any]:
    table = transitions.c
    columns = (table.change, table.product_id, table.seller_id, table.status, table.previous_status, table.sequence)
    return select(*columns).where(table.change > after, table.change <= up_to)


def _changed_numbers(after: int, up_to: int) -> Select[Any]:
    table = products.c
    columns = (table.change, table.product_id, table.seller_id, table.status, table.sequence)
    return select(*columns).where(table.change > after, table.change <= up_to)


def _change(row: Sequence[Any]) -> Change:
    number, product_id, seller_id, status, *previous, sequence = row
    return Change(
        number,
        product_id,
        seller_id,
        STATUS_NAMES[status],
        STATUS_NAMES[previous[0]] if previous else None,
        sequence,
    )

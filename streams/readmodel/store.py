"""The database of the read model: made, written to, and asked where to go on.

A batch of records is one transaction, in this order:

1. the count of changes goes up by one, if it is still what we think it is, of the tables we think of. If not, another
   process writes into the same database, and this one has to read its positions anew (`Overtaken`). The row stays
   locked until 5, so there are never two writers at once, and changes become visible in the order of their numbers;
2. snapshots replace those of the same products, and tombstones remove them;
3. transitions that are not there yet are added: copies have the same bytes (SPEC 9.2), so the first one does. One to
   clear removes the product as its tombstone does, which Kafka keeps for a day only: who reads on later misses it;
4. transitions older than the retention go, as counted from the latest one: what is kept depends on the topics only;
5. the positions move on, and all is committed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from sqlalchemy import (
    Connection,
    Engine,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from streams.domain.transitions import CLEAR
from streams.errors import UserError
from streams.readmodel.database import WRITING
from streams.readmodel.rows import Row
from streams.readmodel.schema import VERSION, metadata, positions, products, read_model, transitions

# Of PostgreSQL's advisory locks, the one under which the tables are made.
_MAKING_LOCK = 0x666C6167


class Moment(NamedTuple):
    """A state of the database: the tables as they were made once, and the changes since."""

    generation: int
    change: int


class Overtaken(Exception):
    """Another process has written into the database since we last read our positions."""


class NotOurs(UserError):
    """Another process has made the tables anew, in another version or of other topics: they are not ours to write."""


@dataclass(slots=True)
class Batch:
    """What was read, in order: a later row of a product replaces an earlier one; `removed` have become clear."""

    products: dict[str, Row] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    transitions: dict[tuple[str, int], Row] = field(default_factory=dict)
    positions: dict[TopicPartition, int] = field(default_factory=dict)

    def put(self, row: Row) -> None:
        """A snapshot."""
        self.removed.discard(row["product_id"])
        self.products[row["product_id"]] = row

    def remove(self, product_id: str) -> None:
        """A tombstone."""
        self.products.pop(product_id, None)
        self.removed.add(product_id)

    def add(self, row: Row) -> None:
        """A transition."""
        self.transitions.setdefault((row["product_id"], row["sequence"]), row)


class Store:
    """The read model's database. All methods block, so they belong into a thread; one writer at a time is served."""

    def __init__(self, engine: Engine, source: str, history_retention_ms: int) -> None:
        """`source` names what the rows are made of: a database made of something else is made anew."""
        self.engine = engine
        self._writing = engine.execution_options(**{WRITING: True})
        self._source = source
        self._history_retention_ms = history_retention_ms
        self._moment = Moment(0, 0)

    def open(self) -> bool:
        """Make the tables if they are not there, or are others; whether they were made. Raises UserError."""
        try:
            with self._writing.begin() as connection:
                self._lock(connection)
                if self._is_current(connection):
                    return False
                self._make(connection)
                return True
        except SQLAlchemyError as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise UserError(
                f"the database can't be used: {str(reason).strip()}. Check FLAGGED_SERVE_DATABASE, and that it is up"
            ) from None

    @property
    def generation(self) -> int:
        """Of the tables whose positions were read last."""
        return self._moment.generation

    def rebuild(self) -> None:
        """Throw everything away, to be read from the topics again. Raises Overtaken if another process did so."""
        with self._writing.begin() as connection:
            self._lock(connection)
            if _moment(connection) != self._moment:
                raise Overtaken
            self._make(connection)

    def _lock(self, connection: Connection) -> None:
        """Two that start at once on an empty database are not to make the tables both."""
        if self.engine.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_MAKING_LOCK)))

    def _is_current(self, connection: Connection) -> bool:
        if not self.engine.dialect.has_table(connection, read_model.name):
            return False
        row = connection.execute(select(read_model.c.schema_version, read_model.c.source)).first()
        return row is not None and tuple(row) == (VERSION, self._source)

    def _make(self, connection: Connection) -> None:
        # What is there may be of another version: its tables are ours by their names.
        metadata.drop_all(connection)
        metadata.create_all(connection)
        values = {"id": 1, "schema_version": VERSION, "source": self._source}
        connection.execute(insert(read_model), values | {"generation": secrets.randbits(62), "change": 0})

    def positions(self) -> dict[TopicPartition, int]:
        """Where to go on. What is applied next has to come from there.

        Tables that are gone are made again. Raises NotOurs.
        """
        self._make_if_gone()
        with self.reading() as connection:
            if not self._is_current(connection):
                raise NotOurs(
                    "the database was made anew by a program of another version, or for other topics; give each a "
                    "FLAGGED_SERVE_DATABASE of its own, or end the others"
                )
            self._moment = _moment(connection)
            found = connection.execute(select(positions)).all()
        return {TopicPartition(topic, partition): offset for topic, partition, offset in found}

    def _make_if_gone(self) -> None:
        with self.reading() as connection:
            if self.engine.dialect.has_table(connection, read_model.name):
                return
        with self._writing.begin() as connection:
            self._lock(connection)
            if not self.engine.dialect.has_table(connection, read_model.name):
                self._make(connection)

    def apply(self, batch: Batch) -> int:
        """Write a batch, whole or not at all; the number of this change. Raises Overtaken."""
        generation, change = self._moment
        present = (read_model.c.generation == generation) & (read_model.c.change == change)
        change += 1
        with self._writing.begin() as connection:
            if connection.execute(update(read_model).where(present).values(change=change)).rowcount != 1:
                raise Overtaken
            self._put(connection, products, ["product_id"], _stamped(batch.products.values(), change))
            self._remove(connection, batch.removed, change)
            self._put(connection, transitions, [], _stamped(batch.transitions.values(), change))
            self._clear(connection, batch.transitions.values())
            if batch.transitions:
                self._prune(connection)
            moved = [
                {"topic": tp.topic, "partition": tp.partition, "next_offset": offset}
                for tp, offset in batch.positions.items()
            ]
            self._put(connection, positions, ["topic", "partition"], moved)
        self._moment = Moment(generation, change)
        return change

    def _put(self, connection: Connection, table: Any, keys: Sequence[str], rows: Sequence[Row]) -> None:
        """Insert rows, over those of the same keys; without keys those that are there stay."""
        if not rows:
            return
        dialect: Any = postgresql if self.engine.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(table)
        if keys:
            others = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
            statement = statement.on_conflict_do_update(index_elements=keys, set_=others)
        else:
            statement = statement.on_conflict_do_nothing()
        connection.execute(statement, rows)

    def _remove(self, connection: Connection, product_ids: set[str], change: int) -> None:
        """By tombstones. That a product has gone is told by its last transition, once more if that came earlier."""
        if not product_ids:
            return
        gone = [{"gone": product_id} for product_id in sorted(product_ids)]
        its, last = transitions.c.product_id == bindparam("gone"), transitions.alias()
        latest = select(func.max(last.c.sequence)).where(last.c.product_id == bindparam("gone")).scalar_subquery()
        shown = select(products.c.product_id).where(products.c.product_id == bindparam("gone")).exists()
        connection.execute(
            update(transitions).where(its, transitions.c.sequence == latest, shown).values(change=change), gone
        )
        connection.execute(delete(products).where(products.c.product_id == bindparam("gone")), gone)

    def _clear(self, connection: Connection, rows: Iterable[Row]) -> None:
        """By transitions to clear: what a product was before them."""
        gone = [{"gone": row["product_id"], "up_to": row["sequence"]} for row in rows if row["status"] == CLEAR]
        if gone:
            its = (products.c.product_id == bindparam("gone")) & (products.c.sequence <= bindparam("up_to"))
            connection.execute(delete(products).where(its), gone)

    def _prune(self, connection: Connection) -> None:
        latest = connection.execute(select(func.max(transitions.c.effective_at))).scalar()
        if latest is not None:
            if self.engine.dialect.name == "postgresql":
                # The first time after a shorter retention was set may take longer than any answer is to take.
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.execute(
                delete(transitions).where(transitions.c.effective_at < latest - self._history_retention_ms)
            )

    def moment(self) -> Moment:
        """The present state."""
        with self.reading() as connection:
            return _moment(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection all of whose answers are of one moment."""
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection


def _moment(connection: Connection) -> Moment:
    return Moment(*connection.execute(select(read_model.c.generation, read_model.c.change)).one())


def _stamped(rows: Any, change: int) -> list[Row]:
    return [{**row, "change": change} for row in rows]


def content(engine: Engine) -> Mapping[str, list[tuple[Any, ...]]]:
    """All that the topics determine, in order: two databases made of the same topics have the same."""
    found = {}
    with engine.connect() as connection:
        for table in (positions, products, transitions):
            columns = [column for column in table.c if column.name != "change"]
            rows = connection.execute(select(*columns).order_by(*table.primary_key.columns))
            found[table.name] = [tuple(row) for row in rows]
    return found

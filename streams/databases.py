"""What all databases of ours have in common: how SQLite is set up, and which driver PostgreSQL is reached by."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import URL, make_url


def database_url(text: str) -> URL:
    """A URL with the driver that we bring, where it names none: SQLAlchemy would take another. Raises as make_url."""
    url = make_url(text)
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def set_up_sqlite(connection: Any, _record: Any) -> None:
    """A listener to `connect`: readers and the writer do not wait for each other.

    A commit survives the death of the process. What a power cut takes with it is read from the topics again, for
    offsets and what was made of them go together. Where a transaction begins is for a listener to `begin` to say, as in
    SQLAlchemy's recipe: the driver's own begin too late.
    """
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")

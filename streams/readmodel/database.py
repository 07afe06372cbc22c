"""How the read model's database is reached: SQLite by default, PostgreSQL by its URL."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from streams.databases import database_url, set_up_sqlite
from streams.errors import UserError

# A writer waits for another one so long, a reader for the disk.
_LOCK_TIMEOUT_S = 30
# Nothing that the API asks takes a tenth of it; what does shall not pile up.
_STATEMENT_TIMEOUT_MS = 10_000
# A server whose machine or network is gone says nothing: without these a connection waits for it for hours.
_CONNECT_TIMEOUT_S = 10
_SILENCE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
_CONNECTIONS = 10
WRITING = "writing"
"""The execution option of who is going to write."""


def open_engine(url: str | None, directory: Path, name: str) -> Engine:
    """An engine for the database of this URL; without one, for the SQLite file of this name in the directory.

    Raises UserError for a URL that is none, or of a kind that is not supported.
    """
    if url is None:
        directory.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{directory / name}"
    try:
        parsed = database_url(url)
        kind = parsed.get_backend_name()
        if kind == "sqlite":
            if parsed.database in (None, "", ":memory:"):
                raise ArgumentError("each connection would have a database of its own")
            engine = create_engine(url, connect_args={"timeout": _LOCK_TIMEOUT_S}, pool_size=_CONNECTIONS)
            event.listen(engine, "connect", set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        if kind == "postgresql":
            options = f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} -c lock_timeout={_LOCK_TIMEOUT_S * 1000}"
            arguments = {"options": options, "connect_timeout": _CONNECT_TIMEOUT_S, **_SILENCE}
            return create_engine(
                parsed, connect_args=arguments, pool_size=_CONNECTIONS, max_overflow=30, pool_pre_ping=True
            )
    except (ArgumentError, NoSuchModuleError, ImportError, TypeError, ValueError) as error:
        # The URL holds a password: it is not to be repeated.
        raise UserError(
            f"the database's URL can't be used ({type(error).__name__}); give one such as "
            "postgresql+psycopg://user:password@host/name or sqlite:///file.db"
        ) from None
    raise UserError(f"the database's URL is one of {kind}; give one of postgresql+psycopg or sqlite")


def _begin_sqlite(connection: Connection) -> None:
    # Who is going to write takes his turn now: later, what he has read may be the past.
    writes = connection.get_execution_options().get(WRITING)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

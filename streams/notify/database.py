"""The notifier's database: one connection, one thread, and one notifier at a time.

All work is done on a single connection, which takes a lock when it is made: whoever has no lock has no connection, so a
notifier that lost its lock with its connection can write nothing until it has the lock again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.pool import QueuePool

from streams.broker.cache import try_lock
from streams.databases import database_url, set_up_sqlite
from streams.errors import UserError
from streams.notify.schema import metadata

P = ParamSpec("P")
T = TypeVar("T")

# "flagprod" as a number: PostgreSQL's advisory locks have no names.
_LOCK_KEY = int.from_bytes(b"flagprod", "big")
# A notifier that was killed just now, or is being replaced, still has the lock for a moment.
_LOCK_WAIT_S = 10.0
_POLL_S = 0.2
_RETRY_S = 1.0
# Another process that puts failed deliveries back holds SQLite's lock for less.
_SQLITE_BUSY_S = 15.0
# What a statement takes at the most; there is none that walks through everything but the counting of queues.
_STATEMENT_TIMEOUT_MS = 30_000
_POSTGRES_OPTIONS = {
    "connect_timeout": 10,
    "application_name": "flagged-products notify",
    "options": f"-c statement_timeout={_STATEMENT_TIMEOUT_MS}",
    # A peer whose machine has gone is noticed within a minute, not after two hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


class DatabaseAway(UserError):
    """The database does not answer, or refuses. At the start that is the end; later it is waited for."""


class _LockTaken(Exception):
    """Another notifier has the lock."""


class Database:
    """Opened by `open`, used by `run`. `lock`: whether to keep other notifiers out; without it only look and repair."""

    def __init__(self, url: str, *, lock: bool = True) -> None:
        """Raises UserError for a URL that is none."""
        try:
            self._url: URL = database_url(url)
        except ArgumentError:
            raise UserError("notify_database: not a database URL; see docs/CLIENTS.md for examples") from None
        self._lock = lock
        self._lock_file: IO[bytes] | None = None
        self._engine: Engine | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="notify-database")
        self.on_trouble: Callable[[str | None], None] = lambda _reason: None
        """Told why the database is waited for, and None once it answers again."""

    @property
    def secrets(self) -> list[str | None]:
        """What of its URL no log may show."""
        return [str(self._url.password) if self._url.password is not None else None]

    @property
    def place(self) -> str:
        """Which database it is, for logs: without user and password."""
        if self._url.get_backend_name() == "sqlite":
            return f"the SQLite file {self._url.database}"
        return f"the PostgreSQL database {self._url.database} at {self._url.host or 'the local socket'}"

    def open(self) -> None:
        """Connect, take the lock, make the tables that are missing. Raises UserError if that can't be."""
        self._thread.submit(self._open).result()

    def close(self) -> None:
        """Let go of the connection and the lock."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def now(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do `work` in a transaction, and wait for it. Raises DatabaseAway."""
        return self._thread.submit(lambda: self._transact(work, *args, **kwargs)).result()

    async def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do `work` in a transaction of its own, and wait for a database that is away, for as long as it takes.

        Whether a transaction went through can't be known where the connection broke at its end, so `work` may be done
        twice: it is to have the same effect then.
        """
        waited = False
        loop = asyncio.get_running_loop()
        while True:
            try:
                done = await loop.run_in_executor(self._thread, lambda: self._transact(work, *args, **kwargs))
            except DatabaseAway as error:
                waited = True
                self.on_trouble(str(error))
                await asyncio.sleep(_RETRY_S)
            else:
                if waited:
                    self.on_trouble(None)
                return done

    def _transact(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        assert self._engine is not None, "to be opened first"
        try:
            with self._engine.begin() as connection:
                return work(connection, *args, **kwargs)
        except (IntegrityError, ProgrammingError):
            raise  # a mistake of ours, which no waiting mends
        except (DBAPIError, _LockTaken, OSError) as error:
            raise DatabaseAway(f"notify_database: {self.place} can't be used ({_reason(error)})") from error

    def _open(self) -> None:
        sqlite_file = self._url.database if self._url.get_backend_name() == "sqlite" else None
        if not self._lock and sqlite_file is not None and not Path(sqlite_file).exists():
            raise UserError(f"notify_database: there is no file {sqlite_file}; is FLAGGED_NOTIFY_DATABASE right?")
        try:
            self._take_lock_file()
            self._engine = self._make_engine()
            self._until_unlocked(metadata.create_all)
        except ImportError as error:
            raise UserError(
                f"notify_database: {error.name} is not installed; pip install 'flagged-products[serve]'"
            ) from None
        except (DBAPIError, DatabaseAway, OSError) as error:
            raise UserError(
                f"notify_database: {self.place} can't be used ({_reason(error)}). Is it there, and is "
                "FLAGGED_NOTIFY_DATABASE right?"
            ) from error

    def _until_unlocked(self, work: Callable[[Engine], None]) -> None:
        assert self._engine is not None
        began = monotonic()
        while True:
            try:
                return work(self._engine)
            except _LockTaken:
                if monotonic() - began > _LOCK_WAIT_S:
                    raise UserError(self._lock_message()) from None
                sleep(_POLL_S)

    def _take_lock_file(self) -> None:
        """SQLite has no lock that lasts longer than a transaction: a file beside it has."""
        if not self._lock or self._url.get_backend_name() != "sqlite":
            return
        # Open for as long as the lock is to be held.
        self._lock_file = Path(f"{self._url.database}.lock").open("ab")  # noqa: SIM115
        began = monotonic()
        while not try_lock(self._lock_file):
            if monotonic() - began > _LOCK_WAIT_S:
                self._lock_file.close()
                raise UserError(self._lock_message())
            sleep(_POLL_S)

    def _lock_message(self) -> str:
        return (
            f"notify_database: another notifier uses {self.place}; stop it first, or give this one a database of its "
            "own (then it sends everything as well)"
        )

    def _make_engine(self) -> Engine:
        sqlite = self._url.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"timeout": _SQLITE_BUSY_S} if sqlite else _POSTGRES_OPTIONS
        engine = create_engine(
            self._url, poolclass=QueuePool, pool_size=1, max_overflow=0, connect_args=options, hide_parameters=True
        )
        event.listen(engine, "connect", set_up_sqlite if sqlite else self._set_up_postgres)
        if sqlite:
            event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _set_up_postgres(self, connection: Any, _record: Any) -> None:
        if not self._lock:
            return
        with connection.cursor() as cursor:
            cursor.execute("select pg_try_advisory_lock(%s)", (_LOCK_KEY,))
            [taken] = cursor.fetchone()
        connection.commit()
        if not taken:
            connection.close()
            raise _LockTaken("another notifier has its lock")

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
        if self._lock_file is not None:
            self._lock_file.close()


def _begin_sqlite(connection: Connection) -> None:
    # At once for writing: a transaction that reads first could not wait for another process's write later.
    connection.exec_driver_sql("begin immediate")


def _reason(error: BaseException) -> str:
    """What the driver says, on one line, without SQL."""
    said = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    return " ".join(said.split()) or type(error).__name__

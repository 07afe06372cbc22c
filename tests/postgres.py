"""A real PostgreSQL for tests, from the system's binaries: Debian's package `postgresql`, or those in the PATH."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Generous, for the machine may be slow; a second is usual.
_START_S = 120.0


def postgres_binaries() -> Path | None:
    """The directory of `initdb` and `postgres`, of the newest version; None if there is none."""
    # As numbers: 9 comes before 15.
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name.split(".")[0]))
    found = shutil.which("initdb")
    candidates = [*reversed(debian), *([Path(found).parent] if found else [])]
    return next((path for path in candidates if (path / "initdb").exists() and (path / "postgres").exists()), None)


class Postgres:
    """One server on the loopback, whose data are in a temporary directory; `start` again after `stop` finds them."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._directory = Path(tempfile.mkdtemp(prefix="flagged-postgres-"))
        # PostgreSQL refuses to run as root; Debian's package brings a user for it.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        if self._user is not None:
            shutil.chown(self._directory, self._user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/postgres"
        arguments = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        subprocess.run(
            [self._binaries / "initdb", "-D", self._data, *arguments],
            user=self._user,
            cwd=self._directory,
            check=True,
            capture_output=True,
        )

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._binaries / "postgres", "-D", self._data, "-p", str(self._port), "-h", "127.0.0.1"),
                    *("-k", self._directory, "-c", "fsync=off"),
                ],
                user=self._user,
                cwd=self._directory,
                stdout=log,
                stderr=log,
            )
        began = time.monotonic()
        while subprocess.run(
            [self._binaries / "pg_isready", "-h", "127.0.0.1", "-p", str(self._port)], capture_output=True, check=False
        ).returncode:
            if self._process.poll() is not None or time.monotonic() - began > _START_S:
                raise RuntimeError("PostgreSQL does not start:\n" + (self._directory / "log").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, whoever is connected."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGINT)  # "fast": clients are cut off
            process.wait(_START_S)

    def remove(self) -> None:
        """End it, and remove its data."""
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def new_database(self) -> str:
        """Make an empty database; its URL."""
        return new_database(self.url)


def new_database(url: str) -> str:
    """Make an empty database on the server of `url`; its URL."""
    import psycopg

    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    return url.rsplit("/", 1)[0] + f"/{name}"


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server that may be stopped and started. Raises RuntimeError where PostgreSQL isn't installed."""
    binaries = postgres_binaries()
    if binaries is None:
        raise RuntimeError("PostgreSQL is not installed")
    server = Postgres(binaries)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def postgres() -> Iterator[str]:
    """A server for as long as it lasts; the URL of its database `postgres`."""
    with running_postgres() as server:
        yield server.url

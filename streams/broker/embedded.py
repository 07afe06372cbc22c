"""A real Apache Kafka broker, started and stopped by Python: for demos, tests, benchmarks and a first look."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from streams.broker import supervisor
from streams.broker.cache import try_lock
from streams.broker.jars import class_path
from streams.broker.properties import HOST, is_formatted, java_command, render, server_properties
from streams.broker.ready import free_ports, port_is_free, serves_metadata, speaks_kafka
from streams.errors import UserError

_POLL_INTERVAL_S = 0.05

_START_POLLS = 3_600
"""3 minutes of polling, where 3 to 5 s are usual. Counted and not timed: a machine that was suspended meanwhile has
used up one poll, not its patience."""

_STOP_GRACE_S = 30.0
"""How long a broker may take to close its logs after SIGTERM before it is killed; 0.3 s are usual. Kafka recovers
from a kill, so this bound costs nothing but the time of the next start."""

_START_ATTEMPTS = 3
"""Ports we picked ourselves may be taken by another program before the JVM binds them; then others are picked."""

_LOG_KEPT_BYTES = 10_000_000
"""A log longer than this is moved aside (one generation) at the next start."""

_TAIL_LINES = 50
"""Enough for a warning or two and a stack trace with its cause."""


class EmbeddedBroker:
    """One Kafka node (broker and controller, KRaft) on the loopback, as a context manager or by start() and stop().

    Args:
        data_dir: where it keeps its data, configuration and log. Formatted when new, taken up again when not, never
            removed. None: a temporary directory, made at start() and removed at stop(); kill() leaves it for the
            start() that follows.
        port: the port clients use; 0 picks a free one. Either way it stays the same for the life of this object.
        heap_mb: the JVM's heap in MiB; the process takes about 150 MB beyond what it uses of that.
        properties: Kafka broker properties that go before ours, e.g. SASL for the listener named CLIENT.
        client_options: options of aiokafka's clients which the readiness check at start() needs to log in, where
            `properties` ask clients to. TLS on the CLIENT listener is not supported, SASL is.

    The broker ends with the process that started it, however that ends (see `streams.broker.supervisor`). Not to be
    used by two threads at once. SPEC is silent about it: it stands in for a broker of the user's own.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        port: int = 0,
        heap_mb: int = 512,
        properties: Mapping[str, str] | None = None,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._data_dir = None if data_dir is None else Path(data_dir).expanduser().absolute()
        self._directory = self._data_dir
        self._port = port
        self._heap_mb = heap_mb
        self._properties = dict(properties or {})
        self._client_options = dict(client_options or {})
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._log_start_bytes = 0

    @property
    def port(self) -> int:
        """The port clients use; 0 before the first start if none was given."""
        return self._port

    @property
    def bootstrap_servers(self) -> str:
        """`127.0.0.1:PORT`, for Kafka clients.

        Raises:
            RuntimeError: the port is not picked yet; start() does that.
        """
        if not self._port:
            raise RuntimeError("the embedded broker has no port before its first start()")
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The JVM's process id; None while it does not run."""
        return self._pid if self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether the JVM runs (if it was suspended, it does)."""
        return self._supervisor is not None and self._supervisor.poll() is None

    @property
    def directory(self) -> Path | None:
        """Where data, `server.properties` and `broker.log` lie; None for a temporary one that is not made yet."""
        return self._directory

    @property
    def log_path(self) -> Path | None:
        """The broker's log: warnings and worse."""
        return self._directory and self._directory / "broker.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker and return once it serves clients; the very first time, fetch it.

        Raises:
            UserError: Kafka or Java is not here and cannot be had, the port is taken, the directory cannot be used,
                or the broker died or does not answer (with the end of its log).
            RuntimeError: it runs already.
        """
        if self.is_running:
            raise RuntimeError("the embedded broker runs already")
        if os.name != "posix":
            raise UserError("The embedded broker runs on Linux and macOS. Use WSL, or a Kafka of your own (--broker).")
        # What is left of one that ended by itself: its pipes.
        self._end(b"k")
        jars = class_path()
        try:
            directory = self._prepare_directory()
            java = java_command(jars, directory, self._heap_mb)
            for attempts_left in reversed(range(_START_ATTEMPTS)):
                if self._try_start(directory, java, may_retry=attempts_left > 0):
                    return
        except BaseException:
            self._end(b"k")
            self._remove_temporary()
            raise

    def stop(self) -> None:
        """Stop the broker cleanly, by force after 30 s, and remove a temporary directory. Stopped already: no matter.

        It may be started again; with a `data_dir` it then has its old data.
        """
        self._end(b"t")
        self._remove_temporary()

    def kill(self) -> None:
        """Kill the broker as `kill -9` does and return when it is gone. Its data stay as they are, for start()."""
        self._end(b"k")

    def log_tail(self) -> str:
        """The last lines the broker logged since it was last started."""
        if not self.log_path or not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start_bytes)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])

    def _prepare_directory(self) -> Path:
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="flagged-broker-"))
        if "," in str(self._directory):
            raise UserError(f"Kafka cannot keep data in {self._directory}: a comma would part it in two directories.")
        try:
            (self._directory / "tmp").mkdir(parents=True, exist_ok=True)
            log_path = self._directory / "broker.log"
            if log_path.exists() and log_path.stat().st_size > _LOG_KEPT_BYTES:
                log_path.replace(log_path.with_suffix(".log.1"))
            log_path.touch()
        except OSError as error:
            raise UserError(f"The embedded broker cannot write to its data directory: {error}") from error
        return self._directory

    def _try_start(self, directory: Path, java: list[str], may_retry: bool) -> bool:
        """Start on free ports; False if one of them was taken from under us and another attempt is worth it."""
        if self._port and not port_is_free(HOST, self._port):
            raise UserError(
                f"Port {self._port} on {HOST} is in use. Stop the program that listens there, or choose another port."
            )
        port, controller_port = (self._port, *free_ports(HOST, 1)) if self._port else free_ports(HOST, 2)
        settings = directory / "server.properties"
        with _claimed(directory) as lock:
            settings.write_text(
                render(server_properties(directory, port, controller_port, self._properties)), encoding="utf-8"
            )
            if not is_formatted(directory):
                _format(java, settings)
            self._spawn(directory, [*java, "kafka.Kafka", str(settings)], lock)
        if self._answers(port):
            self._port = port
            return True
        tail = self.log_tail()
        if may_retry and not self.is_running and "already in use" in tail:
            self._end(b"k")
            return False
        what = "does not answer" if self.is_running else "died while it started"
        where = f" ({self.log_path})" if self._data_dir else ""
        raise UserError(f"The embedded broker {what}. The end of its log{where}:\n{tail or '(nothing logged)'}")

    def _spawn(self, directory: Path, command: list[str], lock: IO[bytes]) -> None:
        log_path = directory / "broker.log"
        self._log_start_bytes = log_path.stat().st_size
        remove = "" if self._data_dir else str(directory)
        with log_path.open("ab") as log:
            self._supervisor = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", supervisor.__file__),
                    *(str(log_path), str(_STOP_GRACE_S), remove, "--"),
                    *command,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Unbuffered: an order must not wait in a buffer, nor a close fail over one that cannot be delivered.
                bufsize=0,
                start_new_session=True,
                pass_fds=(lock.fileno(),),
            )
        assert self._supervisor.stdout is not None
        # Nothing if it could not start Java; its reason is in the log, and it is gone.
        self._pid = int(self._supervisor.stdout.readline() or 0)

    def _answers(self, port: int) -> bool:
        """Wait for the broker; False if it ended or the patience did."""
        server = f"{HOST}:{port}"
        for _ in range(_START_POLLS):
            if not self.is_running:
                return False
            if speaks_kafka(HOST, port) and serves_metadata(server, self._client_options):
                return True
            time.sleep(_POLL_INTERVAL_S)
        return False

    def _end(self, order: bytes) -> None:
        """Give the supervisor the order, and end it with the JVM by force if that is not enough."""
        if self._supervisor is None:
            return
        assert self._supervisor.stdin is not None
        assert self._supervisor.stdout is not None
        for last_order in (order, b"k"):
            with contextlib.suppress(BrokenPipeError):
                self._supervisor.stdin.write(last_order)
            if self._is_gone_within(_STOP_GRACE_S):
                break
        else:
            self._supervisor.kill()
        self._supervisor.wait()
        self._supervisor.stdin.close()
        self._supervisor.stdout.close()
        self._supervisor = None

    def _is_gone_within(self, bound_s: float) -> bool:
        for _ in range(round(bound_s / _POLL_INTERVAL_S)):
            if not self.is_running:
                return True
            time.sleep(_POLL_INTERVAL_S)
        return not self.is_running

    def _remove_temporary(self) -> None:
        if self._data_dir is None and self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None


@contextlib.contextmanager
def _claimed(directory: Path) -> Iterator[IO[bytes]]:
    """The directory's lock, ours until it is handed on to the supervisor and the JVM, theirs until they end.

    Kafka's own lock comes too late: a second node has by then written into the first one's metadata log.
    """
    with (directory / "broker.lock").open("ab") as lock:
        if not try_lock(lock):
            raise UserError(f"Another embedded broker runs in {directory}. Stop it, or choose another data directory.")
        yield lock


def _format(java: list[str], settings: Path) -> None:
    """Let Kafka's storage tool write the cluster's id and first metadata into the new data directory."""
    cluster_id = "-"
    while cluster_id.startswith("-"):
        # The tool would take a leading hyphen for an option.
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    arguments = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(settings)]
    result = subprocess.run([*java, *arguments], check=False, capture_output=True, stdin=subprocess.DEVNULL)
    if result.returncode:
        output = (result.stdout + result.stderr).decode(errors="replace").strip()
        raise UserError(f"Kafka cannot format the data directory of {settings}:\n{output}")

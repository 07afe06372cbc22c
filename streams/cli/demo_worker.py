"""The worker of a demo: a process of its own, watched, and ended with the demo however that ends."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from streams.broker import supervisor
from streams.errors import UserError
from streams.observability.metrics import PREFIX
from streams.settings import ENV_PREFIX

_TAIL_LINES = 20
_LINE_CHARACTERS = 300
_POLL_S = 0.1
# A worker is at work 3 s after its start. Polls are counted, so that a machine that slept has not used them up.
_READY_POLLS = 900
# It flushes, commits and leaves the group in less than a second; nobody misses what it does not get done.
_STOP_GRACE_S = 5.0
_PAGE_TIMEOUT_S = 5.0
_PORT = re.compile(r"worker starts .*?\bport=(\d+)")


@dataclass(frozen=True, slots=True)
class Counts:
    """What a worker has counted so far: records by outcome, and the processor time it has used in s, if known."""

    outcomes: Counter[str] = field(default_factory=Counter)
    cpu_s: float | None = None


class DemoWorker:
    """One `flagged-products worker`, as a context manager.

    `directory` is its own: its log, `worker.log`, lies there; it is removed if this process dies before it could do
    so itself. `environment`: its FLAGGED_* variables, the only ones it gets.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.log_path = directory / "worker.log"
        self._directory = directory
        self._environment = dict(environment)
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._port = 0

    def __enter__(self) -> DemoWorker:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        # As for the broker: no orphan is left behind, and Ctrl-C in the terminal reaches us and not the worker.
        self._supervisor = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", supervisor.__file__),
                *(str(self.log_path), str(_STOP_GRACE_S), str(self._directory), "--"),
                # -P: what lies in the present directory is not to be taken for this package.
                *(sys.executable, "-P", "-m", "streams", "worker"),
            ],
            env=inherited | self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        process, self._supervisor = self._supervisor, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        for order in (b"t", b"k"):
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(order)
            if _is_gone(process, _STOP_GRACE_S):
                break
        else:
            process.kill()
            process.wait()
        process.stdin.close()
        process.stdout.close()

    def check(self) -> None:
        """Raise UserError, with the end of its log, if the worker has ended."""
        if self._supervisor is None or self._supervisor.poll() is None:
            return
        raise UserError(
            f"The demo's worker has ended (exit code {self._supervisor.returncode}). The end of its log, which is "
            f"kept in {self.log_path}:\n{self.log_tail()}"
        )

    def log_tail(self) -> str:
        """The last lines of its log."""
        lines = self._log().splitlines()[-_TAIL_LINES:]
        return "\n".join(line[:_LINE_CHARACTERS] for line in lines) or "(nothing logged)"

    def _log(self) -> str:
        try:
            return self.log_path.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    async def wait_until_ready(self) -> None:
        """Wait until it has its partitions. Raises UserError if it ends, or does not come so far."""
        for _ in range(_READY_POLLS):
            self.check()
            if await self._is_ready():
                return
            await asyncio.sleep(_POLL_S)
        raise UserError(
            f"The demo's worker does not come to work. The end of its log, which is kept in {self.log_path}:\n"
            f"{self.log_tail()}"
        )

    async def _is_ready(self) -> bool:
        if not self._port:
            found = _PORT.search(self._log())
            if found is None:
                return False
            self._port = int(found[1])
        status, _ = await asyncio.to_thread(self._get, "/readyz")
        return status == http.client.OK

    async def counts(self) -> Counts:
        """What it has counted, from its /metrics."""
        status, page = await asyncio.to_thread(self._get, "/metrics")
        if status != http.client.OK:
            return Counts()
        outcomes = Counter[str]()
        cpu_s = None
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name == f"{PREFIX}events_total":
                    outcomes[sample.labels["outcome"]] += int(sample.value)
                elif sample.name == "process_cpu_seconds_total":
                    cpu_s = sample.value
        return Counts(outcomes, cpu_s)

    def _get(self, path: str) -> tuple[int, str]:
        """Status and text of a page of the worker's; status 0 if it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PAGE_TIMEOUT_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()


def _is_gone(process: subprocess.Popen[bytes], bound_s: float) -> bool:
    """Whether it ends within this time."""
    for _ in range(round(bound_s / _POLL_S)):
        if process.poll() is not None:
            return True
        time.sleep(_POLL_S)
    return process.poll() is not None

"""A process of the demo's: watched, and ended with the demo however that ends."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from streams.broker import supervisor
from streams.errors import UserError
from streams.settings import ENV_PREFIX

_TAIL_LINES = 20
_LINE_CHARACTERS = 300
_POLL_S = 0.1
# A process is at work 3 s after its start. Polls are counted, so that a machine that slept has not used them up.
_READY_POLLS = 900
# It ends in less than a second; nobody misses what it does not get done.
_STOP_GRACE_S = 5.0
_PAGE_TIMEOUT_S = 5.0


class DemoProcess:
    """One `flagged-products ...`, as a context manager.

    `name` is what it is called in messages; its log is `NAME.log` in `directory`, which is removed if this process dies
    before it could do so itself. `environment`: its FLAGGED_* variables, the only ones it gets.
    """

    def __init__(self, name: str, arguments: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
        self.log_path = directory / f"{name}.log"
        self._name = name
        self._arguments = arguments
        self._directory = directory
        self._environment = dict(environment)
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._port = 0

    def __enter__(self) -> Self:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        # As for the broker: no orphan is left behind, and Ctrl-C in the terminal reaches us and not the process.
        self._supervisor = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", supervisor.__file__),
                *(str(self.log_path), str(_STOP_GRACE_S), str(self._directory), "--"),
                # -P: what lies in the present directory is not to be taken for this package.
                *(sys.executable, "-P", "-m", "streams", *self._arguments),
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
            f"The demo's {self._name} has ended (exit code {self._supervisor.returncode}). The end of its log, which "
            f"is kept in {self.log_path}:\n{self.log_tail()}"
        )

    def log_tail(self) -> str:
        """The last lines of its log."""
        lines = self.log().splitlines()[-_TAIL_LINES:]
        return "\n".join(line[:_LINE_CHARACTERS] for line in lines) or "(nothing logged)"

    def log(self) -> str:
        """All of its log."""
        try:
            return self.log_path.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    async def wait_until_ready(self) -> None:
        """Wait until it is at work. Raises UserError if it ends, or does not come so far."""
        for _ in range(_READY_POLLS):
            self.check()
            if await self._is_ready():
                return
            await asyncio.sleep(_POLL_S)
        raise UserError(
            f"The demo's {self._name} does not come to work. The end of its log, which is kept in {self.log_path}:\n"
            f"{self.log_tail()}"
        )

    async def _is_ready(self) -> bool:
        if not self._port:
            found = re.search(rf"{self._name} starts .*?\bport=(\d+)", self.log())
            if found is None:
                return False
            self._port = int(found[1])
        status, _ = await asyncio.to_thread(self.get, "/readyz")
        return status == http.client.OK

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page of its own web server's; status 0 if it does not answer."""
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

"""The supervisor, with a sleeping program in the JVM's place: it obeys, and it leaves no orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.broker import supervisor

BOUND_S = 60.0
SLEEPER = "import time; time.sleep(3600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(3600)"
)

Start = Callable[..., tuple[subprocess.Popen[bytes], int]]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        # A zombie that waits for its reaper is no longer running.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc/self").exists()


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(round(BOUND_S / 0.02)):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("condition not reached")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[tuple[subprocess.Popen[bytes], int]] = []

    def spawn(
        program: str = SLEEPER, grace_s: float = BOUND_S, remove: str = ""
    ) -> tuple[subprocess.Popen[bytes], int]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", supervisor.__file__),
                *(str(tmp_path / "log"), str(grace_s), remove, "--", sys.executable, "-c", program),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        assert process.stdout
        pid = int(process.stdout.readline())
        started.append((process, pid))
        return process, pid

    yield spawn
    for process, _ in started:
        process.kill()
        process.wait()
        assert process.stdin
        assert process.stdout
        process.stdin.close()
        process.stdout.close()


@pytest.mark.parametrize(("order", "number"), [(b"t", signal.SIGTERM), (b"k", signal.SIGKILL)])
def test_passes_orders_on_and_ends_with_the_program(start: Start, order: bytes, number: int) -> None:
    process, pid = start()
    assert process.stdin
    process.stdin.write(order)
    assert process.wait(BOUND_S) == 128 + number
    assert not is_alive(pid)


def test_gives_back_the_program_s_own_exit_code(start: Start) -> None:
    process, _ = start("raise SystemExit(7)")
    assert process.wait(BOUND_S) == 7


def test_ends_the_program_when_the_pipe_closes_and_removes_the_directory(start: Start, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    process, pid = start(remove=str(directory))
    assert process.stdin
    process.stdin.close()
    process.wait(BOUND_S)
    assert not is_alive(pid)
    assert not directory.exists()


def test_the_directory_stays_when_the_parent_lives(start: Start, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    process, _ = start(remove=str(directory))
    assert process.stdin
    process.stdin.write(b"k")
    process.wait(BOUND_S)
    assert directory.exists()


def test_kills_an_orphan_that_does_not_listen(start: Start, tmp_path: Path) -> None:
    process, pid = start(STUBBORN, grace_s=0.1)
    wait_until(lambda: b"up" in (tmp_path / "log").read_bytes())
    assert process.stdin
    process.stdin.close()
    process.wait(BOUND_S)
    assert not is_alive(pid)


def test_survives_the_signals_that_were_meant_for_the_parent(start: Start) -> None:
    process, pid = start()
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGTERM)
    assert process.stdin
    assert process.poll() is None
    assert is_alive(pid)
    process.stdin.write(b"t")
    assert process.wait(BOUND_S) == 128 + signal.SIGTERM


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the parent-death signal is Linux's")
def test_the_program_goes_when_the_supervisor_is_killed(start: Start) -> None:
    process, pid = start()
    process.kill()
    process.wait()
    wait_until(lambda: not is_alive(pid))

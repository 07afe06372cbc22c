"""Stands between us and the JVM, so that no broker outlives the program that started it.

The parent holds the write end of this process's stdin. Whatever ends the parent, `kill -9` included, closes that pipe,
and the supervisor then ends the JVM. A pipe and not only Linux's parent-death signal, because that signal follows the
thread that forked: a broker started from a worker thread would die with the thread, not with the process.

1. The parent starts `python -I -S supervisor.py LOG GRACE_S REMOVE -- java ...` in a session of its own (Ctrl-C in a
   terminal reaches the whole foreground group; the broker must not go before its clients do).
2. The supervisor starts the JVM and writes the JVM's process id to stdout as one line.
3. The parent writes `t` (terminate) or `k` (kill); the supervisor passes it on. It alone signals the JVM by its
   process id and it alone reaps it, so a reused process id is never hit.
4. End of file on stdin, or another parent than at the start (a forked child of the parent can hold the pipe open):
   terminate, after GRACE_S kill, and remove the directory REMOVE, if one is named.
5. Should the supervisor itself be killed, Linux kills the JVM (parent-death signal, safe here: the thread that forks
   is the main thread and lives as long as the process).

A descriptor inherited from the parent, the lock on the data directory, is handed on to the JVM: the lock is free when
both have ended, never while the JVM still writes.

Standard library only and no import of this package: it starts in 20 ms and runs with whatever Python runs us.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

PARENT_CHECK_INTERVAL_S = 1.0
"""How often to look whether the parent is still the parent; it matters only where a forked child holds the pipe."""

_PR_SET_PDEATHSIG = 1


def _die_with_supervisor() -> Callable[[], None] | None:
    """What the forked child does before it becomes the JVM; None where there is no parent-death signal."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    supervisor_pid = os.getpid()

    def ask_for_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # Asked for too late: the supervisor died between fork and prctl.
        if os.getppid() != supervisor_pid:
            os._exit(1)

    return ask_for_signal


class _Guard:
    """Ends the JVM once, whichever of the two watchers sees first that the parent is gone."""

    def __init__(self, jvm: subprocess.Popen[bytes], grace_s: float) -> None:
        self._jvm = jvm
        self._grace_s = grace_s
        self.orphaned = threading.Event()

    def obey(self) -> None:
        """Pass the parent's orders on until its end of the pipe closes."""
        while order := os.read(0, 1):
            if order == b"t":
                self._jvm.terminate()
            elif order == b"k":
                self._jvm.kill()
        self.end()

    def watch_parent(self, parent_pid: int) -> None:
        """Return once this process has been handed to another parent."""
        while os.getppid() == parent_pid:
            time.sleep(PARENT_CHECK_INTERVAL_S)
        self.end()

    def end(self) -> None:
        """Terminate the JVM, and kill it if it is still there after the grace."""
        self.orphaned.set()
        self._jvm.terminate()
        try:
            self._jvm.wait(self._grace_s)
        except subprocess.TimeoutExpired:
            self._jvm.kill()


def main(arguments: list[str]) -> int:
    """Run the JVM to its end and return its exit code (128 + signal if a signal ended it)."""
    log_path, grace_s, remove, _, *command = arguments
    parent_pid = os.getppid()
    with Path(log_path).open("ab", buffering=0) as log:
        jvm = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Hand the lock on the data directory on; all other descriptors close by themselves.
            close_fds=False,
            # Safe as no thread is started yet.
            preexec_fn=_die_with_supervisor(),
        )
    sys.stdout.write(f"{jvm.pid}\n")
    sys.stdout.flush()
    guard = _Guard(jvm, float(grace_s))
    threading.Thread(target=guard.obey, daemon=True).start()
    threading.Thread(target=guard.watch_parent, args=(parent_pid,), daemon=True).start()
    code = jvm.wait()
    if remove and guard.orphaned.is_set():
        shutil.rmtree(remove, ignore_errors=True)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    for survived in (signal.SIGINT, signal.SIGTERM):
        # It goes when the JVM has gone, never before. A handler and not SIG_IGN: the JVM would inherit that, and a JVM
        # that starts with SIGTERM ignored cannot be terminated cleanly.
        signal.signal(survived, lambda *_: None)
    status = main(sys.argv[1:])
    sys.stdout.flush()
    # The reader thread may sit in read(0) for ever; a normal exit could wait for its lock.
    os._exit(status)

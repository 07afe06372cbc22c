"""Where downloads are kept between runs, and a lock so that two first starts do not fetch at once."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

_LOCK_POLL_INTERVAL_S = 0.2


def cache_dir() -> Path:
    """The program's cache: FLAGGED_CACHE_DIR, else flagged-products in XDG_CACHE_HOME, else in ~/.cache."""
    if own := os.environ.get("FLAGGED_CACHE_DIR"):
        return Path(own).expanduser()
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification has relative paths ignored.
    base = xdg if xdg.is_absolute() else Path.home() / ".cache"
    return base / "flagged-products"


def try_lock(file: IO[bytes]) -> bool:
    """Take the lock on an open file if nobody has it; it goes with the last descriptor made from this one."""
    import fcntl  # not on Windows, where this module is imported all the same

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path`, waiting for another process as long as that lives; `on_wait` is called once if so.

    The operating system releases the lock with the process that holds it, so none is ever left behind. The empty file
    stays: removing it would let two processes lock two files of the same name.
    """
    with path.open("ab") as file:
        if not try_lock(file):
            on_wait()
            while not try_lock(file):
                time.sleep(_LOCK_POLL_INTERVAL_S)
        yield

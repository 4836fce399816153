"""Lock files, by which the processes of a user wait for each other."""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from itb.errors import InterruptedRunError, TestbedError

_POLL_SECONDS = 0.1  # between two tries; a wait in the kernel could not be interrupted


@contextmanager
def hold(path: Path, stop: threading.Event, *, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock file while the block runs; the kernel releases it when this process ends, however it ends.

    Makes the folder of the file if it does not exist.  Calls ``waiting`` once
    if another process holds the lock.  Raises InterruptedRunError if ``stop``
    is set while it waits for that process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        if not _try_lock(file.fileno()):
            waiting()
            while not _try_lock(file.fileno()):
                if stop.wait(_POLL_SECONDS):
                    raise InterruptedRunError(f"interrupted while another process held {path.name}")
        yield


@contextmanager
def hold_if_free(path: Path) -> Iterator[bool]:
    """Hold a lock file while the block runs; yield False if a process (also this one) already holds it."""
    try:
        file = path.open("rb")
    except FileNotFoundError:  # no process has held it yet
        yield True
        return
    with file:
        yield _try_lock(file.fileno())


def is_held(path: Path) -> bool:
    """Return whether a process (also this one) holds a lock file."""
    try:
        with path.open("rb") as file:
            return not _try_lock(file.fileno())
    except FileNotFoundError:
        return False


def _try_lock(descriptor: int) -> bool:
    """Lock an open file without waiting; return False if another descriptor has it locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def user_lock(name: str) -> Path:
    """Return the path of a lock file that is the same for all processes of this user.

    Raises TestbedError if its folder belongs to another user.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "itb" if runtime else Path(tempfile.gettempdir()) / f"itb-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise TestbedError(
            f"{folder} belongs to somebody else", hint="set XDG_RUNTIME_DIR to a folder of your own"
        )
    return folder / f"{name}.lock"

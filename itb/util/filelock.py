"""Lock files between processes: what one of them makes, the others wait for."""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from itb.errors import InterruptedRunError, TestbedError

_EVERY = 0.1  # seconds between two tries: the kernel's own waiting would be deaf to an interruption


@contextmanager
def hold(path: Path, stop: threading.Event, *, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock file, whose folder is made if need be; it is free as soon as its process is gone.

    ``waiting`` is called once if another process holds it.  Raises
    InterruptedRunError if ``stop`` is set before that one has ended.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        if not _take(file.fileno()):
            waiting()
            while not _take(file.fileno()):
                if stop.wait(_EVERY):
                    raise InterruptedRunError(f"interrupted while another process held {path.name}")
        yield


@contextmanager
def hold_if_free(path: Path) -> Iterator[bool]:
    """Hold a lock file while the block runs; yield False if a process, maybe this one, holds it already."""
    try:
        file = path.open("rb")
    except FileNotFoundError:  # whoever begins now makes a new one
        yield True
        return
    with file:
        yield _take(file.fileno())


def is_held(path: Path) -> bool:
    """True while a process holds this lock file, this one included."""
    try:
        with path.open("rb") as file:
            return not _take(file.fileno())
    except FileNotFoundError:
        return False


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def user_lock(name: str) -> Path:
    """Return a lock file all of a user's processes share."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "itb" if runtime else Path(tempfile.gettempdir()) / f"itb-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise TestbedError(
            f"{folder} belongs to somebody else", hint="set XDG_RUNTIME_DIR to a folder of your own"
        )
    return folder / f"{name}.lock"

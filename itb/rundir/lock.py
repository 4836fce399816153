"""The lock of a run: one process at a time works on it, and the lock's file names this process.

The kernel releases the lock however the process ends.  A file that names a
process but is not locked was left by a process that was killed.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from itb.errors import TestbedError, UsageError
from itb.model import Moment, Record
from itb.util import files, ownership, when

NAME = ".lock"


class LockOwner(Record):
    """The process that holds or held a lock; ``since`` in seconds since the epoch."""

    pid: int = 0
    host: str = ""
    since: Moment = 0.0

    def __str__(self) -> str:
        if not self.pid:
            return "a process"
        return f"process {self.pid} on {self.host} (since {when.utc(self.since)})"


@contextmanager
def hold(folder: Path) -> Iterator[LockOwner | None]:
    """Hold the lock of a run's directory; yields the owner that was killed while it held the lock, or None.

    Raises UsageError naming the owner if a living process holds it, and for a file of somebody else's in its
    place; TestbedError where there can be no lock.
    """
    try:
        descriptor = ownership.open_own(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    except OSError as error:
        hint = "remove what is in its place, or make its folder writable; itb report needs no lock"
        raise TestbedError(f"{folder / NAME}: {error.strerror}", hint=hint) from None
    with os.fdopen(descriptor, "a+", encoding="utf-8", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"run {folder.name} is being worked on by {_owner(folder) or LockOwner()}") from None
        stale = _owner(folder)
        file.truncate(0)
        owner = LockOwner(pid=os.getpid(), host=socket.gethostname(), since=time.time())
        file.write(owner.model_dump_json())
        file.flush()
        try:
            yield stale
        finally:
            with suppress(OSError):  # a full disk, a removed directory; the kernel releases the lock anyway
                file.truncate(0)


def holder(folder: Path) -> LockOwner | None:
    """Return the owner of the lock of a run's directory; None if no process holds it.

    The owner of a lock whose directory was removed is found by the file that
    it still has open.
    """
    try:
        with os.fdopen(files.open_regular(folder / NAME), "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _owner(folder) or LockOwner()
            return None
    except OSError:
        return _holder_of_removed(folder / NAME)


def is_locked(folder: Path) -> bool:
    """Return whether a process holds the lock of a run's directory; quick, but needs the file."""
    try:
        with os.fdopen(files.open_regular(folder / NAME), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _owner(folder: Path) -> LockOwner | None:
    try:
        return LockOwner.model_validate_json(files.read(folder / NAME))
    except (OSError, ValidationError):
        return None


def _holder_of_removed(path: Path) -> LockOwner | None:
    target = f"{path} (deleted)"  # proc(5), /proc/PID/fd
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(str(link.readlink()) == target for link in (process / "fd").iterdir()):
                return LockOwner(pid=int(process.name), host=socket.gethostname(), since=process.stat().st_ctime)
    return None

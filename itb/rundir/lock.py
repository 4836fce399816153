"""The lock of a run: one process at a time works on it, and who that is can be told.

The kernel lets go of it however the process ends; the text in the file says
who held it.  Text that nobody holds any more is a process that ended without
a word.
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
from itb.util import files, when

NAME = ".lock"


class Owner(Record):
    """The process that holds or held a lock; ``since`` in seconds since the epoch."""

    pid: int = 0
    host: str = ""
    since: Moment = 0.0

    def __str__(self) -> str:
        if not self.pid:
            return "a process"
        return f"process {self.pid} on {self.host} (since {when.utc(self.since)})"


@contextmanager
def hold(folder: Path) -> Iterator[Owner | None]:
    """Hold the lock of a run's directory; yields who held it and ended without letting go, if anybody did.

    Raises UsageError naming the owner if a living process holds it, TestbedError where there can be no lock.
    """
    try:
        descriptor = files.open_regular(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    except OSError as error:
        hint = "remove what is in its place, or make its folder writable; itb report needs no lock"
        raise TestbedError(f"{folder / NAME}: {error.strerror}", hint=hint) from None
    with os.fdopen(descriptor, "a+", encoding="utf-8", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"run {folder.name} is being worked on by {_owner(folder) or Owner()}") from None
        stale = _owner(folder)
        file.truncate(0)
        owner = Owner(pid=os.getpid(), host=socket.gethostname(), since=time.time())
        file.write(owner.model_dump_json())
        file.flush()
        try:
            yield stale
        finally:
            with suppress(OSError):  # a disk that is full, a directory that is gone: the kernel lets go anyway
                file.truncate(0)


def holder(folder: Path) -> Owner | None:
    """Return who holds the lock of a run's directory now; None if nobody does.

    Where the directory was removed under a living process, that process
    still has the file open, and that is how it is found.
    """
    try:
        with os.fdopen(files.open_regular(folder / NAME), "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _owner(folder) or Owner()
            return None
    except OSError:
        return _holder_of_removed(folder / NAME)


def is_held(folder: Path) -> bool:
    """Return whether a process holds the lock of a run's directory that is there; quicker than :func:`holder`."""
    try:
        with os.fdopen(files.open_regular(folder / NAME), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _owner(folder: Path) -> Owner | None:
    try:
        return Owner.model_validate_json(files.read(folder / NAME))
    except (OSError, ValidationError):
        return None


def _holder_of_removed(path: Path) -> Owner | None:
    target = f"{path} (deleted)"  # proc(5), /proc/PID/fd
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(str(link.readlink()) == target for link in (process / "fd").iterdir()):
                return Owner(pid=int(process.name), host=socket.gethostname(), since=process.stat().st_ctime)
    return None

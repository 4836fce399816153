"""Lock files, by which the processes of a user wait for each other."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from itb.errors import InterruptedRunError, TestbedError, UsageError
from itb.util import files, ownership

_POLL_SECONDS = 0.1  # between two tries: nothing could interrupt a wait in the kernel
_MAX_HOLDER = 20  # bytes of a lock file that are read: the number of a process


def _print_to_stderr(text: str) -> None:
    print(f"itb: {text}", file=sys.stderr, flush=True)


@contextmanager
def hold(
    path: Path,
    stop: threading.Event,
    limit: float,
    *,
    waiting: Callable[[str], None] = _print_to_stderr,
) -> Iterator[None]:
    """Hold a lock file while the block runs; the kernel releases it when this process ends, however it ends.

    Makes the file (mode 0600) and its folder if they do not exist.  Calls
    ``waiting`` with who holds it if another process does.  Raises
    InterruptedRunError if ``stop`` is set before that process has released
    it, TestbedError if that takes more than ``limit`` seconds, and UsageError
    if somebody else could hold or replace it.
    """
    ownership.own_folder(path.parent)
    with os.fdopen(ownership.open_own(path, os.O_RDWR | os.O_CREAT), "r+b", buffering=0) as file:
        if not _try_lock(file.fileno()):
            _wait(path, file, stop, limit, waiting)
        with suppress(OSError):  # a disk that is full: the lock holds without its holder's number
            file.truncate(0)
            file.seek(0)
            file.write(b"%d" % os.getpid())
        yield


def _wait(
    path: Path, file: IO[bytes], stop: threading.Event, limit: float, waiting: Callable[[str], None]
) -> None:
    """Lock an open file that another process has locked; raises what :func:`hold` does."""
    holder = _holder(file)
    waiting(f"waiting for {holder}, which holds {path}")
    deadline = time.monotonic() + limit
    while not _try_lock(file.fileno()):
        if stop.wait(_POLL_SECONDS):
            raise InterruptedRunError(f"interrupted while {_holder(file)} held {path.name}")
        if time.monotonic() > deadline:
            raise TestbedError(
                f"{_holder(file)} holds {path}, and did not release it within {limit:.0f} s",
                hint=f"see what it does (fuser -v {shlex.quote(str(path))}), and end it if it hangs; "
                "limits: {wait-for-build: SECONDS} in itb.yaml is how long to wait",
            )


def _holder(file: IO[bytes]) -> str:
    """Return who has locked a file, as it says itself."""
    file.seek(0)
    text = file.read(_MAX_HOLDER)
    return f"process {text.decode()}" if text.isdigit() else "another process"


@contextmanager
def hold_if_free(path: Path, *, is_checked: bool = True) -> Iterator[bool]:
    """Hold a lock file while the block runs; yield False if a process (also this one) already holds it.

    Without ``is_checked`` the path is from a label, of an image that somebody
    else made perhaps, and what is no lock file is not free; else it raises OSError.
    """
    try:
        descriptor = files.open_regular(path)
    except FileNotFoundError:  # no process has made it yet
        yield True
        return
    except (OSError, ValueError):
        if is_checked:
            raise
        yield False
        return
    with os.fdopen(descriptor, "rb"):
        yield _try_lock(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether a process, maybe this one, holds a lock file."""
    with hold_if_free(path) as free:
        return not free


def _try_lock(descriptor: int) -> bool:
    """Lock an open file without waiting; return False if another descriptor has it locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def user_lock(name: str) -> Path:
    """Return the path of a lock file that is the same for all processes of this user.

    It is in XDG_RUNTIME_DIR where that is this user's alone (after ``su`` it
    is another's), else in a folder of the machine's temporary one.  Raises
    UsageError if that folder is somebody else's, or a link.
    """
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if runtime.is_absolute() and _is_users_alone(runtime):
        folder = runtime / "itb"
    else:
        folder = Path(tempfile.gettempdir()) / f"itb-{os.geteuid()}"
    try:
        ownership.own_folder(folder)
        if folder.is_symlink() or not _is_users_alone(folder):
            raise UsageError(f"{folder} is not a folder that only you can change")
    except (OSError, UsageError) as error:
        reason = error.message if isinstance(error, UsageError) else f"{folder}: {error.strerror}"
        private = '"$HOME"/.itb-locks'
        raise UsageError(
            f"{reason}; it is the place of your locks",
            hint=f"as its owner or root: rm -r {shlex.quote(str(folder))}; or choose another folder: "
            f"mkdir -m 700 {private}; export XDG_RUNTIME_DIR={private}",
        ) from None
    return folder / f"{name}.lock"


def _is_users_alone(folder: Path) -> bool:
    """Return whether a folder is there, belongs to this user, and nobody else may write there."""
    try:
        status = folder.stat()
    except OSError:
        return False
    return folder.is_dir() and status.st_uid == os.geteuid() and not status.st_mode & 0o022

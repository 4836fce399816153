"""Reading a token from a file somebody else writes, without being fooled."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from itb.tokens.request import SIZE_LIMIT, AcquireError, Cause


def read_private(path: Path, *, what: str, cause: Cause = Cause.CONFIGURATION) -> str:
    """Return the text of a file that is ours alone, without the line end at its end.

    It must be a regular file, no symbolic link, owned by this user, closed
    to group and others, short, and the same before and after it was read.
    Raises AcquireError of ``cause`` saying which of these it is not.
    """

    def refuse(reason: str, hint: str = "") -> AcquireError:
        return AcquireError(f"{what} {path} {reason}", cause=cause, hint=hint)

    if not path.is_absolute():
        raise refuse("is not an absolute path")
    try:
        # Not blocking: a FIFO nobody writes to would hang the run.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise refuse("does not exist") from None
    except OSError as error:
        if path.is_symlink():
            raise refuse("is a symbolic link") from None
        raise refuse(f"cannot be read: {error.strerror}") from None
    try:
        before = os.fstat(descriptor)
        problem = _problem(before)
        if problem:
            raise refuse(problem, f"chmod 600 {path}" if "mode" in problem else "")
        data = os.read(descriptor, SIZE_LIMIT + 1)  # a regular file of this size comes in one piece
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if len(data) > SIZE_LIMIT:
        raise refuse(f"is larger than {SIZE_LIMIT} bytes")
    if _identity(before) != _identity(after) or not _still_there(path, before):
        raise refuse("was replaced while it was read", "write a temporary file beside it and rename that")
    try:
        return data.decode("ascii").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise refuse("is not plain text") from None


def _problem(seen: os.stat_result) -> str:
    if not stat.S_ISREG(seen.st_mode):
        return "is not a regular file"
    if seen.st_uid != os.geteuid():
        return f"belongs to user {seen.st_uid}, not to {os.geteuid()} who runs itb"
    if stat.S_IMODE(seen.st_mode) & 0o077:
        return f"is open to others (mode {stat.S_IMODE(seen.st_mode):04o}; 0600 is expected)"
    return ""


def _identity(seen: os.stat_result) -> tuple[int, ...]:
    return (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns)


def _still_there(path: Path, seen: os.stat_result) -> bool:
    try:
        return _identity(path.lstat()) == _identity(seen)
    except FileNotFoundError:
        return False

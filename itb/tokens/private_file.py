"""Reading a token from a file that another program writes, if nobody else can read it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from itb.tokens.request import SIZE_LIMIT, AcquireCause, AcquireError


def read_private(path: Path, *, what: str, cause: AcquireCause = AcquireCause.CONFIGURATION) -> str:
    """Return the text of a file that only this user can access, without its last line end.

    It must be a regular file, no symbolic link, owned by this user, closed
    to group and others, short, and unchanged while it is read.  Raises
    AcquireError of ``cause`` saying which of these it is not.  ``what`` names
    the file in messages.
    """

    def refusal(reason: str, hint: str = "") -> AcquireError:
        return AcquireError(f"{what} {path} {reason}", cause=cause, hint=hint)

    if not path.is_absolute():
        raise refusal("is not an absolute path")
    try:
        # Opening a FIFO that nobody writes to would block without O_NONBLOCK.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise refusal("does not exist") from None
    except OSError as error:
        if path.is_symlink():
            raise refusal("is a symbolic link") from None
        raise refusal(f"cannot be read: {error.strerror}") from None
    try:
        before = os.fstat(descriptor)
        problem = _problem(before)
        if problem:
            raise refusal(problem, f"chmod 600 {path}" if "mode" in problem else "")
        data = os.read(descriptor, SIZE_LIMIT + 1)  # a regular file of this size comes in one piece
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if len(data) > SIZE_LIMIT:
        raise refusal(f"is larger than {SIZE_LIMIT} bytes")
    if _identity(before) != _identity(after) or not _is_unchanged(path, before):
        raise refusal("was replaced while it was read", "write a temporary file beside it and rename that")
    try:
        return data.decode("ascii").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise refusal("is not plain text") from None


def _problem(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_uid != os.geteuid():
        return f"belongs to user {status.st_uid}, not to {os.geteuid()} who runs itb"
    if stat.S_IMODE(status.st_mode) & 0o077:
        return f"is open to others (mode {stat.S_IMODE(status.st_mode):04o}; 0600 is expected)"
    return ""


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _is_unchanged(path: Path, status: os.stat_result) -> bool:
    try:
        return _identity(path.lstat()) == _identity(status)
    except FileNotFoundError:
        return False

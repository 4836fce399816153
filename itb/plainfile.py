"""Files of a run directory, opened only if they are files: a FIFO or a device in their place would never end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def opened(path: Path, flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
    """Return a descriptor of a regular file, links followed; OSError naming anything else."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, mode)  # a FIFO does not make it wait
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def read(path: Path) -> bytes:
    """Return the content of a regular file; OSError for anything else."""
    with os.fdopen(opened(path), "rb") as file:
        return file.read()


def append(path: Path, text: str) -> None:
    """Add text to a regular file, which is made if need be; OSError for anything else."""
    with os.fdopen(opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as file:
        file.write(text.encode(errors="replace"))

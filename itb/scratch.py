"""Folders that hold something secret for a moment, outside of any run; they name the process they belong to."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "itb-scratch-"


@contextmanager
def folder() -> Iterator[Path]:
    """A private folder (0700) that goes with the block."""
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as directory:
        yield Path(directory)


def remove_leftovers() -> list[str]:
    """Remove the folders of this user's processes that were killed; return their paths."""
    gone = []
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = path.name.removeprefix(_PREFIX).partition("-")[0]
        ours = not path.is_symlink() and path.is_dir() and path.stat().st_uid == os.getuid()
        if ours and pid.isdigit() and not _lives(int(pid)):
            shutil.rmtree(path, ignore_errors=True)
            gone.append(str(path))
    return gone


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

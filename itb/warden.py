"""A process that outlives itb by a moment: it ends what itb has started, should itb be killed outright.

itb tells it each process group that begins and ends.  When itb is gone, by
whatever way, the kernel closes the pipe between them; what still lives then
gets TERM and, seconds later, KILL.  It is a few lines of shell, since there is
one for as long as a run lasts, and started without Python's ``subprocess``,
which is for commands whose output somebody reads.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SCRIPT = """
cd /
trap '' INT TERM HUP
live=' '
while read -r sign group; do
    case $sign in
        +) live="$live$group " ;;
        -) live="${live%% "$group" *} ${live#* "$group" }" ;;
    esac
done
[ -n "${live# }" ] || exit 0
for group in $live; do kill -s TERM -- "-$group"; done 2>/dev/null
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    alive=
    for group in $live; do kill -s 0 -- "-$group" && alive=yes; done 2>/dev/null
    [ -n "$alive" ] || exit 0
    sleep 0.1
done
for group in $live; do kill -s KILL -- "-$group"; done 2>/dev/null
"""

_NAME = "itb-warden"
_PATIENCE = 5.0  # seconds a warden takes at most, and some

_lock = threading.Lock()
_pipe = -1  # where the process on duty reads from


@contextmanager
def on_duty() -> Iterator[None]:
    """Have what is started within the block ended, should this process be killed."""
    global _pipe  # noqa: PLW0603 - there is one per process, as there is one table of processes
    if _pipe >= 0:
        yield
        return
    reading, writing = os.pipe()
    quiet = os.open(os.devnull, os.O_WRONLY)
    try:
        pid = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", _SCRIPT, _NAME, str(os.getpid())],
            {"PATH": os.environ.get("PATH", os.defpath)},  # all else may be a secret
            file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0), (os.POSIX_SPAWN_DUP2, quiet, 1),
                          (os.POSIX_SPAWN_DUP2, quiet, 2)],
            setsid=True,
        )  # fmt: skip
    except OSError:  # no shell, no process to be had: the rest will say so better
        os.close(writing)
        yield
        return
    finally:
        os.close(reading)
        os.close(quiet)
    _pipe = writing
    try:
        yield
    finally:
        with _lock:
            _pipe = -1
            os.close(writing)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def wait_for_others() -> None:
    """Wait until what other itb processes had started, and that were killed just now, has been ended.

    Who removes things earlier may miss what is being made at that moment.
    """
    deadline = time.monotonic() + _PATIENCE
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            words = (path / "cmdline").read_bytes().split(b"\0")
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if len(words) > 4 and words[3] == _NAME.encode() and int(words[4]) != parent:
                ended = os.pidfd_open(int(path.name))
                try:
                    select.select([ended], [], [], max(0.0, deadline - time.monotonic()))
                finally:
                    os.close(ended)


def begins(group: int) -> None:
    """A process group has begun."""
    _tell("+", group)


def ended(group: int) -> None:
    """A process group has ended."""
    _tell("-", group)


def _tell(sign: str, group: int) -> None:
    with _lock, suppress(OSError):  # one that was killed itself cannot be told
        if _pipe >= 0:
            os.write(_pipe, f"{sign} {group}\n".encode())

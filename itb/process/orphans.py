"""Finding and ending the processes that a command has started, none of which may outlive it.

A process belongs to a command if its environment has the command's mark, if
its parent belongs to the command, or if it is in the session of one that does:
so neither setsid nor a double fork escapes, nor a process that ignores TERM.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_MAX_LISTED = 60  # processes


@dataclass(frozen=True)
class _ProcessInfo:
    pid: int
    parent: int
    session: int
    state: str
    ticks: int


def list_processes(group: int, mark: str) -> str:
    """List the processes of a command that runs: id, parent, state, age in seconds, command line."""
    uptime = _seconds_up()
    lines = []
    for process in sorted(_processes_of(group, mark), key=lambda item: item.pid)[:_MAX_LISTED]:
        cmdline = _read(_PROC / str(process.pid) / "cmdline").replace(b"\0", b" ").decode("utf-8", "replace")
        seconds = uptime - process.ticks / os.sysconf("SC_CLK_TCK")
        status = f"{process.pid:7} {process.parent:7} {process.state} {seconds:6.0f} s"
        lines.append(f"{status}  {cmdline.strip()[:160]}")
    return "\n".join(lines)


def kill_processes(group: int, mark: str, *, patience: float = 5.0) -> None:
    """Kill all processes of a command, also those that appear meanwhile, for at most ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while living := [item for item in _processes_of(group, mark) if item.state != "Z"]:
        for process in living:
            _kill(process.pid)
        if time.monotonic() > deadline:
            return


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _processes_of(group: int, mark: str) -> list[_ProcessInfo]:
    """Return the command's processes; none where there is no /proc."""
    processes = {item.pid: item for item in map(_read_process, _pids()) if item is not None}
    pids = {pid for pid, item in processes.items() if item.session == group or (mark and _has_mark(pid, mark))}
    pids.discard(os.getpid())
    has_grown = True
    while has_grown:
        more = {pid for pid, item in processes.items() if item.parent in pids or item.session in pids} - pids
        more.discard(os.getpid())
        pids |= more
        has_grown = bool(more)
    return [processes[pid] for pid in pids]


def _pids() -> list[int]:
    return [int(item.name) for item in _PROC.glob("[0-9]*")] if _PROC.is_dir() else []


def _read_process(pid: int) -> _ProcessInfo | None:
    fields = _read(_PROC / str(pid) / "stat").rpartition(b")")[2].split()
    if len(fields) < 20:
        return None
    state, parent, _, session = fields[:4]  # proc(5): from the third field on
    return _ProcessInfo(pid, int(parent), int(session), state.decode(), int(fields[19]))


def _has_mark(pid: int, mark: str) -> bool:
    return mark.encode() in _read(_PROC / str(pid) / "environ").split(b"\0")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended, or is somebody else's
        return b""


def _seconds_up() -> float:
    return float(_read(_PROC / "uptime").split()[:1][0] or 0) if _PROC.is_dir() else 0.0

_GUARD_SCRIPT = """
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

_GUARD_NAME = "itb-orphans"
_PATIENCE = 5.0  # seconds to wait for a guard, a little more than it takes at most

_lock = threading.Lock()
_guard_pipe = -1  # write end of the pipe that the guard reads from; -1 without one


@contextmanager
def guard() -> Iterator[None]:
    """Run a guard while the block runs: a process that ends this one's commands in case this one is killed."""
    global _guard_pipe  # noqa: PLW0603 - there is one per process, as there is one table of processes
    if _guard_pipe >= 0:
        yield
        return
    reading, writing = os.pipe()
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        pid = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", _GUARD_SCRIPT, _GUARD_NAME, str(os.getpid())],
            {"PATH": os.environ.get("PATH", os.defpath)},  # other variables may be secrets
            file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0), (os.POSIX_SPAWN_DUP2, null, 1),
                          (os.POSIX_SPAWN_DUP2, null, 2)],
            setsid=True,
        )  # fmt: skip
    except OSError:  # no shell or no free process: the next command fails with a better message
        os.close(writing)
        yield
        return
    finally:
        os.close(reading)
        os.close(null)
    _guard_pipe = writing
    try:
        yield
    finally:
        with _lock:
            _guard_pipe = -1
            os.close(writing)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def wait_for_other_guards() -> None:
    """Wait until the guards of itb processes that were just killed have ended the commands of these.

    A removal that begins earlier may miss containers that such a command is creating.
    """
    deadline = time.monotonic() + _PATIENCE
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            argv = (path / "cmdline").read_bytes().split(b"\0")
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if len(argv) > 4 and argv[3] == _GUARD_NAME.encode() and int(argv[4]) != parent:
                descriptor = os.pidfd_open(int(path.name))
                try:
                    select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
                finally:
                    os.close(descriptor)


def register(group: int) -> None:
    """Tell the guard that a process group has begun."""
    _tell_guard("+", group)


def unregister(group: int) -> None:
    """Tell the guard that a process group has ended."""
    _tell_guard("-", group)


def _tell_guard(sign: str, group: int) -> None:
    with _lock, suppress(OSError):  # a guard that was killed itself
        if _guard_pipe >= 0:
            os.write(_guard_pipe, f"{sign} {group}\n".encode())

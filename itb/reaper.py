"""Processes that a command started and that must not outlive it: what they are, and their end.

A process is the command's if it carries the command's mark in its
environment, is a child of one that does, or is in a session of one: so that
neither setsid nor a double fork gets away, nor what ignores TERM.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_SHOWN = 60  # processes listed


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    session: int
    state: str
    ticks: int


def doing(group: int, mark: str) -> str:
    """List the processes of a command that is still at work: id, parent, state, seconds, command line."""
    up = _seconds_up()
    lines = []
    for process in sorted(_ours(group, mark), key=lambda item: item.pid)[:_SHOWN]:
        words = _read(_PROC / str(process.pid) / "cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()
        seconds = up - process.ticks / os.sysconf("SC_CLK_TCK")
        lines.append(f"{process.pid:7} {process.parent:7} {process.state} {seconds:6.0f} s  {words[:160]}")
    return "\n".join(lines)


def end(group: int, mark: str, *, patience: float = 5.0) -> None:
    """Kill every process of a command that is left; those that appear meanwhile too."""
    deadline = time.monotonic() + patience
    while left := [item for item in _ours(group, mark) if item.state != "Z"]:
        for process in left:
            _kill(process.pid)
        if time.monotonic() > deadline:
            return


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _ours(group: int, mark: str) -> list[_Process]:
    """The command's processes: none where there is no /proc."""
    every = {item.pid: item for item in map(_process, _pids()) if item is not None}
    found = {pid for pid, item in every.items() if item.session == group or (mark and _has(pid, mark))}
    found.discard(os.getpid())
    grown = True
    while grown:
        more = {pid for pid, item in every.items() if item.parent in found or item.session in found} - found
        more.discard(os.getpid())
        found |= more
        grown = bool(more)
    return [every[pid] for pid in found]


def _pids() -> list[int]:
    return [int(item.name) for item in _PROC.glob("[0-9]*")] if _PROC.is_dir() else []


def _process(pid: int) -> _Process | None:
    fields = _read(_PROC / str(pid) / "stat").rpartition(b")")[2].split()
    if len(fields) < 20:
        return None
    state, parent, _, session = fields[:4]  # proc(5): from the third field on
    return _Process(pid, int(parent), int(session), state.decode(), int(fields[19]))


def _has(pid: int, mark: str) -> bool:
    return mark.encode() in _read(_PROC / str(pid) / "environ").split(b"\0")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended, or is somebody else's
        return b""


def _seconds_up() -> float:
    return float(_read(_PROC / "uptime").split()[:1][0] or 0) if _PROC.is_dir() else 0.0

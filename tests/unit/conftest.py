"""The closed door: a unit test that starts a process or opens a socket fails, whatever code tried it."""

from __future__ import annotations

import _posixsubprocess
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

_DOORS = {
    subprocess.Popen: ["__init__"],
    socket.socket: ["__init__"],
    # What multiprocessing and subprocess end in, had they not been asked before.
    _posixsubprocess: ["fork_exec"],
    os: ["system", "fork", "forkpty", "posix_spawn", "posix_spawnp", "execv", "execve"],
}


def _refuse(*args: object, **options: object) -> NoReturn:
    pytest.fail(f"a unit test tried to start a process or open a socket: {args[1:2] or args}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Close the door for a test of this folder and for its fixtures, those of its module and session too."""
    if not item.path.is_relative_to(Path(__file__).parent):  # pytest asks every conftest.py for every test
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        for owner, names in _DOORS.items():
            for name in names:
                patch.setattr(owner, name, _refuse)
        return (yield)

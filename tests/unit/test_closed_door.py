"""No unit test starts a process or opens a socket: neither itself nor in a fixture of any scope."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import threading

import pytest

# Module and name, looked up when a try is made: by then the door is closed.
TRIES: dict[str, tuple[object, str, tuple[object, ...]]] = {
    "subprocess": (subprocess, "run", (["true"],)),
    "system": (os, "system", ("true",)),
    "popen": (os, "popen", ("true",)),
    "fork": (os, "fork", ()),
    "spawn": (os, "spawnlp", (os.P_WAIT, "true", "true")),
    "posix_spawn": (os, "posix_spawn", ("/bin/true", ["true"], {})),
    "exec": (os, "execlp", ("true", "true")),
    "multiprocessing": (multiprocessing.get_context("spawn"), "Pool", (1,)),
    "socket": (socket, "socket", ()),
    "connection": (socket, "create_connection", (("localhost", 9),)),
    "server": (socket, "create_server", (("localhost", 0),)),
    "pair": (socket, "socketpair", ()),
}


@pytest.fixture(scope="module")
def refused() -> dict[str, str]:
    """What each way comes to in a fixture that lives longer than a test."""
    return {name: refusal(name) for name in TRIES}


def refusal(name: str) -> str:
    owner, function, arguments = TRIES[name]
    try:
        getattr(owner, function)(*arguments)
    except pytest.fail.Exception as error:
        return str(error)
    return "done"


@pytest.mark.parametrize("name", TRIES)
def test_no_way_out(name: str, refused: dict[str, str]) -> None:
    for answer in (refusal(name), refused[name]):
        assert "tried to start a process or open a socket" in answer


def test_nor_in_a_thread() -> None:
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(refusal("subprocess")))
    thread.start()
    thread.join()
    assert "tried to start a process" in answers[0]

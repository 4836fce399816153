"""Signals before there is a run: nothing has been made, nothing is left, and the exit code says why."""

from __future__ import annotations

import signal
import socket
import threading
from typing import Any

import pytest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_while_the_source_is_fetched(bench: Any, number: int) -> None:
    """A server that never answers: git is ended with itb, and no run directory stands about."""
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def never_answer() -> None:
            connection, _ = server.accept()
            asked.set()
            with connection:
                connection.recv(1 << 16)
                ended.wait(60)

        ended = threading.Event()
        threading.Thread(target=never_answer, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.git"
        process = bench.start("run", "--product", "pocketwms", "--source", url, "--cache", "cache")
        assert asked.wait(60), bench.said
        bench.kill(process, number)
        assert process.wait(240) == 130, bench.said
        ended.set()
    assert "Traceback" not in bench.said
    assert not bench.runs
    assert not bench.settled()

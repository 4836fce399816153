"""Time limits of processes that do not depend on how busy the machine is."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.process import runner

LimitsStartWhen = Callable[[Callable[[], object]], None]


@pytest.fixture
def limits_start_when(monkeypatch: pytest.MonkeyPatch) -> LimitsStartWhen:
    """Start the time limit of each process once a condition holds: ``limits_start_when(condition)``.

    A test with a limit of a second says something of the end of a process;
    how long a busy machine takes to begin it is not asked.
    """
    real = runner._has_ended

    def call(condition: Callable[[], object]) -> None:
        def has_ended(process: subprocess.Popen[bytes], timeout: float) -> bool:
            deadline = time.monotonic() + 120
            while process.poll() is None and not condition():
                assert time.monotonic() < deadline, f"the condition did not come: {process.args!r}"
                time.sleep(0.02)
            return real(process, timeout)

        monkeypatch.setattr(runner, "_has_ended", has_ended)

    return call


@pytest.fixture
def is_running() -> Callable[[str], bool]:
    """Tell whether a command line of the machine's is this text: ``is_running("sleep 4321")``."""

    def call(text: str) -> bool:
        wanted = text.replace(" ", "\0").encode()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if path.read_bytes().rstrip(b"\0") == wanted:
                    return True
            except OSError:
                continue  # it has ended
        return False

    return call

"""Timers that do not depend on how busy the machine is."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.unit.process.timers import ManualTimer


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[ManualTimer]:
    """Replace threading.Timer for a test; the list gets every timer that is made."""
    timers: list[ManualTimer] = []

    def make(*args: Any) -> ManualTimer:
        timers.append(ManualTimer(*args))
        return timers[-1]

    monkeypatch.setattr(threading, "Timer", make)
    return timers

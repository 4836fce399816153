"""Lock files: one process holds one; a process that waits is told so and can be interrupted."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from itb.errors import InterruptedRunError
from itb.util import filelock


def test_one_holds_the_other_waits_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    waiting, holding, stop = threading.Event(), threading.Event(), threading.Event()

    def hold_too() -> None:
        with filelock.hold(path, stop, waiting=waiting.set):
            holding.set()

    assert not filelock.is_held(path)
    with filelock.hold(path, stop, waiting=lambda: pytest.fail("nobody else holds it")):
        assert filelock.is_held(path)
        thread = threading.Thread(target=hold_too)
        thread.start()
        assert waiting.wait(60)
        assert not holding.is_set()
    thread.join(60)
    assert holding.is_set()
    assert not filelock.is_held(path)


def test_who_waits_can_be_interrupted(tmp_path: Path) -> None:
    path, stop = tmp_path / "lock", threading.Event()
    with filelock.hold(path, threading.Event()):
        threads_end = pytest.raises(InterruptedRunError, match="while another process held lock")
        with threads_end, filelock.hold(path, stop, waiting=stop.set):
            pytest.fail("somebody else holds it")
        assert filelock.is_held(path)


def test_a_lock_is_taken_only_if_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with filelock.hold_if_free(path) as free:
        assert free, "there is none"
        assert not path.exists()
    with filelock.hold(path, threading.Event()), filelock.hold_if_free(path) as free:
        assert not free
    with filelock.hold_if_free(path) as free:
        assert free
        assert filelock.is_held(path)
    assert not filelock.is_held(path)

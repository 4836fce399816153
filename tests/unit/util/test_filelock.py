"""Lock files: one process holds one; a process that waits is told for whom, has a limit and can be interrupted."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from itb.errors import InterruptedRunError, TestbedError, UsageError
from itb.util import filelock

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
NEIGHBOUR = 54321
MINUTE = 60.0


def test_one_holds_the_other_waits_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    waiting, holding, stop = threading.Event(), threading.Event(), threading.Event()

    def hold_too() -> None:
        with filelock.hold(path, stop, MINUTE, waiting=lambda _: waiting.set()):
            holding.set()

    assert not filelock.is_locked(path)
    with filelock.hold(path, stop, MINUTE, waiting=pytest.fail):
        assert filelock.is_locked(path)
        thread = threading.Thread(target=hold_too)
        thread.start()
        assert waiting.wait(60)
        assert not holding.is_set()
    thread.join(60)
    assert holding.is_set()
    assert not filelock.is_locked(path)


def test_who_waits_can_be_interrupted(tmp_path: Path) -> None:
    path, stop = tmp_path / "lock", threading.Event()
    with filelock.hold(path, threading.Event(), MINUTE):
        threads_end = pytest.raises(InterruptedRunError, match=f"while process {os.getpid()} held lock")
        with threads_end, filelock.hold(path, stop, MINUTE, waiting=lambda _: stop.set()):
            pytest.fail("somebody else holds it")
        assert filelock.is_locked(path)


def test_a_lock_is_taken_only_if_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with filelock.hold_if_free(path) as free:
        assert free, "there is none"
        assert not path.exists()
    with filelock.hold(path, threading.Event(), MINUTE), filelock.hold_if_free(path) as free:
        assert not free
    with filelock.hold_if_free(path) as free:
        assert free
        assert filelock.is_locked(path)
    assert not filelock.is_locked(path)


def test_what_a_label_names_and_is_no_lock_file_is_never_free(tmp_path: Path) -> None:
    """The label of somebody's image may name anything: cleaning up goes on, and takes nothing for its own."""
    pipe, circle = tmp_path / "pipe", tmp_path / "circle"
    os.mkfifo(pipe)
    circle.symlink_to(circle)
    for path in (tmp_path, pipe, circle, Path("/dev/null"), Path("/nul\0"), tmp_path / ("long" * 99)):
        with filelock.hold_if_free(path, is_checked=False) as free:
            assert not free, path


def test_who_waits_is_told_for_whom_and_not_for_ever(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lock"
    with filelock.hold(path, threading.Event(), MINUTE):
        too_long = pytest.raises(TestbedError, match=f"process {os.getpid()} holds {path}, .* within 0 s")
        with too_long as caught, filelock.hold(path, threading.Event(), 0.2):
            pytest.fail("somebody else holds it")
    assert capsys.readouterr().err == f"itb: waiting for process {os.getpid()}, which holds {path}\n"
    assert f"fuser -v {path}" in caught.value.hint
    assert "wait-for-build" in caught.value.hint


def test_a_holder_that_says_nothing_of_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lock"
    with path.open("w") as file:
        file.write("\x1b[2J not a number")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(TestbedError), filelock.hold(path, threading.Event(), 0.0):
            pytest.fail("somebody else holds it")
    assert capsys.readouterr().err == f"itb: waiting for another process, which holds {path}\n"


@pytest.mark.parametrize("umask", [0, 0o077])
def test_nobody_else_can_hold_a_lock(tmp_path: Path, umask: int) -> None:
    """A neighbour's flock(2) on a file that he may read kept everybody waiting."""
    new, old = tmp_path / "new" / "lock", tmp_path / "lock"
    old.touch()
    old.chmod(0o666)
    before = os.umask(umask)
    try:
        for path in (new, old):
            with filelock.hold(path, threading.Event(), MINUTE):
                assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
    assert new.parent.stat().st_mode & 0o777 == 0o700


@ROOT
@pytest.mark.parametrize("theirs", ["lock", ""])
def test_lock_of_a_neighbour_is_refused(tmp_path: Path, theirs: str) -> None:
    path = tmp_path / "folder" / "lock"
    path.parent.mkdir(mode=0o755)
    path.touch()
    os.chown(path.parent / theirs, NEIGHBOUR, NEIGHBOUR)
    refused = pytest.raises(UsageError, match=f"belongs to user {NEIGHBOUR}")
    with refused, filelock.hold(path, threading.Event(), MINUTE):
        pytest.fail("its owner can hold it, too")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock")
    for look in (filelock.is_locked, lambda path: filelock.hold(path, threading.Event(), MINUTE).__enter__()):
        with pytest.raises(OSError, match="not a regular file"):
            look(tmp_path / "lock")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's folder of temporary files; there is no session that has one of its own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return folder


def test_locks_of_a_user_are_his_sessions(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = temporary / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert filelock.user_lock("x") == runtime / "itb" / "x.lock"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "run")
    assert filelock.user_lock("x") == temporary / f"itb-{os.geteuid()}" / "x.lock"
    assert (temporary / f"itb-{os.geteuid()}").stat().st_mode & 0o777 == 0o700


@ROOT
def test_session_of_somebody_else_has_none_of_ones_own(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after ``su``, which keeps the variable."""
    runtime = temporary / "run"
    runtime.mkdir(mode=0o700)
    os.chown(runtime, NEIGHBOUR, NEIGHBOUR)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert filelock.user_lock("x").parent == temporary / f"itb-{os.geteuid()}"
    assert list(runtime.iterdir()) == []


@ROOT
@pytest.mark.parametrize("kind", ["squatted", "link", "own link", "link to nowhere", "open", "file"])
def test_folder_of_locks_that_a_neighbour_made_first(temporary: Path, kind: str) -> None:
    folder, elsewhere = temporary / f"itb-{os.geteuid()}", temporary.parent / "elsewhere"
    if "link" in kind:
        folder.symlink_to(elsewhere)
        if kind != "link to nowhere":
            elsewhere.mkdir(mode=0o700)
    elif kind == "file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o777 if kind == "open" else 0o755)
    if not kind.startswith("own"):
        os.chown(folder, NEIGHBOUR, NEIGHBOUR, follow_symlinks=False)
    with pytest.raises(UsageError, match="it is the place of your locks") as caught:
        filelock.user_lock("x")
    assert f"rm -r {folder}" in caught.value.hint
    assert "export XDG_RUNTIME_DIR=" in caught.value.hint
    assert not elsewhere.exists() or list(elsewhere.iterdir()) == []

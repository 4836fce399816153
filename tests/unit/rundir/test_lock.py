"""Who works on a run, and who did and is gone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from itb.errors import UsageError
from itb.rundir import lock


def test_one_at_a_time_by_name(tmp_path: Path) -> None:
    assert lock.holder(tmp_path) is None
    with lock.hold(tmp_path) as stale:
        assert stale is None
        owner = lock.holder(tmp_path)
        assert owner is not None
        assert owner.pid == os.getpid()
        with pytest.raises(UsageError, match=rf"worked on by process {os.getpid()} on .* \(since 20"):
            lock.hold(tmp_path).__enter__()
    assert lock.holder(tmp_path) is None


def test_who_ended_without_letting_go_is_named(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text(lock.LockOwner(pid=4711, host="here", since=1.0).model_dump_json())
    with lock.hold(tmp_path) as stale:
        assert str(stale) == "process 4711 on here (since 1970-01-01 00:00:01 UTC)"
    with lock.hold(tmp_path) as stale:
        assert stale is None


@pytest.mark.parametrize("damaged", ["", "{", "\x00\xff", '{"pid": "x"}'])
def test_damaged_lock_is_no_obstacle(tmp_path: Path, damaged: str) -> None:
    (tmp_path / ".lock").write_text(damaged)
    with lock.hold(tmp_path) as stale:
        assert stale is None


def test_holder_of_a_directory_that_was_removed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with lock.hold(folder):
        shutil.rmtree(folder)
        owner = lock.holder(folder)
        assert owner is not None
        assert owner.pid == os.getpid()
    assert lock.holder(folder) is None

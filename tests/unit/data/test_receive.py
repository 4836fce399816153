"""The program that takes published packages: its lock, which whoever may only read the packages cannot hold."""

from __future__ import annotations

import fcntl
import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

from itb.data import shipped


@pytest.fixture
def receive(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("receive", shipped.folder("build_ws") / "publish" / "receive.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    return module


def test_who_waits_for_the_lock_waits_a_while_only(receive: ModuleType, tmp_path: Path) -> None:
    with (
        receive.hold(tmp_path),
        pytest.raises(OSError, match=rf"process {os.getpid()} holds {tmp_path}/.itb-publish.lock, and"),
    ):
        receive.hold(tmp_path)
    receive.hold(tmp_path).close()


def test_lock_of_an_earlier_version_is_closed_to_readers(receive: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / ".itb-publish.lock"
    path.touch()
    path.chmod(0o644)
    receive.hold(tmp_path).close()
    assert path.stat().st_mode & 0o777 == 0o640
    with path.open() as reader:
        fcntl.flock(reader, fcntl.LOCK_EX)
        path.write_text("not a number")
        with pytest.raises(OSError, match="another process holds"):
            receive.hold(tmp_path)


def test_a_link_in_the_locks_place_is_not_followed(receive: ModuleType, tmp_path: Path) -> None:
    (tmp_path / ".itb-publish.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        receive.hold(tmp_path)
    assert not (tmp_path / "elsewhere").exists()

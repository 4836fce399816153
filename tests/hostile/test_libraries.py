"""What the libraries of itb would read besides: files of theirs that are code or name modules, in any home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from itb.errors import UsageError
from itb.process import ssh

ITB = str(Path(sys.executable).with_name("itb"))
NEIGHBOUR = 54321


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder whose ``.invoke.py`` and ``.fabric.py`` leave ``ran`` when they run."""
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    for name in (".invoke.py", ".fabric.py", "evil.py"):
        (tmp_path / "home" / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _list(home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("ITB_")}
    return subprocess.run(
        [ITB, "list"], cwd=home, env={**environ, **more}, check=False, capture_output=True, text=True,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_code_in_a_home(home: Path) -> None:
    """`itb list` ran ~/.invoke.py, also one of another user's (sudo and CI keep HOME)."""
    done = _list(home)
    assert not (home.parent / "ran").exists()
    assert done.returncode == 0, done.stderr


def test_module_that_a_file_of_invoke_names(home: Path) -> None:
    (home / ".invoke.py").unlink()
    (home / ".invoke.yaml").write_text("tasks: {executor_class: evil.Executor}\n")
    done = _list(home, PYTHONPATH=str(home))
    assert not (home.parent / "ran").exists()
    assert done.returncode == 0, done.stderr


def test_code_beside_the_configuration_of_ssh(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Host elsewhere\n  User somebody\n")
    assert ssh._connections("elsewhere")[-1].user == "somebody"
    assert not (home.parent / "ran").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_configuration_of_ssh_of_somebody_else(home: Path) -> None:
    """It names programs (ProxyCommand, Match exec); ssh itself refuses it."""
    file = home / ".ssh" / "config"
    file.write_text(f"Match exec 'touch {home.parent / 'ran'}'\n  User somebody\n")
    os.chown(file, NEIGHBOUR, NEIGHBOUR)
    with pytest.raises(UsageError, match=r"config belongs to"):
        ssh._connections("elsewhere")
    assert not (home.parent / "ran").exists()

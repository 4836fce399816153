"""The style of the repository itself: ruff, mypy strict, shellcheck on every script of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


def files() -> list[Path]:
    """Every file of the repository, new ones included, ignored ones not."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP, check=True, capture_output=True,
    )  # fmt: skip
    paths = [TOP / name.decode() for name in listed.stdout.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def is_bash(path: Path) -> bool:
    if path.suffix == ".sh":
        return True
    with path.open("rb") as file:
        line = file.readline(80)
    return line.startswith(b"#!") and line.rstrip().endswith((b"/bash", b"env bash", b"/sh"))


def tool(*argv: str) -> None:
    done = subprocess.run([sys.executable, "-m", *argv], cwd=TOP, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff() -> None:
    tool("ruff", "check", "--quiet", ".")


def test_types() -> None:
    tool("mypy", "--no-error-summary")


def test_shellcheck() -> None:
    scripts = [str(path) for path in files() if is_bash(path)]
    assert len(scripts) > 10
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [str(shellcheck), "--external-sources", "--source-path=SCRIPTDIR", *scripts],
        cwd=TOP, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder", ["itb", "tests"])
def test_size_of_files(folder: str) -> None:
    """A file that passes 400 lines is asking to be split by meaning."""
    long = {str(path.relative_to(TOP)): lines for path in (TOP / folder).rglob("*.py")
            if (lines := len(path.read_text().splitlines())) > 400}  # fmt: skip
    assert not long

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


def test_types(tmp_path: Path) -> None:
    # A cache of its own: two mypys at once spoil a common one.
    tool("mypy", "--no-error-summary", "--cache-dir", str(tmp_path))


def test_shellcheck() -> None:
    scripts = [str(path) for path in files() if is_bash(path)]
    assert len(scripts) > 10
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [str(shellcheck), "--external-sources", "--source-path=SCRIPTDIR", *scripts],
        cwd=TOP, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("folder", "limit"), [("itb", 400), ("build_ws", 400), ("tests", 500)])
def test_size_of_files(folder: str, limit: int) -> None:
    """A file that passes its limit is asking to be split by meaning; tests are lists and may be longer."""
    lines = {path: len(path.read_text().splitlines()) for path in (TOP / folder).rglob("*.py")}
    assert not {str(path.relative_to(TOP)): number for path, number in lines.items() if number > limit}

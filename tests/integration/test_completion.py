"""Completion in a real bash, by the script that itb prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TYPE = """\
source <(itb --print-completion-script bash)
complete -p itb >&2
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_complete_itb itb "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("itb ru", ["run"]),
        ("itb platform b", ["build"]),
        ("itb platform ", ["build", "list", "remove", "show"]),
        ("itb platform build --e", ["--engine"]),
        ("itb help scen", ["scenarios"]),
        ("itb run --ref * --ke", ["--keep"]),
        ("itb run --ref ", []),
        ('itb run "', []),
    ],
)
def test_words_are_completed(line: str, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "a b").touch()  # what a wildcard on the line would stand for
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-c", TYPE, "bash", *line.split(" ")],
        cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == words
    assert done.stderr == "complete -o default -F _complete_itb itb\n"

"""The library of steps, as far as it needs no HTCondor: what is said of a job's end is true."""

from __future__ import annotations

import subprocess

import pytest

from itb.data import shipped


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("1\n0\n", "exit code 1 0"),
        ("undefined\nundefined\n", "2 without an exit code (removed or ended by a signal)"),
        ("3\nundefined\n", "exit code 3, 1 without an exit code (removed or ended by a signal)"),
        ("\n", ""),
    ],
)
def test_a_job_that_was_removed_has_no_exit_code(lines: str, words: str) -> None:
    library = shipped.folder("scenarios") / "lib" / "htcondor.sh"
    script = f'source "{library}"; exit_codes'
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], input=lines, capture_output=True, text=True, check=True
    )
    assert ended.stdout == f"{words}\n"

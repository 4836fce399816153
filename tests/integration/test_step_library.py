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


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ("WRITE failed!\nAUTHENTICATE:1004:Failed to authenticate using SCITOKENS\n", "AUTHENTICATE:1004:Failed"),
        ("Authorized: FALSE\nDENIED\n", "DENIED"),
        # A schedd that does not answer in time has refused nothing.
        ("AUTHENTICATE:1006:exceeded 1795954996 deadline during authentication\nAUTHENTICATE:1004:Failed\n", ""),
        ("SECMAN:2007:Failed to end classad message.\n", ""),
    ],
)
def test_only_an_answer_in_time_refuses_a_token(answer: str, line: str) -> None:
    library = shipped.folder("scenarios") / "lib" / "tokens.sh"
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f'source "{library}"; refusal "$1"', "x", answer],
        env={"PATH": "/usr/bin:/bin", "ITB_CE_ADDRESS": "ce:9619", "ITB_HOST_CE": "ce"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ended.stdout.startswith(line)
    assert bool(ended.stdout) == bool(line)

"""Lines that tell of something missing."""

from __future__ import annotations

import pytest

from itb.util.causes import first_missing, further_trouble

NO_FILE = "No such file or directory"


@pytest.mark.parametrize(
    "line",
    [
        f"grep: /etc/hello.conf: {NO_FILE}",
        f"/usr/bin/sed: can't read x\ngrep: x.conf: {NO_FILE}",
        f"cp: cannot stat 'etc/x.conf': {NO_FILE}",
        "chgrp: cannot access '/var/log/x': Permission denied",
        f"x.sh: line 6: /etc/rc.d/init.d/functions: {NO_FILE}",
    ],
)
def test_a_file_that_a_script_misses_is_further_trouble(line: str) -> None:
    assert further_trouble(f"begun\n{line}\nno key\n") == line.splitlines()[-1]


def test_what_a_shell_misses_comes_first() -> None:
    shell, program = f"x.sh: line 6: /functions: {NO_FILE}", f"grep: /etc/x: {NO_FILE}"
    assert further_trouble(f"{program}\n{shell}\n") == shell
    assert first_missing(f"{program}\n{shell}\n") == shell
    assert first_missing(program) == "", "a script may have foreseen it: it is no cause"


@pytest.mark.parametrize(
    "line",
    [
        f"2026-11-29 02:00:00 INFO cache: /x: {NO_FILE}",
        f"11/29/26 02:22:05 (pid:640) open: /x: {NO_FILE}",
        f"Error: reading from file /x: (errno 2) {NO_FILE}",
    ],
)
def test_lines_of_logs_are_none(line: str) -> None:
    assert further_trouble(line) == ""

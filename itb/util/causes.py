"""Lines of an output that tell why a program failed, whatever the program."""

from __future__ import annotations

import re

# As a shell says it of a script that it runs.
_MISSING_FILE = re.compile(r": line \d+: .*: (No such file or directory|command not found|Permission denied)$")
# As the programs that a script calls say it, though the script may have foreseen it.
_MISSED_BY_PROGRAM = re.compile(
    r"^[\w.+/-]+: (?:cannot [a-z ]+ )?['\"‘]?/?[^\s:]+: (No such file or directory|Permission denied)$"
)


def misses_file(line: str) -> bool:
    """Return whether a line is a shell's, of a file or a command that a script misses."""
    return bool(_MISSING_FILE.search(line))


def first_missing(text: str) -> str:
    """Return the first line that misses a file or a command, or the empty string.

    A shell script goes on without what it misses: later errors follow from the first.
    """
    return next((line.strip() for line in text.splitlines() if misses_file(line.rstrip())), "")


def further_trouble(text: str) -> str:
    """Return the first line of something missing, a shell's before other programs'; empty if nothing is."""
    by_programs = (line.strip() for line in text.splitlines() if _MISSED_BY_PROGRAM.match(line.strip()))
    return first_missing(text) or next(by_programs, "")

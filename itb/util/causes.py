"""Lines of any program's output that say why it failed: missing files and commands."""

from __future__ import annotations

import re

# The message of a shell about the script that it runs.
_OF_SHELL = re.compile(r": line \d+: ")
_MISSING = (": No such file or directory", ": command not found", ": Permission denied")
# The message of a program that a script calls; the script may have expected it.
_MISSED_BY_PROGRAM = re.compile(
    r"^[\w.+/-]+: (?:cannot [a-z ]+ )?['\"‘]?/?[^\s:]+: (No such file or directory|Permission denied)$"
)


def misses_file(line: str) -> bool:
    """Return whether a line is a shell's message about a missing file or command."""
    # The end first: one pattern for all of it would take hours for a long line without this end.
    end = next((end for end in _MISSING if line.endswith(end)), "")
    return bool(end and _OF_SHELL.search(line, 0, len(line) - len(end)))


def first_missing(text: str) -> str:
    """Return the first line about a missing file or command, or the empty string.

    A shell script continues without them, so later errors follow from the first.
    """
    return next((line.strip() for line in text.splitlines() if misses_file(line.rstrip())), "")


def further_trouble(text: str) -> str:
    """Return the first line about a missing file or command, a shell's before other programs'; empty if none."""
    by_programs = (line.strip() for line in text.splitlines() if _MISSED_BY_PROGRAM.match(line.strip()))
    return first_missing(text) or next(by_programs, "")

"""What is known of a process that has ended."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from itb.errors import TestbedError
from itb.process.limits import name_of_limit
from itb.util.redact import redact


@dataclass(frozen=True)
class Completed:
    """A process that has ended.

    ``returncode`` is negative for a signal; ``stdout`` and ``stderr`` are
    redacted text, cut in the middle when longer than 4 MiB (of ``stdout``
    ``left_out`` bytes then).  ``limit`` is the
    time it had (seconds), ``doing`` lists its processes as that was up.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False
    log: Path | None = None
    limit: float = 0.0
    doing: str = ""
    left_out: int = 0

    @property
    def ok(self) -> bool:
        """Return whether it ended by itself with status 0."""
        return self.returncode == 0 and not self.timed_out

    @property
    def output(self) -> str:
        """Return both streams, stdout first, and what it was doing if its time was up."""
        parts = (self.stdout.strip("\n"), self.stderr.strip("\n"), self.doing.strip("\n"))
        return "\n".join(part for part in parts if part)

    @property
    def reason(self) -> str:
        """Return how it ended in one line: the last line of its output, else its status."""
        if self.timed_out:
            return f"no end within {self.limit or self.seconds:.0f} s{name_of_limit(self.limit)}"
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.returncode} without a word"


class CommandError(TestbedError):
    """A command itb itself depends on failed; ``completed`` has the details."""

    def __init__(self, completed: Completed, *, about: str = "") -> None:
        command = about or shlex.join(completed.argv)
        super().__init__(f"{redact(command)}: {completed.reason}", evidence=completed.output, log=completed.log)
        self.completed = completed


@dataclass(frozen=True)
class Command:
    """A line of ``commands.log``."""

    started: float
    host: str
    argv: tuple[str, ...]
    returncode: int
    seconds: float

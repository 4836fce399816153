"""The result of a process that has ended, and the errors that are made of it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from itb.errors import E, LogLine, TestbedError
from itb.process.limits import name_of_limit
from itb.util import loglines
from itb.util.redact import redact


@dataclass(frozen=True)
class Completed:
    """The result of a process.

    ``returncode`` is negative for a signal; ``stdout`` and ``stderr`` are
    redacted text, without its middle if longer than 4 MiB (``left_out`` is the
    number of bytes missing in ``stdout``).  ``limit`` is its time limit in
    seconds; if that was reached, ``processes`` lists those that ran then.
    Its output begins at byte ``log_begins`` of ``log``; with ``log_is_cut``
    the log lacks the end.  ``cut_at`` is the number of bytes at which a longer
    output was cut and the process ended; 0 if it was not.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False
    log: Path | None = None
    limit: float = 0.0
    processes: str = ""
    left_out: int = 0
    log_begins: int = 0
    log_is_cut: bool = False
    cut_at: int = 0

    @property
    def ok(self) -> bool:
        """Return whether it ended with status 0 before any limit."""
        return self.returncode == 0 and not self.timed_out and not self.cut_at

    @property
    def output(self) -> str:
        """Return both streams, stdout first, and the processes that ran when its time was up."""
        parts = (self.stdout.strip("\n"), self.stderr.strip("\n"), self.processes.strip("\n"))
        return "\n".join(part for part in parts if part)

    @property
    def reason(self) -> str:
        """Return one line about its end: the limit that it reached, the last line of its output, or its status."""
        if self.timed_out:
            return f"no end within {self.limit or self.seconds:.0f} s{name_of_limit(self.limit)}"
        if self.cut_at:
            return f"ended, since its output has more than {self.cut_at:,} bytes"
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.returncode}, no output"

    def quote(self, text: str, *, first: bool = False) -> tuple[LogLine, ...]:
        """Return the last (or first) line of its output with this text, and its place in the log; () if none."""
        if not text.strip():
            return ()
        if self.log is None:
            return (LogLine(text),) if text in self.output else ()
        number = loglines.number_of(self.log, text, begin=self.log_begins, first=first)
        return (LogLine(text, self.log, number),) if number else ()

    def error(self, kind: type[E], message: str, *, quoted: str = "", hint: str = "") -> E:
        """Return an error about this process, with its output, its log and the line that the message quotes.

        ``quoted`` is that line; by default it is :attr:`reason`, if the message contains it.
        """
        quotes = self.quote(quoted or (self.reason if self.reason in message else ""))
        return kind(message, hint=hint, evidence=self.output, log=self.log, quotes=quotes)


class CommandError(TestbedError):
    """A command that itb itself depends on has failed; ``completed`` has the details."""

    def __init__(self, completed: Completed, *, about: str = "") -> None:
        command = about or shlex.join(completed.argv)
        super().__init__(
            f"{redact(command)}: {completed.reason}",
            evidence=completed.output,
            log=completed.log,
            quotes=completed.quote(completed.reason),
        )
        self.completed = completed


@dataclass(frozen=True)
class CommandRecord:
    """The record of a command, for a line of ``commands.log``."""

    started: float
    host: str
    argv: tuple[str, ...]
    returncode: int
    seconds: float

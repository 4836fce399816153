"""The exit codes, and an exception class for each but 0 and 3.

Every error names the object it is about in its message and, where there is
something to do, says what in its hint (printed as a second line).
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Self, TypeVar


class ExitCode(IntEnum):
    """An exit code of itb: its number, what it means and what it says of the candidate.

    Files and JSON hold plain numbers.
    """

    meaning: str
    blame: str

    PASSED = 0, "All cases passed", ""
    USAGE = 1, "The command line or a configuration file is wrong", ""
    SCENARIO = (
        2,
        "A scenario failed",
        "The candidate was installed and started; what it was asked to do, it did not do.",
    )
    NOTHING_RAN = 3, "Nothing was tried", ""
    BUILD = 4, "The candidate could not be built", "Nothing was installed: there were no RPMs to install."
    TESTBED = (
        5,
        "The test-bed failed, not the candidate",
        "This says nothing about the candidate: try again once the cause is removed.",
    )
    TOKEN = (
        6,
        "No usable token was obtained",
        "This says nothing about the candidate: it needs a token to be tried.",
    )
    INSTALL = (
        7,
        "The candidate did not install, verify or start",
        "The candidate's RPMs are there; on a bare host they do not become a working service.",
    )
    INTERRUPTED = (
        130,
        "The run was interrupted",
        "This says nothing about the candidate beyond the cases that had ended.",
    )

    def __new__(cls, value: int, meaning: str, blame: str) -> Self:
        """Return the member of a number, with its meaning and blame as attributes."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning, member.blame = meaning, blame
        return member

    @classmethod
    def find(cls, code: int) -> ExitCode | None:
        """Return the exit code of this number; None for one that itb never ends with."""
        return next((item for item in cls if item == code), None)

    @property
    def label(self) -> str:
        """Return the code's name in JUnit's attribute ``type``, such as ``nothing-ran``."""
        return self.name.lower().replace("_", "-")


def exit_code_table() -> str:
    """Return the documentation's table of exit codes, as Markdown."""
    lines = ["| code | in JUnit | meaning | what it says of the candidate |", "|---|---|---|---|"]
    lines += [f"| {code:d} | {code.label} | {code.meaning} | {code.blame} |" for code in ExitCode]
    return "\n".join(lines)


# Worst first: when several cells end differently, the first of these that
# occurred is the exit code of the whole.
SEVERITY = (
    ExitCode.INTERRUPTED, ExitCode.TESTBED, ExitCode.BUILD, ExitCode.INSTALL, ExitCode.TOKEN,
    ExitCode.SCENARIO, ExitCode.NOTHING_RAN, ExitCode.USAGE,
)  # fmt: skip
# The codes that blame the candidate.
PRODUCT_CODES = (ExitCode.SCENARIO, ExitCode.BUILD, ExitCode.INSTALL)


# A testbed's error of a host that has the candidate, and only of such: how its message begins, and instead of
# the exit code's own words, what it means and says of the candidate.
UNDECIDED = "undecided: the candidate's host"
HELD_UP = f"{UNDECIDED}s may have held it up"  # of a run, or a phase of it, that takes too long
UNDECIDED_MEANING = "The candidate's host failed, and it is undecided whether by the candidate"
UNDECIDED_BLAME = "The candidate's code runs on this host and may have caused it, or the test-bed did: look there."


@dataclass(frozen=True)
class LogLine:
    """A line that a message quotes; ``number`` counts from 1, 0 where only the text is known.

    ``log`` is a file of this machine or, with ``role``, of that role's host:
    the run directory gets it when logs are collected.  None: the line is in
    no log, only in the evidence.  ``also``: the line shows a further problem, not
    the one in the message.
    """

    text: str
    log: Path | None = None
    number: int = 0
    role: str = ""
    also: bool = False


class ItbError(Exception):
    """The base of every exception that itb raises on purpose.

    ``evidence`` is text for the body of a report, ``log`` the path of the
    complete output that the evidence was cut from, ``quotes`` are the log lines
    that the message quotes, the cause first.  With ``conclusive``, the cause is
    known for certain: the testbed need not be inspected for a better one.
    ``role`` is that of the host on which a command of itb failed, if one did.
    With ``apart_from_candidate``, no code of the candidate can have caused it,
    though it happened on its host.  With ``is_reported``, a test case reports
    the error already.
    """

    exit_code: ExitCode = ExitCode.USAGE
    conclusive = False
    apart_from_candidate = False
    is_reported = False
    role = ""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        evidence: str = "",
        log: Path | None = None,
        quotes: Sequence[LogLine] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.evidence = evidence
        self.log = log
        self.quotes = tuple(quotes)

    def turned_into(self, error_class: type[E], message: str) -> E:
        """Return an error of another class and message that keeps everything else that is known of this one."""
        error = error_class(message, hint=self.hint, evidence=self.evidence, log=self.log, quotes=self.quotes)
        error.conclusive, error.is_reported = self.conclusive, self.is_reported
        error.apart_from_candidate, error.role = self.apart_from_candidate, self.role
        return error


E = TypeVar("E", bound=ItbError)
_LONGEST_CRASH = 500  # characters of an unforeseen exception that a message shows


class UsageError(ItbError):
    """The command line or a configuration file is wrong, and nothing was started."""

    exit_code = ExitCode.USAGE


class ScenarioError(ItbError):
    """The installed product did not do what a scenario asks."""

    exit_code = ExitCode.SCENARIO


class BuildError(ItbError):
    """The candidate could not be built into RPMs."""

    exit_code = ExitCode.BUILD


class TestbedError(ItbError):
    """The machine, the engine, an image, the network or a disk failed, and not the product."""

    exit_code = ExitCode.TESTBED
    __test__ = False  # its name looks like a test class to pytest


class TokenError(ItbError):
    """No provider gave a usable token."""

    exit_code = ExitCode.TOKEN


class InstallError(ItbError):
    """The candidate did not install, verify, configure or start."""

    exit_code = ExitCode.INSTALL


class InterruptedRunError(ItbError):
    """A signal ended the run."""

    exit_code = ExitCode.INTERRUPTED


def as_itb_error(error: Exception) -> ItbError:
    """Return an ItbError as it is, any other exception as a TestbedError: it says nothing about the candidate."""
    if isinstance(error, ItbError):
        return error
    if isinstance(error, OSError):
        return TestbedError(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    text = "".join(traceback.format_exception(error))
    return TestbedError(f"itb itself failed: {repr(error)[:_LONGEST_CRASH]}", evidence=text)


# Errors of these classes blame the product; all others the testbed.
PRODUCT_ERRORS = (ScenarioError, BuildError, InstallError)


def worst(codes: list[int]) -> int:
    """Return the exit code that stands for all of ``codes``: the worst, or 0 if all are 0."""
    bad = [code for code in codes if code]
    if not bad:
        return ExitCode.PASSED
    severity: tuple[int, ...] = SEVERITY
    return min(bad, key=lambda code: severity.index(code) if code in severity else -1)


def run_exit_code(codes: list[int], *, is_tried: bool) -> int:
    """Return the exit code of a run by those of its cases: the worst; 3 if all are 0 and nothing was tried."""
    return worst(codes) or (ExitCode.PASSED if is_tried else ExitCode.NOTHING_RAN)

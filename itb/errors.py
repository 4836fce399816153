"""One exception class per exit code of the contract.

Every error names the object it is about in its message and, where there is
something to do, says what in its hint (printed as a second line).
"""

from __future__ import annotations

from pathlib import Path

# Worst first: when several cells end differently, the first of these that
# occurred is the exit code of the whole (reports/README.md).
SEVERITY = (130, 5, 4, 7, 6, 2, 3, 1)


class ItbError(Exception):
    """Base of everything itb raises on purpose.

    ``evidence`` is text that belongs in a report's body; ``log`` the path of
    the complete output it was cut from; ``sure`` that no host has a part in
    it, so that looking at the testbed would find no better cause.
    """

    exit_code = 1
    sure = False

    def __init__(self, message: str, *, hint: str = "", evidence: str = "", log: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.evidence = evidence
        self.log = log


class UsageError(ItbError):
    """The command line or a configuration file is wrong; nothing was started."""

    exit_code = 1


class ScenarioError(ItbError):
    """The installed product did not do what a scenario asks."""

    exit_code = 2


class NothingRanError(ItbError):
    """Every scenario was skipped or none was selected."""

    exit_code = 3


class BuildError(ItbError):
    """The candidate could not be built into RPMs."""

    exit_code = 4


class TestbedError(ItbError):
    """The machine, engine, image, network or disk failed: not the product."""

    exit_code = 5
    __test__ = False  # its name looks like a test class to pytest


class TokenError(ItbError):
    """No usable token was to be had."""

    exit_code = 6


class InstallError(ItbError):
    """The candidate did not install, verify, configure or start."""

    exit_code = 7


class InterruptedRunError(ItbError):
    """A signal ended the run."""

    exit_code = 130


# Failures of these kinds speak of the product; all others of the testbed.
PRODUCT_ERRORS = (ScenarioError, BuildError, InstallError)


def worst(codes: list[int]) -> int:
    """Return the exit code that stands for all of ``codes`` (0 if all are 0)."""
    bad = [code for code in codes if code]
    return min(bad, key=lambda code: SEVERITY.index(code) if code in SEVERITY else -1) if bad else 0

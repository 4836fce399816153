"""What a product's scenarios made of each defect: found it, found something, or let it pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from itb.defects.kinds import Made
from itb.errors import PRODUCT_CODES, ExitCode
from itb.model import Case, Record


class Caught(StrEnum):
    """Whether the scenarios caught a defect."""

    YES = "caught"
    ELSEWHERE = "caught, cause not named"
    NO = "let pass"
    UNDECIDED = "undecided"  # the run says nothing of the candidate
    NOT_MADE = "not tried"


class DefectOutcome(Record):
    """A defect and what became of it; ``title`` is what was wrong, ``cause`` what the run reported first."""

    name: str
    title: str
    caught: Caught
    cause: str = ""
    run: str = ""
    seconds: float = 0.0


def judge(name: str, made: Made, cases: Iterable[Case], code: int, *, cause: str) -> DefectOutcome:
    """Return what a run with an exit code and these cases made of a defect; ``cause`` is its verdict's reason."""
    caught = Caught.UNDECIDED
    if code == ExitCode.PASSED:
        caught = Caught.NO
    elif code in PRODUCT_CODES:
        reasons = [cause, *(f"{case.name}: {case.message}" for case in cases if case.is_bad)]
        is_named = any(word in reason for word in made.words for reason in reasons)
        caught = Caught.YES if is_named else Caught.ELSEWHERE
    return DefectOutcome(name=name, title=made.title, caught=caught, cause=cause)


def exit_code(outcomes: Sequence[DefectOutcome]) -> ExitCode:
    """Return the exit code of all: 2 if a defect passed, 5 if it is not known of one, 3 if none was tried."""
    seen = {outcome.caught for outcome in outcomes}
    if Caught.NO in seen:
        return ExitCode.SCENARIO
    if Caught.UNDECIDED in seen:
        return ExitCode.TESTBED
    return ExitCode.NOTHING_RAN if seen <= {Caught.NOT_MADE} else ExitCode.PASSED


def summary(outcomes: Sequence[DefectOutcome]) -> str:
    """Return the outcomes in one line of figures."""
    counts = {kind: sum(outcome.caught is kind for outcome in outcomes) for kind in Caught}
    tried = len(outcomes) - counts[Caught.NOT_MADE]
    figures = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return f"{tried} defects tried: {figures}"

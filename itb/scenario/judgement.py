"""Decides the result of a try of a step: passed, failed or skipped, why, and who is at fault."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from itb.config.scenario import Step
from itb.errors import LogLine, ScenarioError, TokenError
from itb.model import Outcome, Remark
from itb.process.result import Completed
from itb.scenario.results import SubResult, SubResults
from itb.scenario.step import StepOutput
from itb.util import loglines

SKIP = 77  # exit status that means "cannot be tried here" (automake, autopkgtest)

_PLACE = re.compile(r"\((/[^\s():]{1,200}):(\d{1,9})\)")


@dataclass
class TryResult:
    """The result of one try of a step; ``results`` are its checks, ``completed`` the process that ran it.

    ``by_checks``: it failed for the sake of checks alone, which are cases of
    their own; ``times`` says how often, if more than once.
    """

    outcome: Outcome
    message: str
    evidence: str = ""
    results: SubResults = field(default_factory=SubResults)
    quotes: Sequence[LogLine] = ()
    by_checks: bool = False
    times: str = ""
    remark: Remark | None = None
    completed: Completed | None = None

    @property
    def of_checks(self) -> str:
        """Return the message of a step whose checks failed."""
        share = f"{len(self.results.failed)} of its {len(self.results.items)} checks failed{self.times}"
        return f"ran to its end; {share}, each reported as a case of its own"

    def quotes_of(self, check: SubResult) -> Sequence[LogLine]:
        """Return where the message of a check is: in its result file, or in what the step printed."""
        if check.source:
            found = (loglines.number_of(check.source, text) for text in (check.message, check.name))
            number = next(filter(None, found), 0)
            return (LogLine(check.message, check.source, number),) if number else ()
        return (self.completed.quote(check.message) or self.completed.quote(check.name)) if self.completed else ()


@dataclass(frozen=True)
class Diagnosis:
    """What is to be said of a failure beyond its own words, and whose fault it is."""

    kind: type[ScenarioError | TokenError] = ScenarioError
    before: str = ""
    after: str = ""
    evidence: str = ""
    quotes: Sequence[LogLine] = ()

    def error(
        self, message: str, evidence: str, quotes: Sequence[LogLine], log: Path | None
    ) -> ScenarioError | TokenError:
        """Return the error of a failure with this message and evidence; what logs name is quoted first."""
        return self.kind(
            f"{self.before}{message}{self.after}",
            evidence=f"{self.evidence}{evidence}",
            log=log,
            quotes=(*self.quotes, *quotes),
        )


def evaluate_try(step_output: StepOutput, results: SubResults, *, role: str = "") -> TryResult:
    """Return the result of a try, from its exit status and its sub-results; ``role`` is that of its host."""
    completed, last_line = step_output.completed, step_output.last_line
    empty = completed.ok and results.skipped and not results.items and not results.problem
    if completed.returncode == SKIP or empty:
        reason = results.skipped or last_line or "skipped without a reason"
        return TryResult(Outcome.SKIPPED, reason, results=results)
    failed, waited, quoted = results.failed, step_output.waited, last_line
    by_checks = False
    if completed.ok and not step_output.entered:
        message = "step.sh did not run on this host, although the command ended with exit status 0"
    elif completed.timed_out:
        message = f"no end within {completed.limit:g} s" + (f"; last: {last_line}" if last_line else "")
    elif results.problem:
        message, quoted = results.problem, results.problem
    elif failed:
        more = f" (and {len(failed) - 1} more of {len(results.items)})" if len(failed) > 1 else ""
        message, by_checks = f"{failed[0].name}: {failed[0].message}{more}", True
    elif not completed.ok:
        message = last_line or f"exit status {completed.returncode} without a word"
    else:
        listed = f", {len(results.items)} of them listed" if results.left_out else ""
        summary = f"{len(results.items) + results.left_out} checks{listed}" if results.items else last_line
        message = "; ".join(part for part in (waited, summary) if part)
        return TryResult(Outcome.PASSED, message, results=results)
    return TryResult(
        Outcome.FAILED,
        f"{waited}: {message}" if waited else message,
        step_output.evidence,
        results,
        quotes=(*_named_places(message, role), *(completed.quote(quoted) or completed.quote(last_line))),
        by_checks=by_checks,
        completed=completed,
    )


def _named_places(message: str, role: str) -> list[LogLine]:
    """Return the lines of logs on a role's host that a step's reason names, as (FILE:LINE)."""
    places = _PLACE.findall(message) if role else []
    return [LogLine("", Path(path), int(number), role=role) for path, number in places]


def apply_known_failure(step: Step, result: TryResult, *, today: str = "") -> TryResult:
    """Apply a step's ``known_failure``: excused up to its date, and never silently."""
    known_failure = step.known_failure
    if known_failure is None or result.outcome is Outcome.SKIPPED:
        return result
    now = today or datetime.now(UTC).date().isoformat()
    until = known_failure.until.isoformat()
    if result.outcome is Outcome.PASSED:
        result.message = f"passed, but known_failure is declared until {until} ({known_failure.reason}): remove it"
    elif now > until:
        result.message += f" (known failure, but the exception expired on {until}: {known_failure.reason})"
    else:
        result.message = f"known failure until {until}: {known_failure.reason}; this time: {result.message}"
        result.outcome, result.remark = Outcome.SKIPPED, Remark.KNOWN_FAILURE
        result.results.items = [_as_known_failure(item, known_failure.reason) for item in result.results.items]
    return result


def _as_known_failure(sub_result: SubResult, reason: str) -> SubResult:
    if sub_result.outcome is not Outcome.FAILED:
        return sub_result
    message = f"known failure: {reason}; {sub_result.message}"
    return SubResult(sub_result.name, Outcome.SKIPPED, message, "", sub_result.seconds)

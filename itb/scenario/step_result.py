"""Decides the result of a step: passed, failed or skipped, and why."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from itb.config.scenario import KnownFailure, Step
from itb.errors import LogLine, ScenarioError, TokenError
from itb.model import Outcome, Remark
from itb.process.result import Completed
from itb.scenario.check_results import CheckResult, CheckResults
from itb.scenario.step import StepOutput
from itb.util import loglines

SKIP_STATUS = 77  # exit status that means "cannot be tried here" (automake, autopkgtest)

# As last_words in scenarios/lib/units.sh prints why a unit is not up.
_LAST_WORDS = re.compile(r"(?:^|: )[\w@.-]+ is (?:inactive|failed|activating|deactivating)(?: \([\w-]+\))?: ")
_EXCEPTION = re.compile(r"\b[A-Z]\w*(Error|Exception): \S")
_PLACE = re.compile(r"\((/[^\s():]{1,200}):(\d{1,9})\)")


@dataclass
class StepResult:
    """The result of a step or of one try of it; ``completed`` is the process that ran it.

    ``gave_up`` says how long a step was polled without success, ``note`` how
    often a flaky step failed.  ``only_checks_failed``: the step itself ran to
    its end; its checks are cases of their own.
    """

    outcome: Outcome
    message: str
    evidence: str = ""
    checks: CheckResults = field(default_factory=CheckResults)
    quotes: Sequence[LogLine] = ()
    gave_up: str = ""
    only_checks_failed: bool = False
    note: str = ""
    remark: Remark | None = None
    completed: Completed | None = None

    @property
    def full_message(self) -> str:
        """Return the message with ``gave_up`` and the note after it."""
        return self.add_remarks(self.message)

    def add_remarks(self, message: str) -> str:
        """Return a message with ``gave_up`` and the note after it."""
        return "; ".join(filter(None, [message, self.gave_up])) + self.note

    @property
    def names_cause(self) -> bool:
        """Return whether the message has a program's exception, or a unit's last words: logs know no better."""
        return bool(_EXCEPTION.search(self.message) or _LAST_WORDS.search(self.message))

    @property
    def checks_message(self) -> str:
        """Return the message of a step of which only checks failed."""
        count = f"{len(self.checks.failed)} of its {len(self.checks.items)} checks failed{self.note}"
        return f"ran to its end; {count}, each reported as a case of its own"

    def quotes_of(self, check: CheckResult) -> Sequence[LogLine]:
        """Return the line that has the message of a check, of its result file or of the step's output."""
        if check.source:
            numbers = (loglines.number_of(check.source, text) for text in (check.message, check.name))
            number = next(filter(None, numbers), 0)
            return (LogLine(check.message, check.source, number),) if number else ()
        return (self.completed.quote(check.message) or self.completed.quote(check.name)) if self.completed else ()


@dataclass(frozen=True)
class FailureExplanation:
    """What is known of a failed step beyond its own output, to be put before and after its message.

    ``error_class`` says who is at fault: the product, or the token.
    """

    error_class: type[ScenarioError | TokenError] = ScenarioError
    before: str = ""
    after: str = ""
    evidence: str = ""
    quotes: Sequence[LogLine] = ()

    def explain(self, message: str) -> str:
        """Return a message with the explanation before and after it."""
        return f"{self.before}{message}{self.after}"

    def error(
        self, message: str, evidence: str, quotes: Sequence[LogLine], log: Path | None
    ) -> ScenarioError | TokenError:
        """Return the error of the failure; the lines that the explanation quotes come first."""
        return self.error_class(
            message,
            evidence=f"{self.evidence}{evidence}",
            log=log,
            quotes=(*self.quotes, *quotes),
        )


def evaluate_try(step_output: StepOutput, checks: CheckResults, *, role: str = "") -> StepResult:
    """Return the result of a try from its exit status and its checks; ``role`` is that of its host."""
    completed, last_line = step_output.completed, step_output.last_line
    empty = completed.ok and checks.skipped and not checks.items and not checks.problem
    if completed.returncode == SKIP_STATUS or empty:
        reason = checks.skipped or last_line or "skipped without a reason"
        return StepResult(Outcome.SKIPPED, reason, checks=checks)
    failed, quoted = checks.failed, last_line
    only_checks_failed = False
    if completed.ok and not step_output.entered:
        message = "step.sh did not run on this host, although the command ended with exit status 0"
    elif completed.timed_out:
        message = f"no end within {completed.limit:g} s" + (f"; last: {last_line}" if last_line else "")
    elif checks.problem:
        said = "" if completed.ok else step_output.last_error
        message, quoted = f"{checks.problem}: {said}" if said else checks.problem, said or checks.problem
    elif failed:
        more = f" (and {len(failed) - 1} more of {len(checks.items)})" if len(failed) > 1 else ""
        message, only_checks_failed = f"{failed[0].name}: {failed[0].message}{more}", True
    elif not completed.ok:
        message = last_line or f"exit status {completed.returncode}, no output"
    else:
        listed = f", {len(checks.items)} of them listed" if checks.left_out else ""
        summary = f"{len(checks.items) + checks.left_out} checks{listed}" if checks.items else last_line
        message = "; ".join(filter(None, [step_output.time_to_pass, summary]))
        return StepResult(Outcome.PASSED, message, checks=checks)
    return StepResult(
        Outcome.FAILED,
        message,
        step_output.evidence,
        checks,
        quotes=(*_named_places(message, role), *(completed.quote(quoted) or completed.quote(last_line))),
        gave_up=step_output.gave_up,
        only_checks_failed=only_checks_failed,
        completed=completed,
    )


def _named_places(message: str, role: str) -> list[LogLine]:
    """Return the lines of logs on a role's host that a step's message names as (FILE:LINE)."""
    places = _PLACE.findall(message) if role else []
    return [LogLine("", Path(path), int(number), role=role) for path, number in places]


def apply_known_failure(step: Step, result: StepResult, *, today: str = "") -> StepResult:
    """Apply a step's ``known_failure``: until its date a failure becomes a skip, and the message says so."""
    known_failure = step.known_failure
    if known_failure is None or result.outcome is Outcome.SKIPPED:
        return result
    date = today or datetime.now(UTC).date().isoformat()
    until = known_failure.until.isoformat()
    if result.outcome is Outcome.PASSED:
        result.message = f"passed, but known_failure is declared until {until} ({known_failure.reason}): remove it"
    elif date > until:
        result.note += f" (known failure, but the exception expired on {until}: {known_failure.reason})"
    else:
        result.message = f"known failure until {until}: {known_failure.reason}; this time: {result.full_message}"
        result.gave_up = result.note = ""
        result.outcome, result.remark = Outcome.SKIPPED, Remark.KNOWN_FAILURE
        result.checks.items = [_as_known_failure(check, known_failure.reason) for check in result.checks.items]
    return result


def apply_known_failures(checks: CheckResults, known: Mapping[str, KnownFailure], *, today: str = "") -> None:
    """Apply known failures, by names of checks or patterns of them: until its date such a failure is a skip."""
    date = today or datetime.now(UTC).date().isoformat()
    for number, check in enumerate(checks.items):
        names = [name for name in known if name == check.name or fnmatch.fnmatchcase(check.name, name)]
        if not names or check.outcome is Outcome.SKIPPED:
            continue
        failure = known[names[0]]
        until = failure.until.isoformat()
        if check.outcome is Outcome.PASSED:
            message = f"passed, but is a known failure until {until} ({failure.reason}): remove it"
            checks.items[number] = replace(check, message=message)
        elif date > until:
            message = f"{check.message} (known failure, but the exception expired on {until}: {failure.reason})"
            checks.items[number] = replace(check, message=message)
        else:
            message = f"known failure until {until}: {failure.reason}; this time: {check.message}"
            checks.items[number] = replace(check, outcome=Outcome.SKIPPED, message=message)


def apply_preparation(step: Step, result: StepResult) -> StepResult:
    """Make a skip of a failure of a step that only prepares: what fails of it is not the candidate's."""
    if step.preparation and result.outcome is Outcome.FAILED and not result.only_checks_failed:
        result.message = f"cannot be prepared: {result.full_message}"
        result.gave_up = result.note = ""
        result.outcome = Outcome.SKIPPED
    return result


def _as_known_failure(check: CheckResult, reason: str) -> CheckResult:
    if check.outcome is not Outcome.FAILED:
        return check
    message = f"known failure: {reason}; {check.message}"
    return CheckResult(check.name, Outcome.SKIPPED, message, "", check.seconds)

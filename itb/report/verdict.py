"""The verdict on a run: its kind, its exit code, and how the run ended in words."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from itb.errors import PRODUCT_CODES, ExitCode, worst
from itb.model import Case, Outcome, Record
from itb.phase import Phase
from itb.report import cases as report_cases
from itb.report.cases import exit_code_of
from itb.report.facts import Facts, base_phase, is_running, phases
from itb.roles import CE

# What a whole run tries, in order.
PLANNED = (Phase.BUILD, Phase.SERVE, Phase.UP, Phase.INSTALL, Phase.TOKEN, Phase.TEST)


class Kind(StrEnum):
    """The kind of a verdict."""

    PASSED = "passed"
    PARTIAL = "partial"  # all that was asked for passed, but it was not a whole run
    FAILED = "failed"  # the candidate's fault
    ERROR = "error"  # the test-bed's, the token's or the tool's
    INTERRUPTED = "interrupted"
    NOTHING = "nothing"  # all skipped, or nothing asked for
    RUNNING = "running"


class Verdict(Record):
    """How a run ended, in words; ``seconds`` is wall time, paths are absolute.

    ``exit_code`` is None while the run goes on.  The numbers are of cases;
    ``skipped`` were decided not to be tried, ``unreached`` were not come to,
    ``not_reached`` names the phases of which none was.
    """

    run: str
    product: str
    platform: str
    kind: Kind
    exit_code: int | None
    headline: str
    reason: str = ""
    blame: str = ""
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    unreached: int = 0
    not_reached: tuple[str, ...] = ()
    seconds: float = 0.0
    junit: str = ""
    html: str = ""

    @property
    def good(self) -> bool:
        """Return whether nothing that was tried went wrong."""
        return self.kind in (Kind.PASSED, Kind.PARTIAL)


def judge(facts: Facts) -> Verdict:
    """Return the verdict on a run; what went wrong anywhere is never outvoted."""
    count = {outcome: sum(case.outcome is outcome for case in facts.cases) for outcome in Outcome}
    code = worst([facts.state.exit_code or ExitCode.PASSED, *(exit_code_of(case) for case in facts.cases)])
    kind, code = _kind(facts, code, tried=len(facts.cases) - count[Outcome.SKIPPED])
    missing = not_reached(facts, failed=kind not in (Kind.PASSED,))
    if kind is Kind.PASSED and missing:
        kind = Kind.PARTIAL
    known = ExitCode.known(code)
    return Verdict(
        run=facts.rundir.id,
        product=facts.state.product,
        platform=facts.state.platform,
        kind=kind,
        exit_code=None if kind is Kind.RUNNING else code,
        headline=_headline(facts, kind, code, count),
        reason=_reason(facts, kind, code),
        blame=known.blame if known else "",
        passed=count[Outcome.PASSED],
        failed=count[Outcome.FAILED],
        errors=count[Outcome.ERROR],
        skipped=count[Outcome.SKIPPED],
        unreached=len(facts.unreached),
        not_reached=missing,
        seconds=facts.seconds,
        junit=str(facts.rundir.junit),
        html=str(facts.rundir.html),
    )


def _kind(facts: Facts, code: int, *, tried: int) -> tuple[Kind, int]:
    """Return the kind of the verdict and the exit code that belongs to it; ``tried`` counts cases."""
    if not facts.ended:
        return (Kind.RUNNING, code) if is_running(facts.rundir) else (Kind.INTERRUPTED, ExitCode.INTERRUPTED)
    if code == ExitCode.INTERRUPTED:
        return Kind.INTERRUPTED, code
    if code == ExitCode.NOTHING_RAN or (code == ExitCode.PASSED and not tried):
        return Kind.NOTHING, ExitCode.NOTHING_RAN
    if code == ExitCode.PASSED:
        return Kind.PASSED, code
    return (Kind.FAILED if code in PRODUCT_CODES else Kind.ERROR), code


def not_reached(facts: Facts, *, failed: bool) -> tuple[str, ...]:
    """Return the phases that were never tried.

    In a run that went well, a gap before the last phase is a phase that was
    not needed (a product without a token).
    """
    # The CE is the platform's own: preparing it does not mean that the candidate came so far.
    reached, missing = set(phases(_candidates(facts.cases))), set(phases(_candidates(facts.unreached)))
    if facts.planned:
        return tuple(name for name in PLANNED if name in missing - reached)
    last = max((PLANNED.index(name) for name in reached if name in PLANNED), default=-1)
    return tuple(name for index, name in enumerate(PLANNED) if name not in reached and (failed or index > last))


def _candidates(cases: Iterable[Case]) -> list[Case]:
    return [case for case in cases if case.role != CE or base_phase(case) == Phase.TEST]


def find_deciding_case(facts: Facts, code: int | None) -> Case | None:
    """Return the case that decided the exit code: of those, the one that ended first."""
    return report_cases.find_deciding_case(facts.bad, code)


def sort_failures(facts: Facts, code: int | None) -> list[Case]:
    """Return the cases that went wrong, the one that decided the exit code first."""
    deciding_case = find_deciding_case(facts, code)
    return sorted(facts.bad, key=lambda case: case is not deciding_case)


def _headline(facts: Facts, kind: Kind, code: int, count: dict[Outcome, int]) -> str:
    passed, skipped = count[Outcome.PASSED], count[Outcome.SKIPPED]
    cases = f"{passed} case{'' if passed == 1 else 's'} passed"
    also = f", {skipped} skipped" if skipped else ""
    if kind is Kind.PASSED:
        return f"All {cases}{also}" if passed > 1 else f"{cases}{also}"
    if kind is Kind.PARTIAL:
        return f"{cases}{also}, and that is not the whole run"
    if kind is Kind.RUNNING:
        return f"Still going on: {cases} so far"
    if kind is Kind.NOTHING:
        others = cases.replace("case", "other case", 1)
        return f"No scenario was tried: {others}{also}" if passed else "Nothing was tried"
    if kind is Kind.INTERRUPTED and not facts.ended:
        unreadable = any(problem.startswith("run.json") for problem in facts.problems)
        reason = "run.json cannot be read" if unreadable else "its process is gone"
        return f"The run ended without a word: {reason}"
    known = ExitCode.known(code)
    return known.meaning if known else f"The run ended with exit code {code}"


def _reason(facts: Facts, kind: Kind, code: int) -> str:
    if kind in (Kind.PASSED, Kind.PARTIAL):
        return ""
    case = find_deciding_case(facts, code)
    if case is not None:
        return report_cases.sentence(case)
    return _why_nothing(facts) if kind is Kind.NOTHING else ""


def _why_nothing(facts: Facts) -> str:
    """Return which scenarios were not tried and why; of a run without any, why what there is was skipped."""
    skipped = [case for case in facts.cases if case.outcome is Outcome.SKIPPED]
    of_tests = [case for case in skipped if base_phase(case) == Phase.TEST]
    reasons: dict[str, list[str]] = {}
    for case in of_tests or skipped:
        subject = case.name.partition(":")[0] if of_tests else case.name
        reasons.setdefault(case.message or "no reason was given", []).append(subject)
    parts = [f"{', '.join(dict.fromkeys(names))}: {reason}" for reason, names in reasons.items()]
    return "; ".join(parts[:3]) or "no scenario was asked for"

"""Judges a run: the kind of its verdict, its exit code, and one sentence of reason."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from itb.errors import PRODUCT_CODES, UNDECIDED, UNDECIDED_BLAME, UNDECIDED_MEANING, ExitCode, run_exit_code
from itb.model import Case, Outcome, Record
from itb.phase import Phase
from itb.report.case_list import exit_code_of, failure_sentence, find_deciding_case
from itb.report.run_data import RunData, base_phase, phases
from itb.roles import CE

# The phases that a verdict names where a run did not reach them, in order.
MAIN_PHASES = (Phase.BUILD, Phase.SERVE, Phase.UP, Phase.INSTALL, Phase.TOKEN, Phase.TEST)


class VerdictKind(StrEnum):
    """The kind of a verdict."""

    PASSED = "passed"
    PARTIAL = "partial"  # everything that was tried passed, but not all phases were reached
    FAILED = "failed"  # the candidate's fault
    ERROR = "error"  # the testbed's, the token's or itb's own fault
    INTERRUPTED = "interrupted"
    NOTHING = "nothing"  # every case was skipped, or there was none
    RUNNING = "running"


class Verdict(Record):
    """How a run ended and why; ``seconds`` is wall time, paths are absolute.

    ``exit_code`` is None while the run goes on.  The integers count cases:
    ``unreached`` those that were planned and not reached.
    ``phases_not_reached`` names the phases of which no case was reached.
    """

    run: str
    product: str
    platform: str
    kind: VerdictKind
    exit_code: int | None
    headline: str
    reason: str = ""
    blame: str = ""
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    unreached: int = 0
    phases_not_reached: tuple[str, ...] = ()
    seconds: float = 0.0
    junit: str = ""
    html: str = ""

    @property
    def good(self) -> bool:
        """Return whether no case failed or was an error."""
        return self.kind in (VerdictKind.PASSED, VerdictKind.PARTIAL)


def judge(run_data: RunData) -> Verdict:
    """Return the verdict on a run: its worst case decides."""
    count = {outcome: sum(case.outcome is outcome for case in run_data.cases) for outcome in Outcome}
    codes = [run_data.state.exit_code or ExitCode.PASSED, *(exit_code_of(case) for case in run_data.cases)]
    is_tried = any(case.outcome is not Outcome.SKIPPED for case in run_data.cases)
    kind, code = _kind(run_data, run_exit_code(codes, is_tried=is_tried))
    unreached = find_unreached_phases(run_data, failed=kind not in (VerdictKind.PASSED,))
    if kind is VerdictKind.PASSED and unreached:
        kind = VerdictKind.PARTIAL
    exit_code = ExitCode.find(code)
    return Verdict(
        run=run_data.rundir.id,
        product=run_data.state.product,
        platform=run_data.state.platform,
        kind=kind,
        exit_code=None if kind is VerdictKind.RUNNING else code,
        headline=_headline(run_data, kind, code, count),
        reason=_reason(run_data, kind, code),
        blame=UNDECIDED_BLAME if _is_undecided(run_data, code) else exit_code.blame if exit_code else "",
        passed=count[Outcome.PASSED],
        failed=count[Outcome.FAILED],
        errors=count[Outcome.ERROR],
        skipped=count[Outcome.SKIPPED],
        unreached=len(run_data.unreached_cases),
        phases_not_reached=unreached,
        seconds=run_data.seconds,
        junit=str(run_data.rundir.junit),
        html=str(run_data.rundir.html),
    )


def _kind(run_data: RunData, code: int) -> tuple[VerdictKind, int]:
    """Return the kind of the verdict and the exit code of the run: ``code``, or 130 if its process was killed."""
    if not run_data.has_ended:
        if run_data.rundir.is_locked():
            return VerdictKind.RUNNING, code
        return VerdictKind.INTERRUPTED, ExitCode.INTERRUPTED
    if code == ExitCode.INTERRUPTED:
        return VerdictKind.INTERRUPTED, code
    if code == ExitCode.NOTHING_RAN:
        return VerdictKind.NOTHING, code
    if code == ExitCode.PASSED:
        return VerdictKind.PASSED, code
    return (VerdictKind.FAILED if code in PRODUCT_CODES else VerdictKind.ERROR), code


def find_unreached_phases(run_data: RunData, *, failed: bool) -> tuple[str, ...]:
    """Return the main phases that the run did not reach.

    Where the planned cases are not known, a run that went well has not skipped a phase
    before its last one: it did not need it (a product without a token).
    """
    # The CE is the platform's: preparing it well does not mean that the candidate got this far.
    reached = set(phases(_without_ce_setup(run_data.cases)))
    unreached = set(phases(_without_ce_setup(run_data.unreached_cases)))
    if run_data.has_planned_cases:
        return tuple(name for name in MAIN_PHASES if name in unreached - reached)
    last = max((MAIN_PHASES.index(name) for name in reached if name in MAIN_PHASES), default=-1)
    after = MAIN_PHASES if failed else MAIN_PHASES[last + 1 :]
    return tuple(name for name in after if name not in reached)


def _without_ce_setup(cases: Iterable[Case]) -> list[Case]:
    return [case for case in cases if case.role != CE or case.is_bad or base_phase(case) == Phase.TEST]


def sort_failures(run_data: RunData, code: int | None) -> list[Case]:
    """Return the cases that failed or were errors, the one that decided the exit code first."""
    deciding_case = find_deciding_case(run_data.cases, code)
    return sorted(run_data.bad_cases, key=lambda case: case is not deciding_case)


def _headline(run_data: RunData, kind: VerdictKind, code: int, count: dict[Outcome, int]) -> str:
    passed, skipped = count[Outcome.PASSED], count[Outcome.SKIPPED]
    cases = f"{passed} case{'' if passed == 1 else 's'} passed"
    also = f", {skipped} skipped" if skipped else ""
    if kind is VerdictKind.PASSED:
        return f"All {cases}{also}" if passed > 1 else f"{cases}{also}"
    if kind is VerdictKind.PARTIAL:
        return f"{cases}{also}, and that is not the whole run"
    if kind is VerdictKind.RUNNING:
        return f"Still going on: {cases} so far"
    if kind is VerdictKind.NOTHING:
        others = cases.replace("case", "other case", 1)
        return f"No scenario was tried: {others}{also}" if passed else "Nothing was tried"
    if kind is VerdictKind.INTERRUPTED and not run_data.has_ended:
        unreadable = any(problem.startswith("run.json") for problem in run_data.problems)
        reason = "run.json cannot be read" if unreadable else "its process is gone"
        return f"The run ended without recording a result: {reason}"
    exit_code = ExitCode.find(code)
    meaning = exit_code.meaning if exit_code else f"The run ended with exit code {code}"
    return UNDECIDED_MEANING if _is_undecided(run_data, code) else meaning


def _is_undecided(run_data: RunData, code: int) -> bool:
    """Return whether what failed may be the candidate's doing, though a host of the testbed failed."""
    errors = [case for case in run_data.bad_cases if case.exit_code == ExitCode.TESTBED]
    return code == ExitCode.TESTBED and any(case.message.startswith(UNDECIDED) for case in errors)


def _reason(run_data: RunData, kind: VerdictKind, code: int) -> str:
    if kind in (VerdictKind.PASSED, VerdictKind.PARTIAL):
        return ""
    case = find_deciding_case(run_data.cases, code)
    if case is not None:
        return failure_sentence(case)
    return _why_nothing(run_data) if kind is VerdictKind.NOTHING else ""


def _why_nothing(run_data: RunData) -> str:
    """Return which scenarios were skipped and why; of a run without scenarios, which cases were."""
    skipped = [case for case in run_data.cases if case.outcome is Outcome.SKIPPED]
    scenario_cases = [case for case in skipped if base_phase(case) == Phase.TEST]
    reasons: dict[str, list[str]] = {}
    for case in scenario_cases or skipped:
        subject = case.name.partition(":")[0] if scenario_cases else case.name
        reasons.setdefault(case.message or "no reason was given", []).append(subject)
    parts = [f"{', '.join(dict.fromkeys(names))}: {reason}" for reason, names in reasons.items()]
    return "; ".join(parts[:3]) or "no scenario was asked for"

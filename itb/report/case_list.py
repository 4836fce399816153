"""Makes the list of a run's cases that reports show: one of each name, and those that the run did not reach.

So two runs of one product, platform and scenario set have the same names of
cases, whatever failed, was cached or took several attempts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from itb.errors import ExitCode, worst
from itb.model import Case, CaseKey, Outcome
from itb.phase import Phase
from itb.roles import ITB
from itb.rundir.case_history import RUN_END
from itb.rundir.directory import RunState


def exit_code_of(case: Case) -> int:
    """Return the exit code that a case alone would give the run."""
    if case.is_bad:
        return case.exit_code or (ExitCode.SCENARIO if case.outcome is Outcome.FAILED else ExitCode.TESTBED)
    return ExitCode.PASSED


def find_deciding_case(cases: Iterable[Case], code: int | None) -> Case | None:
    """Return the case that decided the exit code; of several, the one that ended first.

    Of an interrupted run it is the run's own case, which says what interrupted it.
    """
    bad = [case for case in cases if case.is_bad]
    deciding = [case for case in bad if exit_code_of(case) == code] or bad
    if code == ExitCode.INTERRUPTED:
        deciding = [case for case in deciding if case.key == RUN_END] or deciding
    return min(deciding, key=lambda case: case.ended, default=None)


_NO_SUBJECTS = frozenset({"a", "an", "the", "no", "every", "nothing", "what", "there", "it"})


def failure_sentence(case: Case) -> str:
    """Return in one sentence which role failed at what, and why, without what the message says already."""
    message = case.message or "no reason was given"
    names_role = case.role in ("", ITB) or message.startswith((f"host {case.role}:", f"{case.role}:", "the CE:"))
    first, _, rest = message.partition(" ")
    # Between cases, the message is all that is known; two sentences that begin with an article share no subject.
    is_same = bool(case.message and rest) and first == case.name.split()[0] and first.lower() not in _NO_SUBJECTS
    names_subject = case.phase == Phase.RUN or is_same
    parts = [] if names_role else [case.role]
    parts += [] if names_subject else [case.name]
    return ": ".join([*parts, message])


def merge_by_name(cases: Iterable[Case], replaced: Iterable[Case] = ()) -> list[Case]:
    """Return one case of each name, the worst of them, in order of start.

    ``replaced`` are cases of earlier attempts at the run that do not count any
    more: those that failed become earlier tries.
    """
    by_name: dict[CaseKey, list[Case]] = {}
    for case in cases:
        by_name.setdefault(case.key, []).append(case)
    earlier: dict[CaseKey, list[Case]] = {}
    for case in replaced:
        earlier.setdefault(case.key, []).append(case)
    merged = [_merge(same, earlier.get(key, ())) for key, same in by_name.items()]
    return sorted(merged, key=lambda case: case.started)


def _merge(cases: Sequence[Case], replaced: Sequence[Case]) -> Case:
    """Return one case for all of one name: the worst or, if none is bad, the last that was tried."""
    if len(cases) == 1 and not replaced:
        return cases[0]
    code = worst([exit_code_of(case) for case in cases])
    bad = [case for case in cases if case.is_bad and exit_code_of(case) == code]
    tried = [case for case in cases if case.outcome is not Outcome.SKIPPED]
    result = bad[0] if bad else (tried or cases)[-1]
    others = [case for case in (*replaced, *cases) if case is not result]
    tries = (*(each for case in others for each in case.bad_tries), *result.tries)
    message = result.message
    if not bad:
        message = "; ".join(dict.fromkeys(case.message for case in cases if case.message))
    seconds = sum(case.seconds for case in cases)
    return result.model_copy(update={"message": message, "tries": tries, "seconds": seconds})


def run_end(
    cases: Sequence[Case], planned: Sequence[CaseKey], state: RunState, *, ended: bool, is_running: bool
) -> list[Case]:
    """Return the case ``RUN_END`` of a run; none if it is still to come, or if other cases say why it is missing.

    If the run's exit code is bad and no case is, this case is an error.
    ``planned`` is empty where they are not known: older versions saved none.
    """
    recorded = [case for case in cases if case.key == RUN_END]
    others = [case for case in cases if case.key != RUN_END]
    if is_running or any(case.is_bad for case in recorded):
        return [case for case in recorded if case.is_bad]
    code = worst([state.exit_code or ExitCode.PASSED, *(exit_code_of(case) for case in others)])
    last = max(others, key=lambda case: case.ended, default=None)
    end = Case(
        **RUN_END._asdict(),
        outcome=Outcome.PASSED,
        message="; ".join(case.message for case in recorded),
        started=state.finished or (last.ended if last else state.started),
        seconds=sum(case.seconds for case in recorded),
    )
    if not any(case.is_bad for case in others):
        if code == ExitCode.PASSED and ended:
            reached = {case.key for case in others}
            if any(key not in reached for key in planned if key.phase not in _LAST_PHASES):
                return []
        elif code != ExitCode.NOTHING_RAN:
            return [_unexplained_end(end, code if ended else ExitCode.INTERRUPTED, last, ended=ended)]
        if all(case.outcome is Outcome.SKIPPED for case in others):
            update = {"outcome": Outcome.SKIPPED, "message": ExitCode.NOTHING_RAN.meaning}
            return [end.model_copy(update=update)]
    if RUN_END not in planned:
        return recorded
    # A whole run collects evidence however it went; a single command of one leaves that to itb down.
    concluded = all(key in {case.key for case in others} for key in planned if key.phase == Phase.EVIDENCE)
    return [end] if ended and concluded and code != ExitCode.INTERRUPTED else []


# The phases after the scenarios; where the hosts are kept, itb down does them later.
_LAST_PHASES = (Phase.EVIDENCE, Phase.DOWN, Phase.RUN)


def _unexplained_end(end: Case, code: int, last: Case | None, *, ended: bool) -> Case:
    exit_code = ExitCode.find(code)
    meaning = exit_code.meaning if exit_code else f"The run ended with exit code {code}"
    message = f"{meaning}: {'no case says why' if ended else 'its process ended without recording a result'}"
    if last:
        message += f"; the last case that ended: {_where(last)}: {last.name}"
    update = {"outcome": Outcome.ERROR, "message": message, "exit_code": code}
    return end.model_copy(update=update)


def make_unreached_cases(
    cases: Sequence[Case], planned: Sequence[CaseKey], state: RunState, *, is_running: bool
) -> list[Case]:
    """Return the planned cases that the run did not reach, skipped with that reason, in their order."""
    keys = {case.key for case in cases}
    end = max((case.ended for case in cases), default=state.started)
    reason = _why_not_reached(cases, state, is_running=is_running)
    return [
        Case(
            **key._asdict(),
            outcome=Outcome.SKIPPED,
            message="the hosts are kept" if state.kept and key.phase == Phase.DOWN else reason,
            started=end,
            seconds=0,
        )
        for key in planned
        if key not in keys
    ]


def _where(case: Case) -> str:
    return f"{case.phase} on {case.role}" if case.role else case.phase


def _why_not_reached(cases: Sequence[Case], state: RunState, *, is_running: bool) -> str:
    code = worst([state.exit_code or ExitCode.PASSED, *(exit_code_of(case) for case in cases)])
    if is_running:
        return "not reached yet"
    if (case := find_deciding_case(cases, code)) and case.key != RUN_END:
        return f"not reached: {failure_sentence(case)}"
    if case:
        return f"not reached: {case.message}"
    interrupted = code == ExitCode.INTERRUPTED
    return "not reached: the run was interrupted" if interrupted else "not reached: the run ended before this"

"""The result of a run in a few words and one line of cause, for lists of many runs."""

from __future__ import annotations

from itb.errors import ExitCode
from itb.report.run_data import read_outline
from itb.report.verdict import MAIN_PHASES, Verdict, VerdictKind, judge
from itb.rundir.directory import RunDir, RunResult, RunState
from itb.util.text import clean, one_line


def from_verdict(verdict: Verdict) -> RunResult:
    """Return the result of a run with this verdict."""
    return RunResult(kind=verdict.kind, where=_where(verdict), cause=one_line(clean(verdict.reason)))


def _where(verdict: Verdict) -> str:
    """Return what failed, or of a partial run the last phase that it reached."""
    if verdict.kind in (VerdictKind.FAILED, VerdictKind.ERROR) and verdict.exit_code is not None:
        code = ExitCode.find(verdict.exit_code)
        return code.label if code else f"exit code {verdict.exit_code}"
    if verdict.kind is VerdictKind.PARTIAL:
        return next((phase for phase in reversed(MAIN_PHASES) if phase not in verdict.phases_not_reached), "")
    return ""


def record(rundir: RunDir, verdict: Verdict) -> None:
    """Write the result of a run into ``run.json``; only the process that holds the run's lock may call it."""
    rundir.update(ended=from_verdict(verdict))


def read(rundir: RunDir, state: RunState) -> RunResult:
    """Return the result of a run, or that it goes on; reads its cases only where ``run.json`` has no result."""
    if rundir.is_locked(may_be_removed=False):
        unfinished = rundir.case_history().unfinished
        return RunResult(kind=VerdictKind.RUNNING, where=unfinished[-1].phase if unfinished else "")
    if state.ended and state.exit_code is not None:
        return state.ended
    verdict = judge(read_outline(rundir, state))
    result = from_verdict(verdict)
    return result if state.exit_code is not None else result.model_copy(update={"cause": verdict.headline})

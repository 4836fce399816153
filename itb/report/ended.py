"""What a run came to, in a few words and one line: for lists of many runs."""

from __future__ import annotations

from itb.errors import ExitCode
from itb.report.facts import outline
from itb.report.verdict import PLANNED, Kind, Verdict, judge
from itb.rundir.directory import Ended, RunDir, RunState
from itb.util.text import clean, one_line


def of_verdict(verdict: Verdict) -> Ended:
    """Return what a run with this verdict came to."""
    return Ended(kind=verdict.kind, at=_at(verdict), cause=one_line(clean(verdict.reason)))


def _at(verdict: Verdict) -> str:
    """Return what failed, or of a part of a run how far it came."""
    if verdict.kind in (Kind.FAILED, Kind.ERROR) and verdict.exit_code is not None:
        code = ExitCode.known(verdict.exit_code)
        return code.label if code else f"exit code {verdict.exit_code}"
    if verdict.kind is Kind.PARTIAL:
        return next((phase for phase in reversed(PLANNED) if phase not in verdict.not_reached), "")
    return ""


def record(rundir: RunDir, verdict: Verdict) -> None:
    """Write into ``run.json`` what the run came to; only for the process that holds the run's lock."""
    rundir.update(ended=of_verdict(verdict))


def of_run(rundir: RunDir, state: RunState) -> Ended:
    """Return what a run came to, or that it goes on; reads its cases only where ``run.json`` does not say."""
    if rundir.is_locked():
        unfinished = rundir.attempts().unfinished
        return Ended(kind=Kind.RUNNING, at=unfinished[-1].phase if unfinished else "")
    if state.ended and state.exit_code is not None:
        return state.ended
    verdict = judge(outline(rundir, state))
    ended = of_verdict(verdict)
    return ended if state.exit_code is not None else ended.model_copy(update={"cause": verdict.headline})

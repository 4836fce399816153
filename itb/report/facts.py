"""The facts of a run, gathered from its directory.

Everything a report shows comes through :func:`gather`, which removes secrets
and control characters once, so that no renderer can forget to.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from itb.errors import UsageError
from itb.model import (
    Build,
    Case,
    CaseKey,
    Commit,
    Installed,
    Notes,
    Record,
    Repo,
    TestbedHosts,
    Token,
    Try,
)
from itb.phase import Phase
from itb.report import cases as report_cases
from itb.rundir import values
from itb.rundir.cases import RUN_END, Attempts
from itb.rundir.directory import RunDir, RunState
from itb.rundir.values import Value
from itb.util import when
from itb.util.text import EVIDENCE_LIMIT, clean, cut, one_line

R = TypeVar("R", bound=Record)
_EVIDENCE_BOUND = EVIDENCE_LIMIT + 200  # characters, with the marks of what was left out when it was recorded
UNKNOWN_PRODUCT = "unknown product"  # of a run whose directory does not say


@dataclass(frozen=True)
class Facts:
    """All that is known of a run, safe to show; ``cases`` in order of start, one of each name.

    ``unreached`` are the planned cases that the run has not come to, skipped
    with that reason; ``planned`` says whether it is known which these are.
    ``problems`` says what could not be read; ``ended`` is false while the
    run goes on or when its process died.
    """

    rundir: RunDir
    state: RunState
    cases: tuple[Case, ...]
    notes: Notes
    commit: Commit | None
    build: Build | None
    repo: Repo | None
    testbed: TestbedHosts | None
    installed: Installed | None
    token: Token | None
    previous: Commit | None
    problems: tuple[str, ...]
    ended: bool
    unreached: tuple[Case, ...] = ()
    planned: bool = False
    resumed: tuple[str, ...] = ()  # when the run was taken up again, and what that replaced
    paused: float = 0.0  # seconds in which nobody worked on it
    entered: tuple[str, ...] = ()  # which hosts somebody entered by hand, and when

    @property
    def seconds(self) -> float:
        """Return the seconds from the run's start to its end, or to that of the last case so far, less pauses."""
        ends = [case.ended for case in self.cases]
        end = self.state.finished or max(ends, default=self.state.started)
        return max(0.0, end - self.state.started - self.paused)

    @property
    def bad(self) -> list[Case]:
        """Return the cases that failed or could not be tried properly, in order of start."""
        return [case for case in self.cases if case.is_bad]

    @property
    def all_cases(self) -> tuple[Case, ...]:
        """Return the cases of the run, in order of start, then those that it has not come to."""
        return (*self.cases, *self.unreached)


def gather(rundir: RunDir, notes: Notes | None = None, *, exit_code: int | None = None) -> Facts:
    """Return what is known of a run, whatever is missing; what cannot be read is among the problems.

    ``exit_code`` is how the run ends, from a caller that knows before
    ``run.json`` does.
    """
    problems: list[str] = []
    saved = functools.partial(_saved, rundir, problems)
    attempts = _attempts(rundir, problems)
    # What the last process began and did not end is cut off, unless that process is alive.
    is_held = is_running(rundir)
    ended_cases = map(clean_case, attempts.cases if is_held else (*attempts.cases, *attempts.unfinished))
    cases = report_cases.one_per_name(ended_cases, map(clean_case, attempts.replaced))
    build, commit, planned = saved(values.BUILD), saved(values.COMMIT), saved(values.PLANNED_CASES)
    entered = _entered(rundir, problems)
    state = clean_record(_state(rundir, commit, cases, problems))
    if exit_code is not None:
        state = state.model_copy(update={"exit_code": exit_code})
    ended = state.exit_code is not None or state.finished is not None
    keys = [clean_key(key) for key in planned.cases] if planned else []
    goes_on = is_held and not ended
    end = report_cases.run_end(cases, keys, state, ended=ended, is_running=goes_on)
    cases = [*(case for case in cases if case.key != RUN_END), *end]
    unreached = report_cases.not_reached(cases, keys, state, is_running=goes_on)
    return Facts(
        rundir=rundir,
        state=state,
        cases=tuple(cases),
        notes=clean_record(notes or Notes()),
        commit=commit or (build.commit if build else None),
        build=build,
        repo=saved(values.REPO),
        testbed=saved(values.TESTBED),
        installed=saved(values.INSTALLED),
        token=saved(values.TOKEN),
        previous=saved(values.PREVIOUS),
        problems=tuple(problems),
        ended=ended,
        unreached=tuple(map(clean_case, unreached)),
        planned=planned is not None,
        resumed=_resumptions(attempts),
        paused=attempts.paused,
        entered=entered,
    )


def _saved(rundir: RunDir, problems: list[str], key: Value[R]) -> R | None:
    """Return a value that the run has saved, fit for showing; None, and the problem told, if it is unreadable."""
    try:
        value = rundir.saved(key)
    except (UsageError, OSError) as error:
        problems.append(clean(f"{key.name}: {error}"))
        return None
    return clean_record(value) if value is not None else None


def outline(rundir: RunDir, state: RunState) -> Facts:
    """Return what a verdict needs of a run whose state is known; nothing is cleaned for showing."""
    attempts = _attempts(rundir, [])
    cut_off = () if rundir.is_locked() else attempts.unfinished
    return Facts(
        rundir=rundir,
        state=state,
        cases=tuple(report_cases.one_per_name((*attempts.cases, *cut_off), attempts.replaced)),
        notes=Notes(),
        commit=None,
        build=None,
        repo=None,
        testbed=None,
        installed=None,
        token=None,
        previous=None,
        problems=(),
        ended=state.exit_code is not None or state.finished is not None,
        paused=attempts.paused,
    )


def _attempts(rundir: RunDir, problems: list[str]) -> Attempts:
    """Return the cases of every attempt at the run; none, and a problem more, if they cannot be read."""
    try:
        return rundir.attempts()
    except OSError as error:
        problems.append(clean(f"cases.jsonl: {error}"))
        return Attempts()


def _state(rundir: RunDir, commit: Commit | None, cases: Sequence[Case], problems: list[str]) -> RunState:
    """Return the content of ``run.json``, or, where that cannot be read, what else tells of the run."""
    try:
        return rundir.state
    except (UsageError, OSError) as error:
        problems.append(clean(f"run.json: {error}"))
    words = rundir.id.split("-")
    return RunState(
        id=rundir.id,
        short="",
        product=commit.product if commit else (words[1] if len(words) > 3 else UNKNOWN_PRODUCT),
        platform=words[-1] if len(words) > 3 else "unknown platform",
        ref=commit.ref if commit else "",
        started=min((case.started for case in cases), default=_modified(rundir)),
    )


def _modified(rundir: RunDir) -> float:
    """Return when the run directory was changed; now if there is none."""
    return rundir.path.stat().st_mtime if rundir.path.exists() else time.time()


def _resumptions(attempts: Attempts) -> tuple[str, ...]:
    """Return a line that tells when a run was resumed and what that repeated; none if it never was."""
    times = [
        ("resumed " if process.resumed else "repeated in part ") + when.utc(process.at)
        for process in attempts.resumed
    ]
    if not times:
        return ()
    bad = [case for case in attempts.replaced if case.is_bad]
    names = ", ".join(dict.fromkeys(one_line(clean(f"{case.phase} {case.role}: {case.name}"), 80) for case in bad))
    repeated = f"; repeated, for it had not gone well: {one_line(names)}" if bad else ""
    return (f"{', '.join(times)}{repeated}",)


def _entered(rundir: RunDir, problems: list[str]) -> tuple[str, ...]:
    """Return a line for each host that somebody entered by hand."""
    times: dict[str, list[str]] = {}
    try:
        for entry in rundir.entries():
            times.setdefault(one_line(clean(entry.role), 100), []).append(when.utc(entry.at))
    except OSError as error:
        problems.append(clean(f"entered.jsonl: {error}"))
    return tuple(
        f"host {role} was entered by hand (itb shell) at {', '.join(when[:3])}{', ...' if when[3:] else ''}: "
        "what was tried on it since may rest on what somebody changed there"
        for role, when in times.items()
    )


def clean_record(record: R) -> R:
    """Return the record with every text in it cleaned."""
    return type(record).model_validate(_cleaned(record.model_dump()))


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(inner) for inner in value]
    return value


def clean_case(case: Case) -> Case:
    """Return a case as reports show it: one-line name and message, evidence of bounded size."""
    tries = tuple(each.model_copy(update=_clean_texts(each)) for each in case.tries)
    quotes = tuple(
        quote.model_copy(update={"file": clean(quote.file), "text": one_line(clean(quote.text))})
        for quote in case.quotes
    )
    update = {**clean_key(case.key)._asdict(), **_clean_texts(case), "tries": tries, "quotes": quotes}
    return case.model_copy(update=update)


def clean_key(key: CaseKey) -> CaseKey:
    """Return what names a case, as reports show it."""
    phase, role = one_line(clean(key.phase), 100) or Phase.RUN, one_line(clean(key.role), 100)
    return CaseKey(phase, role, one_line(clean(key.name), 300) or "unnamed")


def _clean_texts(record: Case | Try) -> dict[str, Any]:
    return {
        "message": one_line(clean(record.message)),
        "evidence": cut(clean(cut(record.evidence, _EVIDENCE_BOUND)), _EVIDENCE_BOUND),
        "log": clean(record.log),
        "seconds": max(0.0, record.seconds),
    }


def intervals(cases: Iterable[Case]) -> list[tuple[float, float]]:
    """Return when something of these cases went on, as (start, end), without overlaps, in order."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted((case.started, case.ended) for case in cases):
        if merged and start <= merged[-1][1] + 0.5:  # a shorter gap is no pause
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def busy_seconds(cases: Iterable[Case]) -> float:
    """Return the wall seconds during which something of these cases went on."""
    return sum(end - start for start, end in intervals(cases))


def base_phase(case: Case) -> str:
    """Return the phase of the contract a case belongs to: ``test`` of ``test.smoke``."""
    return case.phase.partition(".")[0]


# The phases in the order of the pipeline; what was done at the same time is told one after the other.
PIPELINE = (
    Phase.RESOLVE, Phase.PLATFORM, Phase.BUILD, Phase.SERVE, Phase.UP, Phase.INSTALL, Phase.CONFIGURE, Phase.START,
    Phase.TOKEN, Phase.TEST, Phase.RUN, Phase.EVIDENCE, Phase.DOWN,
)  # fmt: skip


def phases(cases: Iterable[Case], others: Iterable[str] = ()) -> list[str]:
    """Return the phases of cases, and ``others``, in the order of the pipeline; one it lacks comes last."""
    names = dict.fromkeys([*(base_phase(case) for case in cases), *others])
    return sorted(names, key=lambda name: [*PIPELINE, name].index(name))


def is_running(rundir: RunDir) -> bool:
    """Return whether a process holds the run's lock, this one included."""
    return rundir.is_held()

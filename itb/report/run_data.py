"""Reads from a run directory everything that reports show of the run.

:func:`read_run_data` removes secrets and control characters once, so that no
renderer can forget to.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from itb.config.trust import PRIVILEGED
from itb.errors import UsageError
from itb.isolation import Isolation
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
from itb.report import case_list
from itb.report.isolation_warnings import isolation_warnings
from itb.rundir import values
from itb.rundir.case_history import RUN_END, CaseHistory
from itb.rundir.directory import RunDir, RunState
from itb.rundir.values import ValueKey
from itb.util import when
from itb.util.text import EVIDENCE_LIMIT, clean, cut, one_line

R = TypeVar("R", bound=Record)
_EVIDENCE_BOUND = EVIDENCE_LIMIT + 200  # characters, with the marks of what was left out when it was recorded
UNKNOWN_PRODUCT = "unknown product"  # of a run whose directory does not say


@dataclass(frozen=True)
class RunData:
    """Everything that is known of a run, safe to show; ``cases`` in order of start, one of each name.

    ``unreached_cases`` are the planned cases that the run did not reach,
    skipped with that reason; ``has_planned_cases`` is false where the run has
    saved no planned cases.  ``problems`` says what could not be read; ``has_ended`` is
    false while the run goes on or if its process died.
    """

    rundir: RunDir
    state: RunState
    cases: tuple[Case, ...]
    notes: Notes
    commit: Commit | None
    build: Build | None
    repo: Repo | None
    testbed_hosts: TestbedHosts | None
    isolation: Isolation | None
    installed: Installed | None
    token: Token | None
    previous_commit: Commit | None
    problems: tuple[str, ...]
    has_ended: bool
    unreached_cases: tuple[Case, ...] = ()
    has_planned_cases: bool = False
    resumption_notes: tuple[str, ...] = ()  # when the run was resumed, and which cases that repeated
    paused_seconds: float = 0.0  # between one attempt and the next
    hand_entry_notes: tuple[str, ...] = ()  # which hosts somebody entered by hand, and when
    warnings: tuple[str, ...] = ()  # why the candidate may not be what it seems, or reach the machine

    @property
    def seconds(self) -> float:
        """Return the seconds from the run's start to its end, or to the end of its last case, less pauses."""
        ends = [case.ended for case in self.cases]
        end = self.state.finished or max(ends, default=self.state.started)
        return max(0.0, end - self.state.started - self.paused_seconds)

    @property
    def trust_note(self) -> str:
        """Return a line that names the level of trust where the user chose it; else nothing."""
        trust = self.state.trust
        return f"level of trust: {trust.text}" if trust and trust.level is not trust.reference else ""

    @property
    def bad_cases(self) -> list[Case]:
        """Return the cases that failed or were errors, in order of start."""
        return [case for case in self.cases if case.is_bad]

    @property
    def all_cases(self) -> tuple[Case, ...]:
        """Return the cases of the run in order of start, then those that it did not reach."""
        return (*self.cases, *self.unreached_cases)


def read_run_data(rundir: RunDir, notes: Notes | None = None, *, exit_code: int | None = None) -> RunData:
    """Return the data of a run; what is missing is None, and what cannot be read is named in ``problems``.

    ``exit_code`` takes the place of that in ``run.json``, for a caller that
    knows it before the file does.
    """
    problems: list[str] = []
    saved = functools.partial(_saved, rundir, problems)
    history = _case_history(rundir, problems)
    # Cases that the last process has not ended were cut off, unless that process is alive.
    is_locked = rundir.is_locked()
    ended_cases = map(clean_case, history.cases if is_locked else (*history.cases, *history.unfinished))
    cases = case_list.merge_by_name(ended_cases, map(clean_case, history.replaced))
    build, commit, planned = saved(values.BUILD), saved(values.COMMIT), saved(values.PLANNED_CASES)
    hand_entry_notes = _hand_entry_notes(rundir, problems)
    state = clean_record(_state(rundir, commit, cases, problems))
    if exit_code is not None:
        state = state.model_copy(update={"exit_code": exit_code})
    has_ended = state.exit_code is not None or state.finished is not None
    keys = [clean_key(key) for key in planned.cases] if planned else []
    goes_on = is_locked and not has_ended
    end = case_list.run_end(cases, keys, state, ended=has_ended, is_running=goes_on)
    cases = [*(case for case in cases if case.key != RUN_END), *end]
    unreached_cases = case_list.make_unreached_cases(cases, keys, state, is_running=goes_on)
    tested = commit or (build.commit if build else None)
    previous_commit = saved(values.PREVIOUS_COMMIT)
    isolation, token = saved(values.ISOLATION), saved(values.TOKEN)
    return RunData(
        rundir=rundir,
        state=state,
        cases=tuple(cases),
        notes=clean_record(notes or Notes()),
        commit=tested,
        build=build,
        repo=saved(values.REPO),
        testbed_hosts=saved(values.TESTBED),
        isolation=isolation,
        installed=saved(values.INSTALLED),
        token=token,
        previous_commit=previous_commit,
        problems=tuple(problems),
        has_ended=has_ended,
        unreached_cases=tuple(map(clean_case, unreached_cases)),
        has_planned_cases=planned is not None,
        resumption_notes=_resumption_notes(history),
        paused_seconds=history.paused,
        hand_entry_notes=hand_entry_notes,
        warnings=(*_warnings(tested, state, previous_commit), *isolation_warnings(isolation, token)),
    )


def _saved(rundir: RunDir, problems: list[str], key: ValueKey[R]) -> R | None:
    """Return a value that the run has saved, safe to show; None, with a problem added, if it is unreadable."""
    try:
        value = rundir.load(key)
    except (UsageError, OSError) as error:
        problems.append(clean(f"{key.name}: {error}"))
        return None
    return clean_record(value) if value is not None else None


def read_outline(rundir: RunDir, state: RunState) -> RunData:
    """Return only the data that a verdict needs, of a run whose state is known; texts are not cleaned."""
    history = _case_history(rundir, [])
    cut_off = () if rundir.is_locked(may_be_removed=False) else history.unfinished
    return RunData(
        rundir=rundir,
        state=state,
        cases=tuple(case_list.merge_by_name((*history.cases, *cut_off), history.replaced)),
        notes=Notes(),
        commit=None,
        build=None,
        repo=None,
        testbed_hosts=None,
        isolation=None,
        installed=None,
        token=None,
        previous_commit=None,
        problems=(),
        has_ended=state.exit_code is not None or state.finished is not None,
        paused_seconds=history.paused,
    )


def _case_history(rundir: RunDir, problems: list[str]) -> CaseHistory:
    """Return the cases of all attempts at the run; none, with a problem added, if they cannot be read."""
    try:
        return rundir.case_history()
    except OSError as error:
        problems.append(clean(f"cases.jsonl: {error}"))
        return CaseHistory()


def _state(rundir: RunDir, commit: Commit | None, cases: Sequence[Case], problems: list[str]) -> RunState:
    """Return the content of ``run.json``; where it cannot be read, what its name and cases tell instead."""
    try:
        return rundir.state
    except (UsageError, OSError) as error:
        problems.append(clean(f"run.json: {error}"))
    parts = rundir.id.split("-")
    return RunState(
        id=rundir.id,
        short_id="",
        product=commit.product if commit else (parts[1] if len(parts) > 3 else UNKNOWN_PRODUCT),
        platform=parts[-1] if len(parts) > 3 else "unknown platform",
        ref=commit.ref if commit else "",
        started=min((case.started for case in cases), default=_modified(rundir)),
    )


def _modified(rundir: RunDir) -> float:
    """Return when the run directory was modified; the present time if there is none."""
    return rundir.path.stat().st_mtime if rundir.path.exists() else time.time()


def _resumption_notes(history: CaseHistory) -> tuple[str, ...]:
    """Return a line saying when a run was resumed and what that repeated; none if it was not resumed."""
    times = [
        ("resumed " if attempt.resumed else "repeated in part ") + when.utc(attempt.at)
        for attempt in history.resumptions
    ]
    if not times:
        return ()
    bad = [case for case in history.replaced if case.is_bad]
    names = ", ".join(dict.fromkeys(one_line(clean(f"{case.phase} {case.role}: {case.name}"), 80) for case in bad))
    repeated = f"; repeated, because it had failed: {one_line(names)}" if bad else ""
    return (f"{', '.join(times)}{repeated}",)


def _warnings(commit: Commit | None, state: RunState, previous: Commit | None) -> tuple[str, ...]:
    """Return a line for each way in which others could have changed the candidate, or it is not what it seems."""
    lines = []
    if state.settings.get("builder") == "mock" and not state.settings.get("from_repo"):
        lines.append(PRIVILEGED)
    if commit and commit.open_transport:
        lines.append(_open_transport_warning(commit))
    lines += commit.warnings if commit else ()
    lines += [f"previous version: {line}" for line in (previous.warnings if previous else ())]
    return tuple(lines)


def _open_transport_warning(commit: Commit) -> str:
    return (
        f"the source came by {commit.open_transport}:// ({clean(commit.source)}), and anybody on the network in "
        "between could have changed it: it is trusted as a pull request is; safe are https, ssh or a whole id"
    )


def _hand_entry_notes(rundir: RunDir, problems: list[str]) -> tuple[str, ...]:
    """Return a line for each host that somebody entered by hand."""
    times_by_role: dict[str, list[str]] = {}
    try:
        for login in rundir.logins():
            times_by_role.setdefault(one_line(clean(login.role), 100), []).append(when.utc(login.at))
    except OSError as error:
        problems.append(clean(f"entered.jsonl: {error}"))
    return tuple(
        f"host {role} was entered by hand (itb shell) at {', '.join(times[:3])}{', ...' if times[3:] else ''}: "
        "later results of this host may depend on changes made by hand"
        for role, times in times_by_role.items()
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
    """Return the key of a case as reports show it: one line each, of bounded length."""
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
    """Return the times in which any of these cases ran, as (start, end), without overlaps, in order."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted((case.started, case.ended) for case in cases):
        if merged and start <= merged[-1][1] + 0.5:  # a shorter gap is no pause
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def busy_seconds(cases: Iterable[Case]) -> float:
    """Return the wall seconds in which any of these cases ran."""
    return sum(end - start for start, end in intervals(cases))


def base_phase(case: Case) -> str:
    """Return the phase of a case without what follows a dot: ``test`` of ``test.smoke``."""
    return case.phase.partition(".")[0]


# The phases in the order in which reports show them; some of them run at the same time.
PIPELINE = (
    Phase.RESOLVE, Phase.PLATFORM, Phase.BUILD, Phase.SERVE, Phase.UP, Phase.INSTALL, Phase.CONFIGURE, Phase.START,
    Phase.TOKEN, Phase.TEST, Phase.RUN, Phase.EVIDENCE, Phase.DOWN,
)  # fmt: skip


def phases(cases: Iterable[Case], others: Iterable[str] = ()) -> list[str]:
    """Return the phases of cases, and ``others``, in the order of ``PIPELINE``; an unknown one comes last."""
    names = dict.fromkeys([*(base_phase(case) for case in cases), *others])
    return sorted(names, key=lambda name: [*PIPELINE, name].index(name))

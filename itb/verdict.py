"""What a run directory says about a run: its facts, cleaned for showing, and the verdict in words.

Everything a report shows comes through :func:`gather`, which removes secrets
and control characters once, so that no renderer can forget to.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel

from itb.attempts import Attempts
from itb.errors import PRODUCT_CODES, ExitCode, UsageError, worst
from itb.journal import cut
from itb.model import Build, Case, Commit, Installed, Outcome, Phase, Record, Repo, Testbed, Token
from itb.rundir import RunDir, RunState
from itb.texts import clean, one_line

R = TypeVar("R", bound=BaseModel)

# What a whole run tries, in order.
PLANNED = (Phase.BUILD, Phase.SERVE, Phase.UP, Phase.INSTALL, Phase.TOKEN, Phase.TEST)


class Kind(StrEnum):
    """What a verdict comes to."""

    PASSED = "passed"
    PARTIAL = "partial"  # all that was asked for passed, but it was not a whole run
    FAILED = "failed"  # the candidate's fault
    ERROR = "error"  # the test-bed's, the token's or the tool's
    INTERRUPTED = "interrupted"
    NOTHING = "nothing"  # all skipped, or nothing asked for
    RUNNING = "running"


class Notes(Record):
    """What a report says about product and platform beyond the run directory.

    ``platform_note`` is the platform's own caveat, such as that a pass on
    deb13 does not prove EL.
    """

    product_title: str = ""
    platform_title: str = ""
    platform_note: str = ""


class Verdict(Record):
    """How a run ended, in words; ``seconds`` is wall time, paths are absolute."""

    run: str
    product: str
    platform: str
    kind: Kind
    exit_code: int
    headline: str
    reason: str = ""
    blame: str = ""
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    not_reached: tuple[str, ...] = ()
    seconds: float = 0.0
    junit: str = ""
    html: str = ""

    @property
    def good(self) -> bool:
        """True if nothing that was tried went wrong."""
        return self.kind in (Kind.PASSED, Kind.PARTIAL)


@dataclass(frozen=True)
class Facts:
    """All that is known of a run, safe to show; ``cases`` in order of start.

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
    testbed: Testbed | None
    installed: Installed | None
    token: Token | None
    previous: Commit | None
    problems: tuple[str, ...]
    ended: bool
    resumed: tuple[str, ...] = ()  # when the run was taken up again, and what that replaced
    paused: float = 0.0  # seconds in which nobody worked on it

    @property
    def seconds(self) -> float:
        """Wall time from the run's start to its end, or to the end of the last case so far, less pauses."""
        ends = [case.started + case.seconds for case in self.cases]
        end = self.state.finished or max(ends, default=self.state.started)
        return max(0.0, end - self.state.started - self.paused)

    @property
    def bad(self) -> list[Case]:
        """Cases that failed or could not be tried properly, in order of start."""
        return [case for case in self.cases if case.outcome in (Outcome.FAILED, Outcome.ERROR)]


def gather(rundir: RunDir, notes: Notes | None = None, *, exit_code: int | None = None) -> Facts:
    """Read what is there of a run, whatever is missing; what cannot be read is among the problems.

    ``exit_code`` is how the run ends, from a caller that knows before
    ``run.json`` does.
    """
    problems: list[str] = []

    def saved(name: str, kind: type[R]) -> R | None:
        try:
            value = rundir.saved(name, kind)
        except (UsageError, OSError) as error:
            problems.append(clean(f"{name}: {error}"))
            return None
        return scrub(value) if value is not None else None

    found = _attempts(rundir, problems)
    # What the last process began and did not end is cut off, unless that process is alive.
    going = () if at_work(rundir) else found.going
    cases = sorted((shown(case) for case in (*found.cases, *going)), key=lambda case: case.started)
    build, commit = saved("build", Build), saved("commit", Commit)
    state = scrub(_state(rundir, commit, cases, problems))
    if exit_code is not None:
        state = state.model_copy(update={"exit_code": exit_code})
    return Facts(
        rundir=rundir,
        state=state,
        cases=tuple(cases),
        notes=scrub(notes or Notes()),
        commit=commit or (build.commit if build else None),
        build=build,
        repo=saved("repo", Repo),
        testbed=saved("testbed", Testbed),
        installed=saved("installed", Installed),
        token=saved("token", Token),
        previous=saved("previous", Commit),
        problems=tuple(problems),
        ended=state.exit_code is not None or state.finished is not None,
        resumed=_resumed(found),
        paused=found.paused,
    )


def _attempts(rundir: RunDir, problems: list[str]) -> Attempts:
    try:
        return rundir.attempts()
    except OSError as error:
        problems.append(clean(f"cases.jsonl: {error}"))
        return Attempts()


def _state(rundir: RunDir, commit: Commit | None, cases: Sequence[Case], problems: list[str]) -> RunState:
    """The content of ``run.json``, or, where that cannot be read, what else says of the run."""
    try:
        return rundir.state
    except (UsageError, OSError) as error:
        problems.append(clean(f"run.json: {error}"))
    words = rundir.id.split("-")
    return RunState(
        id=rundir.id,
        short="",
        product=commit.product if commit else (words[1] if len(words) > 3 else "unknown product"),
        platform=words[-1] if len(words) > 3 else "unknown platform",
        ref=commit.ref if commit else "",
        started=min((case.started for case in cases), default=_born(rundir)),
    )


def _born(rundir: RunDir) -> float:
    return rundir.path.stat().st_mtime if rundir.path.exists() else time.time()


def _resumed(found: Attempts) -> tuple[str, ...]:
    times = [time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(one.at)) for one in found.resumed]
    if not times:
        return ()
    bad = [case for case in found.replaced if case.outcome in (Outcome.FAILED, Outcome.ERROR)]
    names = ", ".join(dict.fromkeys(one_line(clean(f"{case.phase} {case.role}: {case.name}"), 80) for case in bad))
    more = f"; repeated, for it had not gone well: {one_line(names)}" if bad else ""
    return (f"resumed {', '.join(times)}{more}",)


def scrub(record: R) -> R:
    """Return the record with every text in it cleaned."""
    return type(record).model_validate(_scrubbed(record.model_dump()))


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {_scrubbed(key): _scrubbed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(item) for item in value]
    return value


def shown(case: Case) -> Case:
    """Return a case as reports show it: one-line name and message, evidence of bounded size."""
    return case.model_copy(
        update={
            "phase": one_line(clean(case.phase), 100) or "run",
            "role": one_line(clean(case.role), 100),
            "name": one_line(clean(case.name), 300) or "unnamed",
            "message": one_line(clean(case.message)),
            "evidence": cut(clean(cut(case.evidence))),
            "log": clean(case.log),
            "seconds": max(0.0, case.seconds),
        }
    )


def intervals(cases: Iterable[Case]) -> list[tuple[float, float]]:
    """Return when something of these cases went on, as (start, end), without overlaps, in order."""
    found: list[tuple[float, float]] = []
    for start, end in sorted((case.started, case.started + case.seconds) for case in cases):
        if found and start <= found[-1][1] + 0.5:  # half a second is a pause for breath, not for others' work
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def busy(cases: Iterable[Case]) -> float:
    """Return the wall seconds during which something of these cases went on."""
    return sum(end - start for start, end in intervals(cases))


def base_phase(case: Case) -> str:
    """Return the phase of the contract a case belongs to: ``test`` of ``test.smoke``."""
    return case.phase.partition(".")[0]


def phases(cases: Iterable[Case]) -> list[str]:
    """Return the phases of cases in the order they began."""
    return list(dict.fromkeys(base_phase(case) for case in cases))


def code_of(case: Case) -> int:
    """Return what a case makes of the run's exit code."""
    if case.outcome in (Outcome.FAILED, Outcome.ERROR):
        return case.exit_code or (ExitCode.SCENARIO if case.outcome is Outcome.FAILED else ExitCode.TESTBED)
    return ExitCode.PASSED


def judge(facts: Facts) -> Verdict:
    """Return the verdict on a run; what went wrong anywhere is never outvoted."""
    count = {outcome: sum(case.outcome is outcome for case in facts.cases) for outcome in Outcome}
    code = worst([facts.state.exit_code or ExitCode.PASSED, *(code_of(case) for case in facts.cases)])
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
        exit_code=code,
        headline=_headline(facts, kind, code, count),
        reason=_reason(facts, kind, code),
        blame=known.blame if known else "",
        passed=count[Outcome.PASSED],
        failed=count[Outcome.FAILED],
        errors=count[Outcome.ERROR],
        skipped=count[Outcome.SKIPPED],
        not_reached=missing,
        seconds=facts.seconds,
        junit=str(facts.rundir.junit),
        html=str(facts.rundir.html),
    )


def _kind(facts: Facts, code: int, *, tried: int) -> tuple[Kind, int]:
    if not facts.ended:
        return (Kind.RUNNING, code) if at_work(facts.rundir) else (Kind.INTERRUPTED, ExitCode.INTERRUPTED)
    if code == ExitCode.INTERRUPTED:
        return Kind.INTERRUPTED, code
    if code == ExitCode.NOTHING_RAN or (code == ExitCode.PASSED and not tried):
        return Kind.NOTHING, ExitCode.NOTHING_RAN
    if code == ExitCode.PASSED:
        return Kind.PASSED, code
    return (Kind.FAILED if code in PRODUCT_CODES else Kind.ERROR), code


def at_work(rundir: RunDir) -> bool:
    """True while a process holds the run's lock, this one included."""
    return rundir.is_held()


def not_reached(facts: Facts, *, failed: bool) -> tuple[str, ...]:
    """Return the phases that were never tried.

    In a run that went well, a gap before the last phase is a phase that was
    not needed (a product without a token).
    """
    # The CE is the platform's own: preparing it does not mean that the candidate came so far.
    tried = (case for case in facts.cases if case.role != "ce" or base_phase(case) == Phase.TEST)
    reached = set(phases(tried)) | {name.partition(".")[0] for name in facts.state.phases}
    last = max((PLANNED.index(name) for name in reached if name in PLANNED), default=-1)
    return tuple(name for index, name in enumerate(PLANNED) if name not in reached and (failed or index > last))


def culprit(facts: Facts, code: int) -> Case | None:
    """Return the case that decided the exit code: of those, the one that ended first."""
    deciding = [case for case in facts.bad if code_of(case) == code] or facts.bad
    return min(deciding, key=lambda case: case.started + case.seconds, default=None)


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
        return "Nothing was tried: no case passed or failed"
    if kind is Kind.INTERRUPTED and not facts.ended:
        gone = any(problem.startswith("run.json") for problem in facts.problems)
        told = "run.json cannot be read" if gone else "its process is gone"
        return f"The run ended without a word: {told}"
    known = ExitCode.known(code)
    return known.meaning if known else f"The run ended with exit code {code}"


def _reason(facts: Facts, kind: Kind, code: int) -> str:
    if kind in (Kind.PASSED, Kind.PARTIAL):
        return ""
    case = culprit(facts, code)
    if case is not None:
        where = f"{case.phase} on {case.role}" if case.role else case.phase
        return f"{where}: {case.name}: {case.message or 'no reason was given'}"
    if kind is Kind.INTERRUPTED and facts.cases:
        last = max(facts.cases, key=lambda case: case.started + case.seconds)
        return f"the last case that ended: {last.phase} {last.role}".rstrip() + f": {last.name}"
    reasons = dict.fromkeys(c.message for c in facts.cases if c.outcome is Outcome.SKIPPED and c.message)
    return "; ".join(list(reasons)[:3]) if kind is Kind.NOTHING else ""

"""The file ``cases.jsonl``: the cases of a run, over as many attempts as it took.

Lines are only ever added.  A line is a case that has ended, ``begun`` for a
case that begins, or ``process`` for an attempt: a process that begins the run
or goes on with it.  An attempt that resumes the run repeats whatever did not
go well, and one that does a phase again repeats that phase, so their cases
replace the failed ones from before.  A case that passed or was skipped counts
until one of the same phase, role and name ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import ValidationError

from itb.errors import ExitCode
from itb.model import END_OF_TIME, Case, CaseKey, Moment, Outcome, Record
from itb.phase import Phase
from itb.roles import ITB

RUN_END = CaseKey(Phase.RUN, ITB, "the run goes on to its end")
CUT_OFF = "cut off: itb's process ended without recording a result while this went on"
# Names of the cases that judge a host from outside, which the candidate on it cannot pretend.
PLATFORM_UNCHANGED = "nothing of the platform was changed"
FILES_AND_ORIGINS = "files and origins, seen from outside"

def append_case(cases: list[Case], case: Case) -> None:
    """Append a case; one that supersedes replaces the last one of its key, which becomes a try of it."""
    numbers = reversed(range(len(cases))) if case.supersedes else ()
    index = next((number for number in numbers if cases[number].key == case.key), None)
    if index is None:
        cases.append(case)
    else:
        cases[index] = case.model_copy(update={"tries": (*cases[index].bad_tries, *case.tries)})


class CaseStart(Record):
    """The begin of a case; ``started`` is seconds since the epoch."""

    phase: str
    role: str
    name: str
    started: Moment


class Attempt(Record):
    """A process's attempt at a run, which begins at a time (epoch).

    With ``resumed`` it repeats whatever did not go well; it does the phases
    ``again`` once more.
    """

    pid: int
    at: Moment
    resumed: bool = False
    again: tuple[str, ...] = ()


class StartLine(Record):
    """A line of the file that is no ended case: the begin of a case or of an attempt."""

    begun: CaseStart | None = None
    process: Attempt | None = None


@dataclass(frozen=True)
class CaseHistory:
    """The cases that count, in the order they ended.

    ``unfinished`` are cases that the last attempt began and did not end,
    ``replaced`` cases of earlier attempts that do not count any more,
    ``resumptions`` the attempts that began to repeat what had not gone well.
    """

    cases: tuple[Case, ...] = ()
    unfinished: tuple[Case, ...] = ()
    replaced: tuple[Case, ...] = ()
    resumptions: tuple[Attempt, ...] = ()
    paused: float = 0.0  # seconds between attempts


def read(data: bytes) -> CaseHistory:
    """Read the lines of the file; one that a crash cut off is left out."""
    reader = _Reader()
    # not splitlines(): JSON leaves U+0085 and U+2028 as they are, and they end no line here
    for line in data.split(b"\n"):
        if line.startswith((b'{"begun":', b'{"process":')):
            reader.read_start(line)
        else:
            reader.read_case(line)
    return reader.history()


@dataclass
class _Reader:
    """Reads the lines one after the other."""

    attempt_number: int = 0
    latest: float = 0.0  # the time of the last event that is known
    counted: dict[int, Case] = field(default_factory=dict)  # by their position among all cases
    positions: dict[CaseKey, list[tuple[int, int]]] = field(default_factory=dict)  # with the attempt's number
    unfinished: dict[tuple[CaseKey, float], CaseStart] = field(default_factory=dict)
    replaced: list[Case] = field(default_factory=list)
    resumptions: list[Attempt] = field(default_factory=list)
    case_count: int = 0
    paused: float = 0.0

    def read_start(self, text: bytes) -> None:
        try:
            line = StartLine.model_validate_json(text)
        except ValidationError:
            return
        if start := line.begun:
            self.unfinished[CaseKey(start.phase, start.role, start.name), start.started] = start
            self.latest = max(self.latest, start.started)
        if line.process:
            self._begin_attempt(line.process)

    def _begin_attempt(self, attempt: Attempt) -> None:
        for case in self.cut_off_cases():
            self._add(case)
        self.unfinished.clear()
        if not (attempt.resumed or attempt.again):
            return
        self.attempt_number += 1
        self.paused += max(0.0, attempt.at - self.latest) if self.latest else 0.0
        self.latest = attempt.at
        repeated = [position for position, case in self.counted.items() if _is_repeated(case, attempt)]
        self._replace(repeated)
        if attempt.resumed or repeated:
            self.resumptions.append(attempt)

    def read_case(self, text: bytes) -> None:
        try:
            case = Case.model_validate_json(text)
        except ValidationError:
            return
        self.unfinished.pop((case.key, case.started), None)
        self.latest = max(self.latest, case.ended)
        self._add(case)

    def _add(self, case: Case) -> None:
        positions = self.positions.setdefault(case.key, [])
        self._replace(position for number, position in positions if number < self.attempt_number)
        positions.append((self.attempt_number, self.case_count))
        self.counted[self.case_count] = case
        self.case_count += 1

    def _replace(self, positions: Iterable[int]) -> None:
        for position in list(positions):
            case = self.counted.pop(position, None)
            if case is not None:
                self.replaced.append(case)

    def cut_off_cases(self) -> list[Case]:
        return [
            Case(
                **start.model_dump(),
                outcome=Outcome.ERROR,
                message=CUT_OFF,
                seconds=min(max(0.0, self.latest - start.started), END_OF_TIME),
                exit_code=ExitCode.INTERRUPTED,
            )
            for start in self.unfinished.values()
        ]

    def history(self) -> CaseHistory:
        cases: list[Case] = []
        for case in self.counted.values():
            append_case(cases, case)
        return CaseHistory(
            cases=tuple(cases),
            unfinished=tuple(self.cut_off_cases()),
            replaced=tuple(self.replaced),
            resumptions=tuple(self.resumptions),
            paused=self.paused,
        )


def _is_repeated(case: Case, attempt: Attempt) -> bool:
    """Return whether an attempt repeats the work that a bad case was about."""
    return case.is_bad and (attempt.resumed or case.phase.partition(".")[0] in attempt.again)

"""What ``cases.jsonl`` tells: the cases of a run, over as many attempts as it took.

The file is only ever added to.  A line is a case that has ended, ``begun``
for one that begins, or ``process`` for a process that takes the run up.  A
process that resumes a run repeats whatever did not go well, and one that does
a step of it again that step, so what failed before it is replaced by what
came of it; what passed or was skipped stands until a case of the same phase,
role and name comes again.
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
CUT_OFF = "cut off: itb's process ended without a word while this went on"

Identity = tuple[str, str, str]


def append_case(cases: list[Case], case: Case) -> None:
    """Append a case; one that supersedes takes the place of the last of its name, which becomes a try of it."""
    numbers = reversed(range(len(cases))) if case.supersedes else ()
    index = next((number for number in numbers if cases[number].key == case.key), None)
    if index is None:
        cases.append(case)
    else:
        cases[index] = case.model_copy(update={"tries": (*cases[index].bad_tries, *case.tries)})


class Begun(Record):
    """A case that was begun; ``started`` is seconds since the epoch."""

    phase: str
    role: str
    name: str
    started: Moment


class Process(Record):
    """A process that took a run up at a time (epoch).

    ``resumed``: to repeat whatever did not go well; ``again``: to do these
    phases again.
    """

    pid: int
    at: Moment
    resumed: bool = False
    again: tuple[str, ...] = ()


class Line(Record):
    """A line that is no case."""

    begun: Begun | None = None
    process: Process | None = None


@dataclass(frozen=True)
class Attempts:
    """The cases that count, in the order they ended.

    ``unfinished`` are cases that the last process began and did not end,
    ``replaced`` cases of earlier attempts that do not count any more,
    ``resumed`` the processes that began to repeat what had not gone well.
    """

    cases: tuple[Case, ...] = ()
    unfinished: tuple[Case, ...] = ()
    replaced: tuple[Case, ...] = ()
    resumed: tuple[Process, ...] = ()
    paused: float = 0.0  # seconds between attempts


def read(data: bytes) -> Attempts:
    """Read the lines of a journal; one that was cut by a crash is left out."""
    reading = _Reading()
    # not splitlines(): JSON leaves U+0085 and U+2028 as they are, and they end no line here
    for line in data.split(b"\n"):
        if line.startswith((b'{"begun":', b'{"process":')):
            reading.take_line(line)
        else:
            reading.take_case(line)
    return reading.result()


@dataclass
class _Reading:
    """Where a reader of the lines is."""

    attempt: int = 0
    latest: float = 0.0  # when something is known to have happened last
    standing: dict[int, Case] = field(default_factory=dict)
    places: dict[Identity, list[tuple[int, int]]] = field(default_factory=dict)
    begun: dict[tuple[str, str, str, float], Begun] = field(default_factory=dict)
    replaced: list[Case] = field(default_factory=list)
    resumed: list[Process] = field(default_factory=list)
    count: int = 0
    paused: float = 0.0

    def take_line(self, text: bytes) -> None:
        try:
            line = Line.model_validate_json(text)
        except ValidationError:
            return
        if line.begun:
            item = line.begun
            self.begun[item.phase, item.role, item.name, item.started] = item
            self.latest = max(self.latest, item.started)
        if line.process:
            for case in self.cut_off():
                self.add(case)
            self.begun.clear()
            if line.process.resumed or line.process.again:
                self.attempt += 1
                self.paused += max(0.0, line.process.at - self.latest) if self.latest else 0.0
                self.latest = line.process.at
                repeated = [n for n, case in self.standing.items() if _is_repeated(case, line.process)]
                self.replace(repeated)
                if line.process.resumed or repeated:
                    self.resumed.append(line.process)

    def take_case(self, text: bytes) -> None:
        try:
            case = Case.model_validate_json(text)
        except ValidationError:
            return
        self.begun.pop((case.phase, case.role, case.name, case.started), None)
        self.latest = max(self.latest, case.ended)
        self.add(case)

    def add(self, case: Case) -> None:
        places = self.places.setdefault((case.phase, case.role, case.name), [])
        self.replace(number for attempt, number in places if attempt < self.attempt)
        places.append((self.attempt, self.count))
        self.standing[self.count] = case
        self.count += 1

    def replace(self, numbers: Iterable[int]) -> None:
        for number in list(numbers):
            case = self.standing.pop(number, None)
            if case is not None:
                self.replaced.append(case)

    def cut_off(self) -> list[Case]:
        return [
            Case(
                **item.model_dump(),
                outcome=Outcome.ERROR,
                message=CUT_OFF,
                seconds=min(max(0.0, self.latest - item.started), END_OF_TIME),
                exit_code=ExitCode.INTERRUPTED,
            )
            for item in self.begun.values()
        ]

    def result(self) -> Attempts:
        cases: list[Case] = []
        for case in self.standing.values():
            append_case(cases, case)
        return Attempts(
            cases=tuple(cases),
            unfinished=tuple(self.cut_off()),
            replaced=tuple(self.replaced),
            resumed=tuple(self.resumed),
            paused=self.paused,
        )


def _is_repeated(case: Case, process: Process) -> bool:
    """Return whether a process does again what a case that went wrong was about."""
    if case.outcome not in (Outcome.FAILED, Outcome.ERROR):
        return False
    return process.resumed or case.phase.partition(".")[0] in process.again

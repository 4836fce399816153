"""The cases of a run as a page shows them: by phase in the order of the pipeline, with what belongs to each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from itb.model import Case, Outcome, Quote
from itb.report import passages, self_reported
from itb.report.facts import Facts, base_phase, busy_seconds, phases
from itb.report.passages import Passage

SHOWN_FAILURES = 100  # cases shown with what logs say; the others have their message


@dataclass(frozen=True)
class Entry:
    """A case with what is shown of it: where its message is from, and the passages of logs and evidence.

    ``number`` is that of its anchor, ``status`` what it is filtered by,
    ``step`` the name of the step that it is a check of.
    """

    number: int
    case: Case
    status: str
    is_self_reported: bool
    step: str = ""
    quotes: Sequence[Quote] = ()
    passages: Sequence[Passage] = ()
    evidence: Passage | None = None

    @property
    def is_bad(self) -> bool:
        """Return whether it failed or could not be tried properly."""
        return self.case.is_bad

    @property
    def further(self) -> Sequence[Quote]:
        """Return the quotes of another trouble than the message tells of."""
        return [quote for quote in self.quotes if quote.also]


@dataclass(frozen=True)
class Group:
    """Cases that are shown together; ``title`` is a scenario's name or empty."""

    title: str
    entries: Sequence[Entry]


@dataclass(frozen=True)
class Phase:
    """A phase with its cases, and how many of them the run has not come to; ``seconds`` is wall time.

    One that the candidate has not reached may have some all the same: those of the CE.
    """

    name: str
    is_reached: bool
    unreached: int = 0
    seconds: float = 0.0
    groups: Sequence[Group] = ()
    counts: Mapping[Outcome, int] = field(default_factory=dict)

    @property
    def is_bad(self) -> bool:
        """Return whether something in it went wrong."""
        return any(entry.is_bad for group in self.groups for entry in group.entries)


def entries(facts: Facts) -> list[Entry]:
    """Return all cases of a run with what is shown of each, in order of start."""
    on_own_word = {id(case) for case in self_reported.cases(facts)}
    with_logs = {id(case) for case in facts.bad[:SHOWN_FAILURES]}
    shown = []
    for number, case in enumerate(facts.cases, 1):
        entry = Entry(number, case, case.remark or case.outcome, id(case) in on_own_word)
        shown.append(_with_logs(entry, facts.rundir.path) if id(case) in with_logs else entry)
    return shown


def _with_logs(entry: Entry, rundir: Path) -> Entry:
    """Return an entry with what logs and the case's evidence say."""
    quotes = passages.located(rundir, entry.case)
    of_logs = [passage for quote in quotes if (passage := passages.of_log(rundir, quote))]
    return replace(entry, quotes=quotes, passages=of_logs, evidence=passages.of_evidence(entry.case))


def by_phase(facts: Facts, all_entries: Iterable[Entry], not_reached: Collection[str]) -> list[Phase]:
    """Return the phases with their cases in the order of the pipeline, those of scenarios by scenario."""
    unreached = Counter(base_phase(case) for case in facts.unreached)
    grouped = []
    for name in phases(facts.all_cases, not_reached):
        members = [entry for entry in all_entries if base_phase(entry.case) == name]
        groups: dict[str, list[Entry]] = {}
        for entry in members:
            groups.setdefault(scenario_of(entry.case, facts.state.scenarios), []).append(entry)
        counts = Counter(entry.case.outcome for entry in members)
        shown = [Group(title, _nested(group)) for title, group in groups.items()]
        seconds = busy_seconds(entry.case for entry in members)
        grouped.append(Phase(name, name not in not_reached, unreached[name], seconds, shown, counts))
    return grouped


def _nested(entries_of_group: Sequence[Entry]) -> list[Entry]:
    """Return entries with the checks of a step after it: they began with it, and its name is before theirs."""
    checks: dict[int, list[Entry]] = {}
    steps = []
    for index, entry in enumerate(entries_of_group):
        later = (other for other in entries_of_group[index + 1 :] if other.case.started == entry.case.started)
        step = next((other for other in later if _is_check_of(entry.case, other.case)), None)
        if step:
            checks.setdefault(step.number, []).append(replace(entry, step=step.case.name))
        else:
            steps.append(entry)
    return [shown for entry in steps for shown in (entry, *checks.get(entry.number, ()))]


def _is_check_of(case: Case, step: Case) -> bool:
    return case.role == step.role and case.name.startswith(f"{step.name}: ")


def scenario_of(case: Case, scenarios: Sequence[str]) -> str:
    """Return the scenario a case belongs to, known from its phase, its log or its name; else empty."""
    _, _, rest = case.phase.partition(".")
    if rest:
        return rest
    parts = Path(case.log).parts
    if len(parts) == 3 and parts[0] == "results":
        return parts[1]
    for name in scenarios:
        if case.name.startswith((f"{name}:", f"{name}/", f"{name} ")):
            return name
    return ""


def short_name(entry: Entry, scenario: str) -> str:
    """Return a case's name without the name of the scenario, and of the step, it is shown under."""
    above = entry.step or scenario
    return entry.case.name.removeprefix(f"{above}: ") if above else entry.case.name

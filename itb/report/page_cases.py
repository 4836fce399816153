"""The cases of a run as the HTML page shows them: grouped by phase and scenario, each with its log lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from itb.model import Case, Outcome, Quote
from itb.report import quotes, self_reported
from itb.report.quotes import QuoteContext
from itb.report.run_data import RunData, base_phase, busy_seconds, phases

SHOWN_FAILURES = 100  # failed cases shown with lines of logs; of the others only the message is shown


@dataclass(frozen=True)
class PageCase:
    """A case, the log lines that its message was read from, and the lines around them.

    ``number`` is that of its anchor, ``status`` the value it is filtered by,
    ``step`` the name of the step whose check it is, empty for other cases.
    """

    number: int
    case: Case
    status: str
    is_self_reported: bool
    step: str = ""
    quotes: Sequence[Quote] = ()
    contexts: Sequence[QuoteContext] = ()
    evidence: QuoteContext | None = None

    @property
    def is_bad(self) -> bool:
        """Return whether the case failed or was an error."""
        return self.case.is_bad

    @property
    def other_trouble(self) -> Sequence[Quote]:
        """Return the quotes that tell of other trouble than the message."""
        return [quote for quote in self.quotes if quote.also]


@dataclass(frozen=True)
class PageCaseGroup:
    """Cases that are shown together; ``title`` is a scenario's name, or empty."""

    title: str
    cases: Sequence[PageCase]


@dataclass(frozen=True)
class PagePhase:
    """A phase with its cases; ``unreached`` counts those the run did not reach, ``seconds`` is wall time.

    A phase that the candidate did not reach may still have cases: those of the CE.
    """

    name: str
    is_reached: bool
    unreached: int = 0
    seconds: float = 0.0
    groups: Sequence[PageCaseGroup] = ()
    counts: Mapping[Outcome, int] = field(default_factory=dict)

    @property
    def is_bad(self) -> bool:
        """Return whether a case of the phase failed or was an error."""
        return any(page_case.is_bad for group in self.groups for page_case in group.cases)


def page_cases(run_data: RunData) -> list[PageCase]:
    """Return all cases of a run as the page shows them, in order of start."""
    self_reported_ids = {id(case) for case in self_reported.cases(run_data)}
    ids_with_logs = {id(case) for case in run_data.bad_cases[:SHOWN_FAILURES]}
    shown = []
    for number, case in enumerate(run_data.cases, 1):
        page_case = PageCase(number, case, case.remark or case.outcome, id(case) in self_reported_ids)
        shown.append(_add_logs(page_case, run_data.rundir.path) if id(case) in ids_with_logs else page_case)
    return shown


def _add_logs(page_case: PageCase, rundir: Path) -> PageCase:
    """Return a case with its lines of logs and of its evidence."""
    of_case = quotes.locate_quotes(rundir, page_case.case)
    contexts = [context for quote in of_case if (context := quotes.read_context(rundir, quote))]
    evidence = quotes.find_in_evidence(page_case.case)
    return replace(page_case, quotes=of_case, contexts=contexts, evidence=evidence)


def group_by_phase(
    run_data: RunData, all_cases: Iterable[PageCase], phases_not_reached: Collection[str]
) -> list[PagePhase]:
    """Return the phases with their cases in the order of the pipeline, those of scenarios by scenario."""
    unreached = Counter(base_phase(case) for case in run_data.unreached_cases)
    grouped = []
    for name in phases(run_data.all_cases, phases_not_reached):
        of_phase = [page_case for page_case in all_cases if base_phase(page_case.case) == name]
        by_scenario: dict[str, list[PageCase]] = {}
        for page_case in of_phase:
            scenario = scenario_of(page_case.case, run_data.state.scenarios)
            by_scenario.setdefault(scenario, []).append(page_case)
        counts = Counter(page_case.case.outcome for page_case in of_phase)
        groups = [PageCaseGroup(title, _put_checks_after_steps(cases)) for title, cases in by_scenario.items()]
        seconds = busy_seconds(page_case.case for page_case in of_phase)
        is_reached = name not in phases_not_reached
        grouped.append(PagePhase(name, is_reached, unreached[name], seconds, groups, counts))
    return grouped


def _put_checks_after_steps(cases: Sequence[PageCase]) -> list[PageCase]:
    """Return cases with the checks of a step after it; a check starts when its step does, and with its name."""
    checks: dict[int, list[PageCase]] = {}
    steps = []
    for index, page_case in enumerate(cases):
        later = (other for other in cases[index + 1 :] if other.case.started == page_case.case.started)
        step = next((other for other in later if _is_check_of(page_case.case, other.case)), None)
        if step:
            checks.setdefault(step.number, []).append(replace(page_case, step=step.case.name))
        else:
            steps.append(page_case)
    return [shown for step in steps for shown in (step, *checks.get(step.number, ()))]


def _is_check_of(case: Case, step: Case) -> bool:
    return case.role == step.role and case.name.startswith(f"{step.name}: ")


def scenario_of(case: Case, scenarios: Sequence[str]) -> str:
    """Return the scenario of a case by its phase, its log or its name; empty if it has none."""
    _, _, scenario = case.phase.partition(".")
    if scenario:
        return scenario
    parts = Path(case.log).parts
    if len(parts) == 3 and parts[0] == "results":
        return parts[1]
    for name in scenarios:
        if case.name.startswith((f"{name}:", f"{name}/", f"{name} ")):
            return name
    return ""


def short_name(page_case: PageCase, scenario: str) -> str:
    """Return a case's name without that of the scenario and the step under which it is shown."""
    parent = page_case.step or scenario
    return page_case.case.name.removeprefix(f"{parent}: ") if parent else page_case.case.name

"""Draws the timeline of a run: a lane of bars per role, in several rows where cases overlap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from itb.model import Case, Outcome
from itb.phase import Phase
from itb.report.run_data import RunData, base_phase, busy_seconds, intervals, phases
from itb.roles import ITB
from itb.util.text import duration

# Hues far enough apart to tell phases from one another; red and magenta are
# left to failures and errors.
_HUES = (210, 165, 35, 255, 95, 55, 190, 280, 140, 230, 20)
_MAX_ROWS = 8  # cases that find no free row are in the list of cases only
_MIN_WIDTH = 0.15  # percent of the width; less could not be seen


@dataclass(frozen=True)
class Bar:
    """A bar; ``left`` and ``width`` are percent of the chart, ``tip`` is the text of its tooltip."""

    left: float
    width: float
    label: str
    tip: str
    hue: int
    outcome: Outcome


@dataclass(frozen=True)
class Lane:
    """The bars of one role, in rows; bars of one row do not overlap."""

    title: str
    rows: tuple[tuple[Bar, ...], ...]


@dataclass(frozen=True)
class Timeline:
    """Lanes, the ticks of the time axis as (percent, label), and a description for those who cannot see them."""

    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]
    description: str


def draw(run_data: RunData) -> Timeline | None:
    """Return the timeline of a run; None if nothing was tried."""
    if not run_data.cases:
        return None
    first = min(run_data.cases[0].started, run_data.state.started)
    whole = max(max(case.ended for case in run_data.cases) - first, 0.001)
    names = phases(run_data.cases)
    hues = {name: _HUES[index % len(_HUES)] for index, name in enumerate(names)}

    def bar(start: float, seconds: float, *, label: str, tip: str, phase: str, outcome: Outcome) -> Bar:
        left = 100 * max(0.0, start - first) / whole
        width = max(_MIN_WIDTH, 100 * seconds / whole)
        return Bar(min(left, 100 - _MIN_WIDTH), min(width, 100 - left), label, tip, hues[phase], outcome)

    def case_bar(case: Case) -> Bar:
        tip = f"{case.phase}: {case.name}: {case.outcome}, {duration(case.seconds)}"
        phase = base_phase(case)
        label = case.name.partition(": ")[2] if phase == Phase.TEST and ": " in case.name else case.name
        return bar(case.started, case.seconds, label=label, tip=tip, phase=phase, outcome=case.outcome)

    spans = []
    descriptions = []
    for name in names:
        cases = [case for case in run_data.cases if base_phase(case) == name]
        descriptions.append(f"{name} {duration(busy_seconds(cases))}")
        for start, end in intervals(cases):
            descriptions[-1] += f", from {duration(start - first)} to {duration(end - first)}"
            label = f"{name} {duration(end - start)}"
            inside = [case for case in cases if start <= case.started <= end]
            outcome = worst_outcome(inside)
            spans.append(bar(start, end - start, label=label, tip=label, phase=name, outcome=outcome))
    lanes = [Lane("phases", rows(spans))]
    for role in dict.fromkeys(case.role for case in run_data.cases):
        bars = [case_bar(case) for case in cases_with_bar(run_data.cases, role)]
        if bars:
            lanes.append(Lane(role or ITB, rows(bars)))
    return Timeline(tuple(lanes), ticks(whole), "; ".join(descriptions))


def cases_with_bar(cases: Iterable[Case], role: str) -> list[Case]:
    """Return the cases of a role that get a bar: of those that start together the longest; none skipped."""
    of_role = [case for case in cases if case.role == role and case.outcome is not Outcome.SKIPPED]
    longest: dict[float, Case] = {}
    for case in of_role:
        if case.started not in longest or case.seconds > longest[case.started].seconds:
            longest[case.started] = case
    return list(longest.values())


def worst_outcome(cases: Iterable[Case]) -> Outcome:
    """Return the outcome that stands for several."""
    outcomes = {case.outcome for case in cases}
    for outcome in (Outcome.FAILED, Outcome.ERROR, Outcome.PASSED):
        if outcome in outcomes:
            return outcome
    return Outcome.SKIPPED


def rows(bars: Iterable[Bar]) -> tuple[tuple[Bar, ...], ...]:
    """Put each bar into the first row that is free where it begins; a bar that finds no free row is left out."""
    filled: list[list[Bar]] = []
    for bar in sorted(bars, key=lambda bar: (bar.left, -bar.width)):
        for row in filled:
            # a hundredth of a percent is rounding, not overlap
            if row[-1].left + row[-1].width <= bar.left + 0.01:
                row.append(bar)
                break
        else:
            if len(filled) < _MAX_ROWS:
                filled.append([bar])
    return tuple(tuple(row) for row in filled)


def ticks(whole: float) -> tuple[tuple[float, str], ...]:
    """Return at most seven ticks at round times for a chart of ``whole`` seconds."""
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
    step = next((step for step in steps if whole / step <= 6), whole / 6)
    return tuple((100 * number * step / whole, _label(number * step)) for number in range(int(whole / step) + 1))


def _label(seconds: float) -> str:
    if seconds >= 60:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}:{rest:02d}"
    return f"{seconds:g} s"

"""Prints the summary of a run in a terminal: verdict, seconds of phases, failures, reports, next commands."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from itb.model import Case, CommitKind, Outcome
from itb.report import self_reported
from itb.report.case_reasons import group_by_reason
from itb.report.next_commands import next_commands
from itb.report.quotes import file_and_line, locate_quotes
from itb.report.run_data import RunData, base_phase, busy_seconds, phases
from itb.report.verdict import Verdict, VerdictKind, sort_failures
from itb.util.text import count, duration

SHOWN_FAILURES = 8
SHOWN_REASONS = 8  # reasons of skipped, flaky and known cases

MARKS = {Outcome.PASSED: "✓", Outcome.FAILED: "✗", Outcome.ERROR: "!", Outcome.SKIPPED: "–"}
PLAIN_MARKS = {Outcome.PASSED: "ok", Outcome.FAILED: "FAIL", Outcome.ERROR: "ERROR", Outcome.SKIPPED: "skip"}
STYLES = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "bold red",
    Outcome.ERROR: "bold magenta",
    Outcome.SKIPPED: "yellow",
}
BAD = (Outcome.FAILED, Outcome.ERROR)
KIND_STYLES = {
    VerdictKind.PASSED: "bold green",
    VerdictKind.PARTIAL: "bold green",
    VerdictKind.FAILED: "bold red",
    VerdictKind.ERROR: "bold magenta",
    VerdictKind.INTERRUPTED: "bold magenta",
    VerdictKind.NOTHING: "bold yellow",
    VerdictKind.RUNNING: "bold blue",
}


def candidate(run_data: RunData) -> str:
    """Return the candidate in a few words: ``pocketwms 1.2.0 rc1 (v1_2_0_rc1, 1a2b3c4d5e6f) on deb13``."""
    state, commit = run_data.state, run_data.commit
    if commit is None:
        return f"{state.product} {state.ref} on {state.platform}"
    version = f"{commit.version} rc{commit.rc}" if commit.rc else commit.version
    if commit.kind is CommitKind.PUBLISHED:
        return f"{state.product} {commit.describe or commit.ref} of {commit.source} on {state.platform}"
    return f"{state.product} {version} ({commit.ref}, {commit.id[:12]}) on {state.platform}"


def is_plain(console: Console) -> bool:
    """Return whether a live display is out of place: no terminal, a dumb one, CI, or no Unicode."""
    if not console.is_terminal or console.is_dumb_terminal or os.environ.get("CI"):
        return True
    return "utf" not in (console.encoding or "").lower()


def show(console: Console, run_data: RunData, verdict: Verdict, *, plain: bool | None = None) -> None:
    """Print the summary of a run; ``plain`` has no colour and no symbols, None leaves it to :func:`is_plain`."""
    if is_plain(console) if plain is None else plain:
        for line in plain_lines(run_data, verdict):
            # print() of a text that the stream's encoding lacks would raise
            encoding = console.encoding or "utf-8"
            print(line.encode(encoding, "backslashreplace").decode(encoding), file=console.file)
    else:
        console.print(render(run_data, verdict))


def render(run_data: RunData, verdict: Verdict) -> RenderableType:
    """Return the summary for rich."""
    style = KIND_STYLES[verdict.kind]
    parts: list[RenderableType] = [
        Text(),
        Text.assemble((f" {verdict.kind.upper()} ", f"{style} reverse"), " ", (verdict.headline, style)),
        Text.assemble((f"{candidate(run_data)}, {duration(verdict.seconds)}", "dim")),
    ]
    if verdict.blame and not verdict.good:
        parts.append(Text(verdict.blame, "dim"))
    parts += [Text(), Padding(_phases(run_data, verdict), (0, 0, 0, 2))]
    for case in sort_failures(run_data, verdict.exit_code)[:SHOWN_FAILURES]:
        where = f"{case.phase}.{case.role}" if case.role else case.phase
        parts += [
            Text(),
            Text.assemble("  ", (MARKS[case.outcome], STYLES[case.outcome]), f" {where}  ", (case.name, "bold")),
            Padding(Text(case.message or "no reason was given"), (0, 0, 0, 4)),
        ]
        parts += [Padding(Text(line, "dim", overflow="fold"), (0, 0, 0, 4)) for line in _sources(run_data, case)]
    if (more := len(run_data.bad_cases) - SHOWN_FAILURES) > 0:
        parts.append(Text(f"  and {more} more, see the reports", "dim"))
    for number, item in enumerate(group_by_reason(run_data.cases)[:SHOWN_REASONS]):
        line = Text.assemble(f"  {len(item.cases)} {item.label}: {item.reason}  ", (item.subject, "dim"))
        parts += [line] if number else [Text(), line]
    parts += [Text(f"  {rest}", "dim")] if (rest := _more_reasons(run_data)) else []
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    for title, value in _closing_rows(run_data, verdict):
        rows.add_row(title, Text(value))
    parts += [Text(), Padding(rows, (0, 0, 0, 2))]
    return Group(*parts)


@dataclass(frozen=True)
class _PhaseLine:
    """A phase in a summary; ``rest`` says how much of it was not reached."""

    name: str
    seconds: str
    counts: Mapping[Outcome, int]
    rest: str


def _phase_lines(run_data: RunData, verdict: Verdict) -> Iterator[_PhaseLine]:
    """Yield a line for each phase, in the order of the pipeline."""
    for name in phases(run_data.all_cases, verdict.phases_not_reached):
        cases = [case for case in run_data.cases if base_phase(case) == name]
        unreached = sum(base_phase(case) == name for case in run_data.unreached_cases)
        counts = Counter(case.outcome for case in cases)
        rest = f"{unreached} not reached" if unreached and cases else "not reached"
        if not unreached and cases:
            rest = "not reached by the candidate" if name in verdict.phases_not_reached else ""
        yield _PhaseLine(name, duration(busy_seconds(cases)) if cases else "", counts, rest)


def _phases(run_data: RunData, verdict: Verdict) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for line in _phase_lines(run_data, verdict):
        style = "" if line.counts else "dim"
        counts = Text()
        for outcome in Outcome:
            if number := line.counts.get(outcome):
                counts.append(f"{number} {MARKS[outcome]}  ", STYLES[outcome])
        counts.append(line.rest, "dim")
        table.add_row(Text(line.name, style), Text(line.seconds or "–", style), counts)
    return table


def plain_lines(run_data: RunData, verdict: Verdict) -> Iterable[str]:
    """Return the summary as lines of text."""
    yield f"{verdict.kind.upper()}: {verdict.headline}"
    code = "" if verdict.exit_code is None else f", exit code {verdict.exit_code}"
    yield f"  {candidate(run_data)}, {duration(verdict.seconds)}{code}"
    if verdict.blame and not verdict.good:
        yield f"  {verdict.blame}"
    for line in _phase_lines(run_data, verdict):
        counts = [f"{line.counts[outcome]} {outcome}" for outcome in Outcome if line.counts.get(outcome)]
        tally = ", ".join(filter(None, [*counts, line.rest]))
        yield f"  {line.name:<10} {line.seconds or '-':>12}  {tally}"
    for case in sort_failures(run_data, verdict.exit_code)[:SHOWN_FAILURES]:
        where = f"{case.phase}.{case.role}" if case.role else case.phase
        yield f"{PLAIN_MARKS[case.outcome]} {where} {case.name}: {case.message or 'no reason was given'}"
        yield from (f"  {line}" for line in _sources(run_data, case))
    if (more := len(run_data.bad_cases) - SHOWN_FAILURES) > 0:
        yield f"and {more} more, see the reports"
    for item in group_by_reason(run_data.cases)[:SHOWN_REASONS]:
        yield f"{len(item.cases)} {item.label}: {item.reason} ({item.subject})"
    if rest := _more_reasons(run_data):
        yield rest
    for title, value in _closing_rows(run_data, verdict):
        yield f"{title + ':':<8} {value}"


def _sources(run_data: RunData, case: Case) -> list[str]:
    """Return a line for each log that the message of a case is from, and for each other trouble."""
    lines = []
    quotes = locate_quotes(run_data.rundir.path, case)
    for quote in sorted(quotes, key=lambda quote: not quote.also):
        path = _shorten(run_data.rundir.path / file_and_line(quote)) if quote.file else ""
        also = f"also: {quote.text}" + (f" ({path})" if path else "")
        lines.append(also if quote.also else f"log: {path}")
    if case.log and case.log not in [quote.file for quote in quotes]:
        lines.append(f"log: {_shorten(run_data.rundir.path / case.log)}")
    return list(dict.fromkeys(lines))


def _more_reasons(run_data: RunData) -> str:
    """Return a line that says how many reasons are not shown; empty if all are."""
    more = len(group_by_reason(run_data.cases)) - SHOWN_REASONS
    return f"and {count(more, 'more reason')}, see the reports" if more > 0 else ""


def show_failed(console: Console, run_data: RunData, verdict: Verdict) -> None:
    """Print every case that failed with all its evidence, the one that decided the verdict first."""
    lines = [f"{verdict.kind.upper()}: {verdict.headline}", f"  {candidate(run_data)}"]
    for case in sort_failures(run_data, verdict.exit_code):
        where = f"{case.phase}.{case.role}" if case.role else case.phase
        lines += ["", f"{PLAIN_MARKS[case.outcome]} {where} {case.name} ({duration(case.seconds)})"]
        lines.append(f"  {case.message or 'no reason was given'}")
        lines += [f"  | {line}" for line in case.evidence.splitlines()]
        lines += [f"  {line}" for line in _sources(run_data, case)]
    if not run_data.bad_cases:
        lines += ["", f"no case of run {run_data.rundir.id} failed"]
    for line in lines:
        style = STYLES[Outcome.FAILED] if line.startswith(tuple(PLAIN_MARKS[bad] for bad in BAD)) else ""
        console.print(Text(line, style), soft_wrap=True)


def _closing_rows(run_data: RunData, verdict: Verdict) -> list[tuple[str, str]]:
    """Return (title, text) of the rows at the end of a summary: reports, notes, next commands."""
    reports = (("JUnit", run_data.rundir.junit), ("HTML", run_data.rundir.html))
    rows = [(title, _shorten(path)) for title, path in reports]
    notes = (*run_data.resumption_notes, *run_data.hand_entry_notes, *run_data.problems)
    rows += [("WARNING", line) for line in run_data.warnings]
    rows += [("note", line) for line in (run_data.trust_note, *notes) if line]
    if verdict.good and (line := self_reported.summary_line(run_data)):
        rows.append(("note", line))
    if run_data.notes.platform_note and (verdict.good or verdict.kind is VerdictKind.FAILED):
        rows.append(("note", run_data.notes.platform_note))
    for title, command, _ in next_commands(run_data, verdict):
        rows.append((title, command))
    return rows


def _shorten(path: Path) -> str:
    """Return the path relative to here, unless it is far away."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("../..") else relative

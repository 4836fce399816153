"""The summary of a run in a terminal: verdict, seconds of each phase, failures, reports, next commands."""

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
from itb.report.commands import next_commands
from itb.report.facts import Facts, base_phase, busy_seconds, phases
from itb.report.notable import notable
from itb.report.passages import located, place
from itb.report.verdict import Kind, Verdict, sort_failures
from itb.util.text import duration

SHOWN_FAILURES = 8
SHOWN_NOTABLE = 8  # reasons for which cases were skipped, or known to fail

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
    Kind.PASSED: "bold green",
    Kind.PARTIAL: "bold green",
    Kind.FAILED: "bold red",
    Kind.ERROR: "bold magenta",
    Kind.INTERRUPTED: "bold magenta",
    Kind.NOTHING: "bold yellow",
    Kind.RUNNING: "bold blue",
}


def candidate(facts: Facts) -> str:
    """Return what was tested in a few words: ``pocketwms 1.2.0 rc1 (v1_2_0_rc1, 1a2b3c4d5e6f) on deb13``."""
    state, commit = facts.state, facts.commit
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


def show(console: Console, facts: Facts, verdict: Verdict, *, plain: bool | None = None) -> None:
    """Print the summary of a run; ``plain`` has no colour and no symbols, None leaves it to :func:`is_plain`."""
    if is_plain(console) if plain is None else plain:
        for line in plain_lines(facts, verdict):
            # print() of a text that the stream's encoding lacks would raise
            encoding = console.encoding or "utf-8"
            print(line.encode(encoding, "backslashreplace").decode(encoding), file=console.file)
    else:
        console.print(render(facts, verdict))


def render(facts: Facts, verdict: Verdict) -> RenderableType:
    """Return the summary for rich."""
    style = KIND_STYLES[verdict.kind]
    parts: list[RenderableType] = [
        Text(),
        Text.assemble((f" {verdict.kind.upper()} ", f"{style} reverse"), " ", (verdict.headline, style)),
        Text.assemble((f"{candidate(facts)}, {duration(verdict.seconds)}", "dim")),
    ]
    if verdict.blame and not verdict.good:
        parts.append(Text(verdict.blame, "dim"))
    parts += [Text(), Padding(_phases(facts, verdict), (0, 0, 0, 2))]
    for case in sort_failures(facts, verdict.exit_code)[:SHOWN_FAILURES]:
        where = f"{case.phase}.{case.role}" if case.role else case.phase
        parts += [
            Text(),
            Text.assemble("  ", (MARKS[case.outcome], STYLES[case.outcome]), f" {where}  ", (case.name, "bold")),
            Padding(Text(case.message or "no reason was given"), (0, 0, 0, 4)),
        ]
        parts += [Padding(Text(line, "dim", overflow="fold"), (0, 0, 0, 4)) for line in _sources(facts, case)]
    if (more := len(facts.bad) - SHOWN_FAILURES) > 0:
        parts.append(Text(f"  and {more} more, see the reports", "dim"))
    for number, item in enumerate(notable(facts.cases)[:SHOWN_NOTABLE]):
        line = Text.assemble(f"  {len(item.cases)} {item.label}: {item.reason}  ", (item.subject, "dim"))
        parts += [line] if number else [Text(), line]
    parts += [Text(f"  {rest}", "dim")] if (rest := _more_notable(facts)) else []
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    for title, value in _closing_rows(facts, verdict):
        rows.add_row(title, Text(value))
    parts += [Text(), Padding(rows, (0, 0, 0, 2))]
    return Group(*parts)


@dataclass(frozen=True)
class _PhaseLine:
    """What a summary says of a phase; ``rest`` of what was not reached of it."""

    name: str
    seconds: str
    counts: Mapping[Outcome, int]
    rest: str


def _phase_lines(facts: Facts, verdict: Verdict) -> Iterator[_PhaseLine]:
    """Yield what is said of each phase, in the order of the pipeline."""
    for name in phases(facts.all_cases, verdict.not_reached):
        cases = [case for case in facts.cases if base_phase(case) == name]
        unreached = sum(base_phase(case) == name for case in facts.unreached)
        counts = Counter(case.outcome for case in cases)
        rest = f"{unreached} not reached" if unreached and cases else "not reached"
        if not unreached and cases:
            rest = "not reached by the candidate" if name in verdict.not_reached else ""
        yield _PhaseLine(name, duration(busy_seconds(cases)) if cases else "", counts, rest)


def _phases(facts: Facts, verdict: Verdict) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for line in _phase_lines(facts, verdict):
        style = "" if line.counts else "dim"
        counts = Text()
        for outcome in Outcome:
            if number := line.counts.get(outcome):
                counts.append(f"{number} {MARKS[outcome]}  ", STYLES[outcome])
        counts.append(line.rest, "dim")
        table.add_row(Text(line.name, style), Text(line.seconds or "–", style), counts)
    return table


def plain_lines(facts: Facts, verdict: Verdict) -> Iterable[str]:
    """Return the summary as lines of text."""
    yield f"{verdict.kind.upper()}: {verdict.headline}"
    code = "" if verdict.exit_code is None else f", exit code {verdict.exit_code}"
    yield f"  {candidate(facts)}, {duration(verdict.seconds)}{code}"
    if verdict.blame and not verdict.good:
        yield f"  {verdict.blame}"
    for line in _phase_lines(facts, verdict):
        counts = [f"{line.counts[outcome]} {outcome}" for outcome in Outcome if line.counts.get(outcome)]
        said = ", ".join(filter(None, [*counts, line.rest]))
        yield f"  {line.name:<10} {line.seconds or '-':>12}  {said}"
    for case in sort_failures(facts, verdict.exit_code)[:SHOWN_FAILURES]:
        where = f"{case.phase}.{case.role}" if case.role else case.phase
        yield f"{PLAIN_MARKS[case.outcome]} {where} {case.name}: {case.message or 'no reason was given'}"
        yield from (f"  {line}" for line in _sources(facts, case))
    if (more := len(facts.bad) - SHOWN_FAILURES) > 0:
        yield f"and {more} more, see the reports"
    for item in notable(facts.cases)[:SHOWN_NOTABLE]:
        yield f"{len(item.cases)} {item.label}: {item.reason} ({item.subject})"
    if rest := _more_notable(facts):
        yield rest
    for title, value in _closing_rows(facts, verdict):
        yield f"{title + ':':<8} {value}"


def _sources(facts: Facts, case: Case) -> list[str]:
    """Return where the message of a case is from, and what other trouble there is: a line each."""
    lines = []
    quotes = located(facts.rundir.path, case)
    for quote in sorted(quotes, key=lambda quote: not quote.also):
        path = _shorten(facts.rundir.path / place(quote)) if quote.file else ""
        also = f"also: {quote.text}" + (f" ({path})" if path else "")
        lines.append(also if quote.also else f"log: {path}")
    if case.log and case.log not in [quote.file for quote in quotes]:
        lines.append(f"log: {_shorten(facts.rundir.path / case.log)}")
    return list(dict.fromkeys(lines))


def _more_notable(facts: Facts) -> str:
    """Return how many reasons of skipped, flaky and known cases are not named; empty if all are."""
    more = len(notable(facts.cases)) - SHOWN_NOTABLE
    return f"and {more} more reason{'' if more == 1 else 's'}, see the reports" if more > 0 else ""


def show_failed(console: Console, facts: Facts, verdict: Verdict) -> None:
    """Print every case that failed with all its evidence, the one that decided the verdict first."""
    lines = [f"{verdict.kind.upper()}: {verdict.headline}", f"  {candidate(facts)}"]
    for case in sort_failures(facts, verdict.exit_code):
        where = f"{case.phase}.{case.role}" if case.role else case.phase
        lines += ["", f"{PLAIN_MARKS[case.outcome]} {where} {case.name} ({duration(case.seconds)})"]
        lines.append(f"  {case.message or 'no reason was given'}")
        lines += [f"  | {line}" for line in case.evidence.splitlines()]
        lines += [f"  {line}" for line in _sources(facts, case)]
    if not facts.bad:
        lines += ["", f"no case of run {facts.rundir.id} failed"]
    for line in lines:
        style = STYLES[Outcome.FAILED] if line.startswith(tuple(PLAIN_MARKS[bad] for bad in BAD)) else ""
        console.print(Text(line, style), soft_wrap=True)


def _closing_rows(facts: Facts, verdict: Verdict) -> list[tuple[str, str]]:
    """Return (title, text) of the rows at the end of a summary: reports, notes, next commands."""
    reports = (("JUnit", facts.rundir.junit), ("HTML", facts.rundir.html))
    rows = [(title, _shorten(path)) for title, path in reports]
    rows += [("note", line) for line in (*facts.resumed, *facts.entered, *facts.problems)]
    if verdict.good and (line := self_reported.summary_line(facts)):
        rows.append(("note", line))
    if facts.notes.platform_note and verdict.good:
        rows.append(("note", facts.notes.platform_note))
    for title, command, _ in next_commands(facts, verdict):
        rows.append((title, command))
    return rows


def _shorten(path: Path) -> str:
    """Return the path relative to here, unless it is far away."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("../..") else relative

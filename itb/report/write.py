"""Reports of a run: JUnit XML, one HTML file, a summary in the terminal.

All of them are made from the run directory alone, whatever is there, so a
run that crashed can be reported like one that ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from itb.model import Case, Notes
from itb.report import html, junit, summary
from itb.report.facts import gather
from itb.report.verdict import Verdict, judge, sort_failures
from itb.rundir.directory import RunDir


def write(rundir: RunDir, *, notes: Notes | None = None, exit_code: int | None = None) -> Verdict:
    """Write ``junit.xml`` and ``report.html`` of a run and return the verdict.

    ``exit_code`` is how the run ends where ``run.json`` does not say so yet.
    Raises UsageError if the directory has no readable ``run.json``; all else
    may be missing.
    """
    facts = gather(rundir, notes, exit_code=exit_code)
    verdict = judge(facts)
    junit.write(rundir.junit, [facts])
    html.write(rundir.html, facts, verdict)
    return verdict


def judge_run(rundir: RunDir, *, notes: Notes | None = None) -> Verdict:
    """Return the verdict on a run; writes nothing."""
    return judge(gather(rundir, notes))


def show(
    rundir: RunDir,
    console: Console,
    *,
    notes: Notes | None = None,
    exit_code: int | None = None,
    plain: bool | None = None,
) -> Verdict:
    """Print the summary of a run and return the verdict; writes nothing to the run directory.

    ``plain`` is lines of text without colour; decided by the console if None.
    """
    facts = gather(rundir, notes, exit_code=exit_code)
    verdict = judge(facts)
    summary.show(console, facts, verdict, plain=plain)
    return verdict


def failed_cases(rundir: RunDir) -> list[Case]:
    """Return the cases of a run that failed, as reports show them, the one that decided the verdict first."""
    facts = gather(rundir)
    return sort_failures(facts, judge(facts).exit_code)


def show_failed(rundir: RunDir, console: Console) -> None:
    """Print all that the failed cases of a run say; writes nothing."""
    facts = gather(rundir)
    summary.show_failed(console, facts, judge(facts))


def write_overview(rundirs: Sequence[RunDir], out: Path, *, notes: Sequence[Notes] = ()) -> list[Verdict]:
    """Write ``junit.xml`` (a suite per cell) and ``report.html`` (a line per cell) of several runs to ``out``.

    ``notes`` is one per run or empty.
    """
    notes_of_runs = list(notes) or [Notes()] * len(rundirs)
    all_facts = [gather(rundir, note) for rundir, note in zip(rundirs, notes_of_runs, strict=True)]
    verdicts = [judge(facts) for facts in all_facts]
    out.mkdir(parents=True, exist_ok=True)
    junit.write(out / "junit.xml", all_facts)
    html.write_overview(out / "report.html", list(zip(all_facts, verdicts, strict=True)))
    return verdicts

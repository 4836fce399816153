"""Reports of a run: JUnit XML, one HTML file, a verdict for programs, a summary in the terminal.

All of them are made from the run directory alone, whatever is there, so a
run that crashed can be reported like one that ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from itb.model import Case, Notes
from itb.report import document, html, junit, summary
from itb.report.document import ReportDocument
from itb.report.facts import Facts, gather
from itb.report.verdict import Verdict, judge, sort_failures
from itb.rundir.directory import RunDir


def write(rundir: RunDir, *, notes: Notes | None = None, exit_code: int | None = None) -> Verdict:
    """Write ``junit.xml``, ``report.html`` and ``verdict.json`` of a run and return the verdict.

    ``exit_code`` is how the run ends where ``run.json`` does not say so yet.
    Raises UsageError if the directory has no readable ``run.json``; all else
    may be missing.
    """
    facts = gather(rundir, notes, exit_code=exit_code)
    verdict = judge(facts)
    junit.write(rundir.junit, [facts])
    html.write(rundir.html, facts, verdict)
    document.write(rundir.verdict, document.document([(facts, verdict)]))
    return verdict


def judge_run(rundir: RunDir, *, notes: Notes | None = None) -> Verdict:
    """Return the verdict on a run; writes nothing."""
    return _judged(rundir, notes)[1]


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


REPORTS = ("junit.xml", "report.html", "verdict.json")


def remove_reports(folder: Path) -> None:
    """Remove the reports of earlier runs from a folder, which would be taken for those of one that ends early."""
    for name in REPORTS:
        (folder / name).unlink(missing_ok=True)


def document_of(runs: Sequence[tuple[RunDir, Notes | None]], *, folder: Path | None = None) -> ReportDocument:
    """Return what ``--json`` prints of runs; ``folder`` has their combined report, if there is one."""
    return document.document([_judged(rundir, notes) for rundir, notes in runs], folder=folder)


def write_combined(runs: Sequence[tuple[RunDir, Notes | None]], folder: Path) -> ReportDocument:
    """Write the reports of runs to one folder and return what they say.

    ``junit.xml`` has a suite per run, ``report.html`` is the page of the one
    run, or has a line per run that links to its own; ``verdict.json`` is the document.
    """
    judged = [_judged(rundir, notes) for rundir, notes in runs]
    folder.mkdir(parents=True, exist_ok=True)
    junit.write(folder / "junit.xml", [facts for facts, _ in judged])
    if len(judged) == 1:
        html.write(folder / "report.html", *judged[0])
    else:
        html.write_overview(folder / "report.html", judged)
    report = document.document(judged, folder=folder)
    document.write(folder / "verdict.json", report)
    return report


def _judged(rundir: RunDir, notes: Notes | None) -> tuple[Facts, Verdict]:
    facts = gather(rundir, notes)
    return facts, judge(facts)

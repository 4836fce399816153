"""Writes the reports of a run: JUnit XML, an HTML page, JSON, and a summary in the terminal.

All of them are made from the run directory alone, whatever is missing in it:
a run that crashed can be reported like one that ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from itb.model import Case, Notes
from itb.report import html, json_report, junit, summary
from itb.report.json_report import JsonReport
from itb.report.run_data import RunData, read_run_data
from itb.report.verdict import Verdict, judge, sort_failures
from itb.rundir.directory import RunDir


def write(rundir: RunDir, *, notes: Notes | None = None, exit_code: int | None = None) -> Verdict:
    """Write ``junit.xml``, ``report.html`` and ``verdict.json`` of a run and return the verdict.

    ``exit_code`` is how the run ends where ``run.json`` does not say so yet.
    Raises UsageError if the directory has no readable ``run.json``; all else
    may be missing.
    """
    run_data = read_run_data(rundir, notes, exit_code=exit_code)
    verdict = judge(run_data)
    junit.write(rundir.junit, [run_data])
    html.write(rundir.html, run_data, verdict)
    json_report.write(rundir.verdict, json_report.make([(run_data, verdict)]))
    return verdict


def judge_run(rundir: RunDir, *, notes: Notes | None = None) -> Verdict:
    """Return the verdict on a run."""
    return _read_and_judge(rundir, notes)[1]


def show(
    rundir: RunDir,
    console: Console,
    *,
    notes: Notes | None = None,
    exit_code: int | None = None,
    plain: bool | None = None,
) -> Verdict:
    """Print the summary of a run and return the verdict.

    ``plain``: print lines of text without colour; None leaves it to the console.
    """
    run_data = read_run_data(rundir, notes, exit_code=exit_code)
    verdict = judge(run_data)
    summary.show(console, run_data, verdict, plain=plain)
    return verdict


def failed_cases(rundir: RunDir) -> list[Case]:
    """Return the cases of a run that failed or were errors, the one that decided the verdict first."""
    run_data = read_run_data(rundir)
    return sort_failures(run_data, judge(run_data).exit_code)


def show_failed(rundir: RunDir, console: Console) -> None:
    """Print the messages and the whole evidence of the failed cases of a run."""
    run_data = read_run_data(rundir)
    summary.show_failed(console, run_data, judge(run_data))


REPORTS = ("junit.xml", "report.html", "verdict.json")


def remove_reports(folder: Path) -> None:
    """Remove reports of earlier runs from a folder: they would be taken for those of a run that ends early."""
    for name in REPORTS:
        (folder / name).unlink(missing_ok=True)


def json_report_of(runs: Sequence[tuple[RunDir, Notes | None]], *, folder: Path | None = None) -> JsonReport:
    """Return what ``--json`` prints of runs; ``folder`` holds their combined report, if there is one."""
    return json_report.make([_read_and_judge(rundir, notes) for rundir, notes in runs], folder=folder)


def write_combined(runs: Sequence[tuple[RunDir, Notes | None]], folder: Path) -> JsonReport:
    """Write the reports of runs to one folder and return what ``verdict.json`` holds.

    ``junit.xml`` has a suite per run; ``report.html`` is the page of the one
    run, or has a line for each run that links to its page.
    """
    results = [_read_and_judge(rundir, notes) for rundir, notes in runs]
    folder.mkdir(parents=True, exist_ok=True)
    junit.write(folder / "junit.xml", [run_data for run_data, _ in results])
    if len(results) == 1:
        html.write(folder / "report.html", *results[0])
    else:
        html.write_overview(folder / "report.html", results)
    report = json_report.make(results, folder=folder)
    json_report.write(folder / "verdict.json", report)
    return report


def _read_and_judge(rundir: RunDir, notes: Notes | None) -> tuple[RunData, Verdict]:
    run_data = read_run_data(rundir, notes)
    return run_data, judge(run_data)

"""Reports of a run: JUnit XML, one HTML file, a summary in the terminal.

All of them are made from the run directory alone, whatever is there, so a
run that crashed can be reported like one that ended.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from itb.model import Notes
from itb.report import html, junit, summary
from itb.report.facts import gather
from itb.report.verdict import Verdict, judge
from itb.rundir.directory import RunDir
from itb.util.files import write_atomically


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


REPORTS = ("junit.xml", "report.html", "verdict.json")


def remove_reports(folder: Path) -> None:
    """Remove the reports of earlier runs from a folder, which would be taken for those of one that ends early."""
    for name in REPORTS:
        (folder / name).unlink(missing_ok=True)


def write_overview(rundirs: Sequence[RunDir], out: Path, *, notes: Sequence[Notes] = ()) -> list[Verdict]:
    """Write ``junit.xml`` (a suite per cell), ``report.html`` and ``verdict.json`` of runs to ``out``.

    The page is a run's own if there is one, else a line per run that links to
    theirs; the last is what ``--json`` prints.  ``notes`` is one per run or empty.
    """
    notes_of_runs = list(notes) or [Notes()] * len(rundirs)
    all_facts = [gather(rundir, note) for rundir, note in zip(rundirs, notes_of_runs, strict=True)]
    verdicts = [judge(facts) for facts in all_facts]
    out.mkdir(parents=True, exist_ok=True)
    junit.write(out / "junit.xml", all_facts)
    if len(rundirs) == 1:
        html.write(out / "report.html", all_facts[0], verdicts[0])
    else:
        html.write_overview(out / "report.html", list(zip(all_facts, verdicts, strict=True)))
    write_atomically(out / "verdict.json", as_json(verdicts) + "\n")
    return verdicts


def as_json(verdicts: Sequence[Verdict]) -> str:
    """Return verdicts as the document that ``--json`` prints: a list where there are several."""
    documents = [verdict.model_dump(mode="json") for verdict in verdicts]
    return json.dumps(documents if len(documents) > 1 else documents[0])

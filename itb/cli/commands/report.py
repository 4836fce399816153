"""``itb report``: the reports of runs, written again from their directories."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from itb.cli.commands.common import deliver_reports, show_reports
from itb.config import lookup
from itb.config.settings import Settings
from itb.errors import ExitCode, TestbedError, UsageError, worst
from itb.model import Notes
from itb.report import run_report
from itb.report.verdict import Verdict
from itb.run import assemble
from itb.rundir.directory import RunDir
from itb.util import when


def report_runs(settings: Settings, run_names: Sequence[str], *, as_json: bool) -> int:
    """Write the reports of runs from their directories, print the summaries and return the worst exit code.

    The reports of several runs are combined in a folder of their own, unless the settings name one.
    A run that goes on has no exit code yet: then it is USAGE, so that it does not count as passed.
    """
    rundirs = [RunDir.find(settings.runs_dir, name) for name in run_names] or [RunDir.find(settings.runs_dir)]
    paths = [rundir.path.resolve() for rundir in rundirs]
    if repeated := next((path for path in paths if paths.count(path) > 1), None):
        raise UsageError(f"run {repeated.name} is named twice", hint="name each run once")
    runs = [(rundir, notes_of(rundir, settings)) for rundir in rundirs]
    written = [_report(rundir, notes) for rundir, notes in runs]
    folder = deliver_reports(settings, runs, combined=settings.runs_dir / f"{when.stamp(time.time())}-report")
    show_reports(runs, folder=folder, as_json=as_json)
    if folder is None and (problem := next((problem for _, problem in written if problem), "")):
        raise TestbedError(problem, hint="itb report RUN --report-dir DIR writes them elsewhere")
    verdicts = [verdict for verdict, _ in written]
    for (rundir, _), verdict in zip(runs, verdicts, strict=True):
        if verdict.exit_code is None:
            print(f"itb: run {rundir.id} is going on: it has no exit code yet", file=sys.stderr)
    codes = [verdict.exit_code for verdict in verdicts if verdict.exit_code is not None]
    return worst(codes) or (ExitCode.USAGE if len(codes) < len(runs) else ExitCode.PASSED)


def _report(rundir: RunDir, notes: Notes) -> tuple[Verdict, str]:
    """Write the reports of a run; return its verdict, and why they cannot be written, empty if they are."""
    try:
        return run_report.write(rundir, notes=notes), ""
    except OSError as error:  # a directory that cannot be written can still be read
        problem = f"{rundir.path}: reports cannot be written: {error.strerror}"
        return run_report.judge_run(rundir, notes=notes), problem


def notes_of(rundir: RunDir, settings: Settings) -> Notes:
    """Return the titles of product and platform and the platform's note; empty if a definition is gone."""
    try:
        state = rundir.state
        product = assemble.load_product(settings.model_copy(update={"product": state.product}))
        platform = lookup.load_platform(state.platform, settings.folders("platforms"))
    except UsageError:
        return Notes()
    return Notes(product_title=product.title, platform_title=platform.title, platform_note=platform.note)

"""Commands that start a run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from itb.cli.commands.common import begin_reports, conclude, hand_on, progress, show_reports
from itb.config import lookup
from itb.config.settings import Settings
from itb.containers.engine import connect
from itb.errors import ExitCode, TestbedError, UsageError, worst
from itb.model import Case, Notes, Outcome
from itb.process import orphans, retry
from itb.process.runner import Runner
from itb.process.stop import Ending
from itb.report import write
from itb.report.progress import PlatformListener
from itb.report.verdict import Verdict
from itb.run import pipeline
from itb.run.cell import Cell
from itb.run.phases import published
from itb.run.plan import (
    check_disk,
    check_working_directory,
    create_cell,
    load_product,
    plan_cells,
    resolve_candidate,
    resolve_previous,
)
from itb.rundir.directory import RunDir
from itb.util import when


def run(settings: Settings, *, as_json: bool = False) -> int:
    """Run every cell of the settings and return the exit code that stands for all."""
    return _start(settings, pipeline.run_cell, as_json=as_json)


def build(settings: Settings, *, as_json: bool = False) -> int:
    """Build every cell's RPMs; the runs are left for the other phases to go on with."""
    return _start(settings, pipeline.build_cell, as_json=as_json)


def _start(settings: Settings, work: Callable[[Cell, Ending], int], *, as_json: bool) -> int:
    check_working_directory()
    begin_reports(settings)
    ending = Ending()
    with ending.listening(settings.run_timeout * settings.timeout_factor), orphans.guard(), ExitStack() as locks:
        plans = plan_cells(settings)
        published.check(settings, [cell_plan.platform for cell_plan in plans])
        check_disk(settings)
        runner = Runner(stop=ending.stop(), limits=settings.time_limits, retries=settings.retries)
        connect(runner, settings.engine, settings.cache_dir)
        began, clock = time.time(), time.monotonic()
        with retry.collect_causes() as repeated:
            commit = resolve_candidate(plans[0].product, settings, runner)
            previous = resolve_previous(plans[0], settings, commit, runner)
        seconds = time.monotonic() - clock
        with progress(settings, f"{commit.product} {commit.describe or commit.id[:12] or commit.ref}") as listener:
            cells = []
            for cell_plan in plans:
                own = listener if len(plans) == 1 else PlatformListener(listener, cell_plan.platform.name)
                cells.append(
                    create_cell(settings, cell_plan, commit, previous=previous, listener=own, stop=ending.stop())
                )
            for cell in cells:
                locks.enter_context(cell.rundir.lock())
                if not settings.from_repo:
                    _add_resolve_case(cell, began, seconds, retry.describe_retries(repeated))
            with ThreadPoolExecutor(max_workers=settings.jobs) as pool:
                futures = [pool.submit(work, cell, ending) for cell in cells]
                codes = [future.result() for future in futures]
    conclude(settings, *((cell.journal, cell.notes) for cell in cells), as_json=as_json)
    return worst(codes)


def _add_resolve_case(cell: Cell, began: float, seconds: float, retries: str) -> None:
    """Add the case of resolving, which ends before there is a run: its directory is named after the commit."""
    commit = cell.commit
    reference = commit.ref or "default reference"
    cell.journal.add(
        Case(
            **published.CANDIDATE._asdict(),
            outcome=Outcome.PASSED,
            message=f"{reference} is {commit.kind} {commit.id[:12]}, version {commit.version}, "
            f"of {commit.source}: {commit.subject}" + (f" (after {retries})" if retries else ""),
            started=began,
            seconds=seconds,
        )
    )


def report_runs(settings: Settings, wanted: Sequence[str], *, as_json: bool) -> int:
    """Write the reports of runs from what is there, print the summaries and return the exit code of the worst.

    Those of several are combined in a folder of their own, unless the settings name one.
    A run that goes on has none: then it is that of a wrong command, which nobody takes for a pass.
    """
    rundirs = [RunDir.find(settings.runs_dir, name) for name in wanted] or [RunDir.find(settings.runs_dir)]
    paths = [rundir.path.resolve() for rundir in rundirs]
    if repeated := next((path for path in paths if paths.count(path) > 1), None):
        raise UsageError(f"run {repeated.name} is named twice", hint="name each run once")
    runs = [(rundir, _notes(rundir, settings)) for rundir in rundirs]
    written = [_report(rundir, notes) for rundir, notes in runs]
    folder = hand_on(settings, runs, combined=settings.runs_dir / f"{when.stamp(time.time())}-report")
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
    """Write the reports of a run; return its verdict, and what kept them from being written, if anything did."""
    try:
        return write.write(rundir, notes=notes), ""
    except OSError as error:  # a directory that cannot be written can still be read
        problem = f"{rundir.path}: reports cannot be written: {error.strerror}"
        return write.judge_run(rundir, notes=notes), problem


def _notes(rundir: RunDir, settings: Settings) -> Notes:
    """Return the titles of product and platform, and its note; empty ones where a definition is gone."""
    try:
        state = rundir.state
        product = load_product(settings.model_copy(update={"product": state.product}))
        platform = lookup.load_platform(state.platform, settings.folders("platforms"))
    except UsageError:
        return Notes()
    return Notes(product_title=product.title, platform_title=platform.title, platform_note=platform.note)

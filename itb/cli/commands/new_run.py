"""Commands that start a run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

from rich.console import Console

from itb.cli.commands.common import progress, show
from itb.config import lookup
from itb.config.settings import Settings
from itb.containers.engine import connect
from itb.errors import ExitCode, UsageError, worst
from itb.model import Case, Notes, Outcome, Phase
from itb.process import orphans, retry
from itb.process.runner import Runner
from itb.process.stop import Ending
from itb.report import write
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


def run(settings: Settings, *, as_json: bool = False) -> int:
    """Run every cell of the settings and return the exit code that stands for all."""
    return _start(settings, pipeline.run_cell, as_json=as_json)


def build(settings: Settings, *, as_json: bool = False) -> int:
    """Build every cell's RPMs; the runs are left for the other phases to go on with."""
    return _start(settings, pipeline.build_cell, as_json=as_json)


def _start(settings: Settings, work: Callable[[Cell, Ending], int], *, as_json: bool) -> int:
    check_working_directory()
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
            cells = [
                create_cell(
                    settings, cell_plan, commit, previous=previous, listener=listener, stop=ending.stop()
                )
                for cell_plan in plans
            ]
            for cell in cells:
                locks.enter_context(cell.rundir.lock())
                if not settings.from_repo:
                    _add_resolve_case(cell, began, seconds, retry.describe_retries(repeated))
            with ThreadPoolExecutor(max_workers=settings.jobs) as pool:
                futures = [pool.submit(work, cell, ending) for cell in cells]
                codes = [future.result() for future in futures]
    show(*((cell.journal, cell.notes) for cell in cells), as_json=as_json)
    return worst(codes)


def _add_resolve_case(cell: Cell, began: float, seconds: float, retries: str) -> None:
    """Add the case of resolving, which ends before there is a run: its directory is named after the commit."""
    commit = cell.commit
    reference = commit.ref or "default reference"
    cell.journal.add(
        Case(
            phase=Phase.RESOLVE,
            role="source",
            name=f"{reference} is {commit.kind} {commit.id[:12]}, version {commit.version}",
            outcome=Outcome.PASSED,
            message=f"{commit.source}: {commit.subject}" + (f" (after {retries})" if retries else ""),
            started=began,
            seconds=seconds,
        )
    )


def report_run(settings: Settings, wanted: str, *, as_json: bool) -> int:
    """Write the reports of a run from what is there, print the summary and return the run's exit code.

    A run that goes on has none: then it is that of a wrong command, which nobody takes for a pass.
    """
    rundir = RunDir.find(settings.runs_dir, wanted)
    notes = _notes(rundir, settings)
    try:
        verdict = write.write(rundir, notes=notes)
    except OSError as error:  # a directory that cannot be written can still be read
        print(f"itb: reports cannot be written: {error}", file=sys.stderr)
        verdict = write.judge_run(rundir, notes=notes)
    with suppress(OSError):  # as with the summary of a run
        if as_json:
            print(verdict.model_dump_json())
        else:
            write.show(rundir, Console(highlight=False), notes=notes)
    if verdict.exit_code is None:
        print(f"itb: run {rundir.id} is going on: it has no exit code yet", file=sys.stderr)
        return ExitCode.USAGE
    return verdict.exit_code


def _notes(rundir: RunDir, settings: Settings) -> Notes:
    """Return the titles of product and platform, and its note; empty ones where a definition is gone."""
    try:
        state = rundir.state
        product = load_product(settings.model_copy(update={"product": state.product}))
        platform = lookup.load_platform(state.platform)
    except UsageError:
        return Notes()
    return Notes(product_title=product.title, platform_title=platform.title, platform_note=platform.note)

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
from itb.errors import UsageError, worst
from itb.model import Case, Notes, Outcome, Phase
from itb.process import orphans, retry
from itb.process.runner import Runner
from itb.process.stop import Ending
from itb.report import write
from itb.run import pipeline
from itb.run.cell import Cell
from itb.run.phases import published
from itb.run.plan import check_disk, check_place, load_product, open_cell, plan, resolve, resolve_previous
from itb.rundir.directory import RunDir


def run(chosen: Settings, *, as_json: bool = False) -> int:
    """Run every cell of the settings and return the exit code that stands for all."""
    return _start(chosen, pipeline.run_cell, as_json=as_json)


def build(chosen: Settings, *, as_json: bool = False) -> int:
    """Build every cell's RPMs; the runs are left for the other phases to go on with."""
    return _start(chosen, pipeline.build_cell, as_json=as_json)


def _start(chosen: Settings, work: Callable[[Cell, Ending], int], *, as_json: bool) -> int:
    check_place()
    ending = Ending()
    with ending.listening(chosen.run_timeout * chosen.timeout_factor), orphans.on_duty(), ExitStack() as held:
        parts = plan(chosen)
        published.check(chosen, [part.platform for part in parts])
        check_disk(chosen)
        runner = Runner(stop=ending.stop(), limits=chosen.time_limits, retries=chosen.retries)
        connect(runner, chosen.engine, chosen.cache_dir)
        began, clock = time.time(), time.monotonic()
        with retry.collecting() as again:
            commit = resolve(parts[0].product, chosen, runner)
            earlier = resolve_previous(parts[0], chosen, commit, runner)
        took = time.monotonic() - clock
        with progress(chosen, f"{commit.product} {commit.describe or commit.id[:12] or commit.ref}") as listener:
            cells = [
                open_cell(chosen, part, commit, earlier=earlier, listener=listener, stop=ending.stop())
                for part in parts
            ]
            for cell in cells:
                held.enter_context(cell.rundir.lock())
                if not chosen.from_repo:
                    _note_resolved(cell, began, took, retry.shown(again))
            with ThreadPoolExecutor(max_workers=chosen.jobs) as pool:
                futures = [pool.submit(work, cell, ending) for cell in cells]
                codes = [future.result() for future in futures]
    show(*((cell.journal, cell.notes) for cell in cells), as_json=as_json)
    return worst(codes)


def _note_resolved(cell: Cell, began: float, seconds: float, again: str) -> None:
    """The one case that ends before there is a run: its directory is named after the commit."""
    commit = cell.commit
    asked = commit.ref or "default reference"
    cell.journal.add(
        Case(
            phase=Phase.RESOLVE,
            role="source",
            name=f"{asked} is {commit.kind} {commit.id[:12]}, version {commit.version}",
            outcome=Outcome.PASSED,
            message=f"{commit.source}: {commit.subject}" + (f" (after {again})" if again else ""),
            started=began,
            seconds=seconds,
        )
    )


def report_run(chosen: Settings, wanted: str, *, as_json: bool) -> int:
    """Write the reports of a run from what is there, print the summary and return the run's exit code."""
    rundir = RunDir.find(chosen.runs_dir, wanted)
    notes = _notes(rundir, chosen)
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
    return verdict.exit_code


def _notes(rundir: RunDir, chosen: Settings) -> Notes:
    """Titles of product and platform, where their definitions are still there."""
    try:
        state = rundir.state
        product = load_product(chosen.model_copy(update={"product": state.product}))
        platform = lookup.load_platform(state.platform)
    except UsageError:
        return Notes()
    return Notes(product_title=product.title, platform_title=platform.title, platform_note=platform.note)

"""Starts a run: resolves its candidate, gives each cell a run directory and works on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from itb.config import trust
from itb.config.settings import Settings
from itb.containers.connection import connect
from itb.errors import worst
from itb.model import Case, Commit, Outcome, RunTrust
from itb.process import retry
from itb.process.runner import Runner
from itb.process.stop import Ending
from itb.report.progress import PlatformListener
from itb.run import assemble
from itb.run.assemble import CellDefinitions
from itb.run.cell import Cell
from itb.run.phases import published
from itb.rundir.journal import Listener


@dataclass(frozen=True)
class ResolvedRun:
    """A run before it has a directory: the definitions of each cell, and the exact commits that all cells test.

    ``resolve_case`` reports how the candidate was resolved; None for published
    packages, which each cell chooses itself.
    """

    settings: Settings
    definitions: tuple[CellDefinitions, ...]
    commit: Commit
    previous_commit: Commit | None
    trust: RunTrust
    resolve_case: Case | None

    @property
    def title(self) -> str:
        """Return product and version, as progress shows them."""
        return f"{self.commit.product} {self.commit.describe or self.commit.id[:12] or self.commit.ref}"


def resolve_run(settings: Settings, ending: Ending) -> ResolvedRun:
    """Look up everything that the settings name and resolve the candidate; nothing is started or written yet.

    Raises UsageError for a name that does not exist and for what the level of
    trust does not allow, TestbedError where a disk or the engine cannot be used.
    """
    all_definitions = assemble.find_definitions(settings)
    published.check(settings, [definitions.platform for definitions in all_definitions])
    assemble.check_disk(settings)
    runner = Runner(stop=ending.stop(), limits=settings.time_limits, retries=settings.retries)
    connect(runner, settings.engine, settings.cache_dir)
    started, clock = time.time(), time.monotonic()
    with retry.collect_causes() as retry_causes:
        commit = assemble.resolve_candidate(all_definitions[0].product, settings, runner)
        previous_commit = assemble.resolve_previous(all_definitions[0], settings, commit, runner)
    run_trust = trust.of_run(settings, commit, previous_commit)
    trust.check(settings, run_trust, has_token=all_definitions[0].product.token is not None)
    resolve_case = None
    if not settings.from_repo:
        seconds = time.monotonic() - clock
        resolve_case = _resolve_case(commit, started, seconds, retry.describe_retries(retry_causes))
    return ResolvedRun(settings, tuple(all_definitions), commit, previous_commit, run_trust, resolve_case)


def _resolve_case(commit: Commit, started: float, seconds: float, retries: str) -> Case:
    """Return the case of resolving, which ends before there is a run: its directory is named after the commit."""
    reference = commit.ref or "default reference"
    return Case(
        **published.CANDIDATE._asdict(),
        outcome=Outcome.PASSED,
        message=f"{reference} is {commit.kind} {commit.id[:12]}, version {commit.version}, "
        f"of {commit.source}: {commit.subject}" + (f" (after {retries})" if retries else ""),
        started=started,
        seconds=seconds,
    )


def run_cells(
    resolved: ResolvedRun, work: Callable[[Cell, Ending], int], *, listener: Listener, ending: Ending
) -> tuple[list[Cell], int]:
    """Make a run directory for each cell and do ``work`` on the cells, as many at once as ``jobs`` allows.

    Each run directory is locked meanwhile.  Returns the cells, and the exit code that stands for all.
    """
    cells = [_create_cell(resolved, definitions, listener, ending) for definitions in resolved.definitions]
    with ExitStack() as locks, ThreadPoolExecutor(max_workers=resolved.settings.jobs) as pool:
        for cell in cells:
            locks.enter_context(cell.rundir.lock())
            if resolved.resolve_case:
                cell.journal.add(resolved.resolve_case)
        futures = [pool.submit(work, cell, ending) for cell in cells]
        codes = [future.result() for future in futures]
    return cells, worst(codes)


def _create_cell(resolved: ResolvedRun, definitions: CellDefinitions, listener: Listener, ending: Ending) -> Cell:
    has_one_cell = len(resolved.definitions) == 1
    return assemble.create_cell(
        resolved.settings,
        definitions,
        resolved.commit,
        previous_commit=resolved.previous_commit,
        run_trust=resolved.trust,
        listener=listener if has_one_cell else PlatformListener(listener, definitions.platform.name),
        stop=ending.stop(),
    )

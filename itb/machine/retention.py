"""Removing old runs, but never one in progress, one that was kept, or the newest green one of its kind."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from itb.containers import naming
from itb.containers.description import labels_of
from itb.containers.engine import Engine
from itb.errors import UsageError
from itb.report import run_result
from itb.report.verdict import VerdictKind
from itb.rundir.directory import RunDir, RunState, runs_of
from itb.util import ownership

_REMOVED = ".removed-"  # begins the name of a folder that a run is moved to before it is removed


@dataclass(frozen=True)
class Retention:
    """Which runs are kept: the ``keep`` newest, and those younger than ``age`` seconds; None for no such rule."""

    keep: int | None = None
    age: float | None = None

    def keeps(self, rank: int, state: RunState, now: float) -> bool:
        """Return whether a run is kept; ``rank`` is the number of newer runs."""
        is_new = self.keep is not None and rank < self.keep
        is_young = self.age is not None and (state.finished or state.started) > now - self.age
        return is_new or is_young


@dataclass(frozen=True)
class RemovalPlan:
    """The runs to remove, and by name the reasons to keep others that are old enough to be removed."""

    to_remove: tuple[RunDir, ...]
    kept_because: dict[str, str]


def plan_removal(
    runs: Path, retention: Retention, *, with_hosts: Sequence[str] = (), now: float | None = None
) -> RemovalPlan:
    """Return which runs of a folder to remove; ``with_hosts`` are the names of those that have containers.

    The newest green run of each product and platform is kept, so that there is
    always one to compare with.  A run that cannot be read is kept too, because
    nobody knows whether its hosts were kept.
    """
    now = time.time() if now is None else now
    to_remove: list[RunDir] = []
    kept_because: dict[str, str] = {}
    green_cells: set[tuple[str, str]] = set()
    # A link leads to a run of another folder, to which other rules may apply.
    for rank, rundir in enumerate(rundir for rundir in runs_of(runs) if not rundir.path.is_symlink()):
        try:
            state = rundir.state
        except UsageError:
            kept_because[rundir.id] = "run.json cannot be read"
            continue
        outcome = run_result.read(rundir, state)
        cell = (state.product, state.platform)
        is_newest_green = outcome.kind == VerdictKind.PASSED and cell not in green_cells
        if is_newest_green:
            green_cells.add(cell)
        if retention.keeps(rank, state, now):
            continue
        if reason := _reason_to_keep(rundir, state, outcome.kind, with_hosts):
            kept_because[rundir.id] = reason
        elif is_newest_green:
            kept_because[rundir.id] = f"the newest green one of {state.product} on {state.platform}"
        else:
            to_remove.append(rundir)
    return RemovalPlan(tuple(to_remove), kept_because)


def _reason_to_keep(rundir: RunDir, state: RunState, kind: str, with_hosts: Sequence[str]) -> str:
    if kind == VerdictKind.RUNNING:
        return "it is in progress"
    if state.kept or rundir.id in with_hosts:
        return f"it has hosts (itb down --run {rundir.id} removes them)"
    return ""


def prune(
    engine: Engine, runs: Path, retention: Retention, *, dry_run: bool, report: Callable[[str], None]
) -> None:
    """Remove the runs of a folder that the retention does not keep; report each of them, and the space it took."""
    if not runs.is_dir():
        report(f"no run in {runs}")
        return
    ownership.check(runs)  # whoever can write there can replace a run's directory by another
    owners = (naming.run_of(labels_of(item)) for item in engine.containers(naming.any_run()))
    plan = plan_removal(runs, retention, with_hosts=[name for name, folder in owners if folder == str(runs)])
    for name, reason in plan.kept_because.items():
        report(f"{name}: stays, {reason}")
    size = 0
    for rundir in plan.to_remove:
        run_size = _size(rundir.path)
        if not dry_run and not _remove(rundir, report):
            continue
        size += run_size
        report(f"{rundir.id}: {'would be removed' if dry_run else 'removed'} ({run_size / 1e6:.1f} MB)")
    if not dry_run:
        _finish_removals(runs)
    would = "would be " if dry_run else ""
    count = len(plan.to_remove)
    report(f"{count} run{'' if count == 1 else 's'} {would}removed, {size / 1e6:.1f} MB")


def _remove(rundir: RunDir, report: Callable[[str], None]) -> bool:
    """Remove a run's directory, all at once for readers; return False if a process has locked it meanwhile."""
    try:
        with rundir.lock():
            target = Path(tempfile.mkdtemp(prefix=_REMOVED, dir=rundir.path.parent))
            rundir.path.rename(target / rundir.id)
    except UsageError as error:
        report(f"{rundir.id}: stays, {error.message}")
        return False
    shutil.rmtree(target, ignore_errors=True)  # another itb clean may remove the same
    if target.exists():
        report(f"{rundir.id}: not all of it could be removed, see {target}")
    return True


def _finish_removals(runs: Path) -> None:
    """Remove what is left of runs whose removal was interrupted."""
    for folder in runs.glob(f"{_REMOVED}*"):
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)


def _size(folder: Path) -> int:
    """Return how many bytes the removal of a folder frees; files with links elsewhere do not count."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            status = path.lstat()
            size += status.st_blocks * 512 if status.st_nlink == 1 or path.is_dir() else 0
    return size

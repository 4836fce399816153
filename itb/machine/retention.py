"""Old runs are removed: never one that somebody works on, that was kept, or the newest green of its kind."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from itb.containers import naming
from itb.containers.engine import Engine, labels_of
from itb.errors import UsageError
from itb.report import run_result
from itb.report.verdict import VerdictKind
from itb.rundir.directory import RunDir, RunState, runs_of
from itb.util import ownership

_REMOVED = ".removed-"  # begins the name of a folder that a run is moved to before it is removed


@dataclass(frozen=True)
class Retention:
    """Which runs stay: the ``keep`` newest, and those younger than ``age`` seconds; None for no such rule."""

    keep: int | None = None
    age: float | None = None

    def spares(self, place: int, state: RunState, now: float) -> bool:
        """Return whether a run stays that is at this place among all, the newest at 0."""
        is_new = self.keep is not None and place < self.keep
        is_young = self.age is not None and (state.finished or state.started) > now - self.age
        return is_new or is_young


@dataclass(frozen=True)
class Choice:
    """Which runs go, and why others stay that are old enough to go, by name."""

    removed: tuple[RunDir, ...]
    spared: dict[str, str]


def choose(
    runs: Path, retention: Retention, *, with_hosts: Sequence[str] = (), now: float | None = None
) -> Choice:
    """Return which runs of a folder go; ``with_hosts`` are the names of those that have containers.

    The newest green run of each product and platform stays, so that there is
    always one to compare with, and so does what cannot be read: nobody knows
    whether it was kept.
    """
    now = time.time() if now is None else now
    removed: list[RunDir] = []
    spared: dict[str, str] = {}
    green: set[tuple[str, str]] = set()
    # What a link leads to is another folder's, where other rules may hold.
    for place, rundir in enumerate(rundir for rundir in runs_of(runs) if not rundir.path.is_symlink()):
        try:
            state = rundir.state
        except UsageError:
            spared[rundir.id] = "run.json cannot be read"
            continue
        outcome = run_result.read(rundir, state)
        cell = (state.product, state.platform)
        is_newest_green = outcome.kind == VerdictKind.PASSED and cell not in green
        if is_newest_green:
            green.add(cell)
        if retention.spares(place, state, now):
            continue
        if reason := _reason_to_stay(rundir, state, outcome.kind, with_hosts):
            spared[rundir.id] = reason
        elif is_newest_green:
            spared[rundir.id] = f"the newest green one of {state.product} on {state.platform}"
        else:
            removed.append(rundir)
    return Choice(tuple(removed), spared)


def _reason_to_stay(rundir: RunDir, state: RunState, kind: str, with_hosts: Sequence[str]) -> str:
    if kind == VerdictKind.RUNNING:
        return "it goes on"
    if state.kept or rundir.id in with_hosts:
        return f"it has hosts (itb down --run {rundir.id} removes them)"
    return ""


def prune(
    engine: Engine, runs: Path, retention: Retention, *, dry_run: bool, report: Callable[[str], None]
) -> None:
    """Remove the runs of a folder that the retention does not spare; tell which, and how much room that makes."""
    if not runs.is_dir():
        report(f"no run in {runs}")
        return
    ownership.check(runs)  # who can write there can put another directory in a run's place
    owners = (naming.run_of(labels_of(item)) for item in engine.containers(naming.any_run()))
    choice = choose(runs, retention, with_hosts=[name for name, folder in owners if folder == str(runs)])
    for name, reason in choice.spared.items():
        report(f"{name}: stays, {reason}")
    size = 0
    for rundir in choice.removed:
        run_size = _size(rundir.path)
        if not dry_run and not _remove(rundir, report):
            continue
        size += run_size
        report(f"{rundir.id}: {'would be removed' if dry_run else 'removed'} ({run_size / 1e6:.1f} MB)")
    if not dry_run:
        _remove_halves(runs)
    would = "would be " if dry_run else ""
    count = len(choice.removed)
    report(f"{count} run{'' if count == 1 else 's'} {would}removed, {size / 1e6:.1f} MB")


def _remove(rundir: RunDir, report: Callable[[str], None]) -> bool:
    """Remove a run's directory; it disappears as a whole.  Return False if a process has just taken it up."""
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


def _remove_halves(runs: Path) -> None:
    """Remove what removals that were cut off have left."""
    for folder in runs.glob(f"{_REMOVED}*"):
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)


def _size(folder: Path) -> int:
    """Return how many bytes the removal of a folder sets free: of files that no other run or the cache has too."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            status = path.lstat()
            size += status.st_blocks * 512 if status.st_nlink == 1 or path.is_dir() else 0
    return size

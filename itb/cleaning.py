"""Removing what runs left behind, by label alone, and what the cache no longer needs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from itb.engine import LABEL, RUNS_LABEL, Engine, labels_of
from itb.errors import UsageError
from itb.rundir import RunDir

KEEP_DAYS = 14  # cached builds younger than this stay


def leftover_runs(engine: Engine) -> list[tuple[str, str]]:
    """Runs of which containers, networks or volumes exist: name, and the folder its directory is in."""
    items = engine.containers({LABEL: ""})
    for kind in ("network", "volume"):
        items += engine.listing(kind, {LABEL: ""})
    found = {(labels.get(LABEL, ""), labels.get(RUNS_LABEL, "")) for labels in map(labels_of, items)}
    return sorted(run for run in found if run[0])


def sweep(engine: Engine, runs: Path, *, kept_too: bool, say: Callable[[str], None]) -> int:
    """Remove hosts, networks and secrets of runs that nobody works on; return how many things went.

    Runs somebody kept on purpose stay unless ``kept_too``.
    """
    count = 0
    for name, where in leftover_runs(engine):
        rundir = RunDir(Path(where or runs) / name)
        if rundir.is_held():
            say(f"{name}: still running, left alone")
            continue
        if is_kept(rundir) and not kept_too:
            say(f"{name}: kept on purpose, left alone (itb down --run {name} removes it)")
            continue
        for thing in engine.remove_run({LABEL: name, **({RUNS_LABEL: where} if where else {})}):
            say(f"{name}: removed {thing}")
            count += 1
        rundir.forget_secrets()
        if is_kept(rundir):
            rundir.update(kept=False)
    return count


def is_kept(rundir: RunDir) -> bool:
    """True if a run's hosts were kept on purpose; a run that cannot be read was not."""
    try:
        return rundir.state.kept
    except UsageError:
        return False


def sweep_cache(cache: Path, *, everything: bool, say: Callable[[str], None]) -> None:
    """Remove cached builds and mirrors that were not used for two weeks, or all of them."""
    limit = time.time() - KEEP_DAYS * 86400
    for path in _entries(cache):
        if everything or path.stat().st_mtime < limit:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            say(f"removed {path}")


def _entries(cache: Path) -> Iterable[Path]:
    for kind in ("builds", "sources", "history"):
        folder = cache / kind
        if folder.is_dir():
            yield from sorted(folder.iterdir())

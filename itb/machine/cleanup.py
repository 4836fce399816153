"""Removing what runs left behind, by label alone, and what the cache no longer needs."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from pathlib import Path

from itb.containers import naming
from itb.containers.engine import Engine, container_name, labels_of
from itb.errors import UsageError
from itb.process import orphans
from itb.rundir import lock as rundir_lock
from itb.rundir.directory import RunDir
from itb.util import filelock, files

KEEP_DAYS = 14  # cached builds younger than this stay


def leftover_runs(engine: Engine) -> list[tuple[str, str]]:
    """Runs of which containers, networks or volumes exist: name, and the folder its directory is in."""
    items = engine.containers(naming.any_run())
    for kind in ("network", "volume"):
        items += engine.listing(kind, naming.any_run())
    found = {naming.run_of(labels_of(item)) for item in items}
    return sorted(run for run in found if run[0])


def sweep(engine: Engine, runs: Path, *, kept_too: bool, say: Callable[[str], None]) -> int:
    """Remove hosts, networks and secrets of runs that nobody works on; return how many things went.

    Runs somebody kept on purpose stay unless ``kept_too``.  Who sweeps at the
    same time waits: two that remove the same get into each other's way.
    """
    lock, stop = filelock.user_lock("clean"), engine.runner.stop.event
    with filelock.hold(lock, stop, waiting=lambda: say("waiting for another itb clean")):
        orphans.wait_for_others()
        found = leftover_runs(engine)
        count = sum(_sweep_run(engine, runs, run, kept_too=kept_too, say=say) for run in found)
        names = {name for name, _ in found}
        for tokens in runs.glob("*/tokens"):  # of runs that have nothing but secrets left
            rundir = RunDir(tokens.parent)
            if rundir.id not in names and any(tokens.iterdir()) and not rundir.is_held():
                rundir.forget_secrets()
                say(f"{rundir.id}: removed its secrets")
                count += 1
        for name in end_orphans(engine, runs):
            say(f"ended {name}, which the engine knows nothing of any more")
            count += 1
        for path in files.remove_leftovers():
            say(f"removed {path}")
            count += 1
    return count


def _sweep_run(
    engine: Engine, runs: Path, run: tuple[str, str], *, kept_too: bool, say: Callable[[str], None]
) -> int:
    name, where = run
    rundir = RunDir(Path(where or runs) / name)
    owner = rundir_lock.holder(rundir.path)
    if owner is not None:
        say(f"{name}: still running, left alone ({owner} works on it)")
        return 0
    if is_kept(rundir) and not kept_too:
        say(f"{name}: kept on purpose, left alone (itb down --run {name} removes it)")
        return 0
    # Held meanwhile, so that nobody goes on with a run whose hosts are being removed.
    with rundir.lock() if rundir.path.is_dir() else nullcontext():
        removed = engine.remove_run(naming.run_labels(name, where))
        for thing in removed:
            say(f"{name}: removed {thing}")
        rundir.forget_secrets()
        if is_kept(rundir):
            rundir.update(kept=False)
    return len(removed)


def end_orphans(engine: Engine, runs: Path) -> list[str]:
    """End containers whose removal was cut off: they go on though the engine has forgotten them.

    Each is found by its monitor.  Left alone are those the engine knows and
    those of a run somebody works on, who may be removing them at this moment.
    Returns their names.
    """
    monitors = _orphaned_monitors()
    if not monitors:
        return []
    known = {container_name(item) for item in engine.containers({})}
    busy = _at_work(engine, runs)
    ended = []
    for path, name in monitors.items():
        short = naming.short_of(name)
        if not short or short in busy or name in known:
            continue
        with suppress(OSError):
            children = (path / "task" / path.name / "children").read_text().split()
            # The first process of the container: all others go with it.  One that is just being
            # removed by its own itb has none any more, but the engine's that clears up after it.
            first = [int(child) for child in children if _is_contained(child)]
            for child in first:
                os.kill(child, signal.SIGKILL)
            ended += [f"container {name}"] if first else []
    return ended


def _is_contained(pid: str) -> bool:
    """True for a process that lives in another table of processes than this one."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    except OSError:  # it has ended
        return False


def _orphaned_monitors() -> dict[Path, str]:
    """Monitors (conmon(8): -n is the name, -b the folder) of containers whose folder is gone, with their names."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (path / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            if Path(words[0]).name != "conmon" or "-n" not in words or "-b" not in words:
                continue
            name, folder = words[words.index("-n") + 1], words[words.index("-b") + 1]
            if _is_of_our_engine(path) and not (path / "root" / folder.lstrip("/")).exists():
                found[path] = name
    return found


def _is_of_our_engine(process: Path) -> bool:
    """True where a process sees the folders we see: not of a podman in a container, or of another user."""
    # Rootless podman has a mount namespace of its own, and a user can end only what is the user's.
    ours = Path("/proc/self/ns/mnt").readlink() == (process / "ns" / "mnt").readlink()
    return ours or os.geteuid() != 0


def _at_work(engine: Engine, runs: Path) -> set[str]:
    """Short names of the runs that somebody works on."""
    there = [RunDir(Path(where or runs) / name) for name, where in leftover_runs(engine)]
    found = set()
    for rundir in (*there, *(RunDir(path.parent) for path in runs.glob("*/run.json"))):
        with suppress(UsageError):
            if rundir.is_held():
                found.add(rundir.state.short)
    return found


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

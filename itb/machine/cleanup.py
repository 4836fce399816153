"""Removing the leftovers of runs, which are found by their labels alone, and old entries of the cache."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from pathlib import Path

from itb.config.settings import CACHE_FORMAT_PREFIX
from itb.containers import firewall, naming
from itb.containers.description import container_name, labels_of
from itb.containers.engine import Engine
from itb.errors import UsageError
from itb.process import orphans
from itb.rundir import lock as rundir_lock
from itb.rundir.directory import RunDir, runs_of
from itb.util import filelock, files, ownership

KEEP_DAYS = 14  # cached builds younger than this are kept
_CACHED = {  # by the folder of a cache: the names of its entries, in any version of itb
    "builds": re.compile(r"[0-9a-f]{32}(-[a-z]+)?|\.new-.*"),
    "sources": re.compile(r".*-[0-9a-f]{16}\.(git|lock)"),
    "history": re.compile(r".*-[0-9a-f]{12}\.git"),
}


def leftover_runs(engine: Engine) -> list[tuple[str, str]]:
    """Return the runs that have containers, networks or volumes: the name and the folder of the run directory."""
    resources = engine.all_resources(naming.any_run())
    runs = {naming.run_of(labels_of(resource)) for resource in resources}
    return sorted(run for run in runs if run[0])


def clean_runs(engine: Engine, runs: Path, *, include_kept: bool, report: Callable[[str], None]) -> int:
    """Remove the hosts, networks and secrets of runs that no process works on; return how many were removed.

    Hosts that were kept on purpose are removed only with ``include_kept``.
    Holds a lock: two processes that remove the same containers would make
    each other fail.
    """
    lock, stop = filelock.user_lock("clean"), engine.runner.stop.event
    with filelock.hold(lock, stop, engine.runner.limits("wait-for-build"), waiting=report):
        orphans.wait_for_other_guards()
        leftovers = leftover_runs(engine)
        for container in engine.containers(naming.any_run(), foreign=True):
            run, name = naming.run_of(labels_of(container))[0], container_name(container)
            report(f"{name}: not one of itb's by its name, left alone (its image was made of a host of {run})")
        count = sum(_clean_run(engine, runs, run, include_kept=include_kept, report=report) for run in leftovers)
        names = {name for name, _ in leftovers}
        for tokens in runs.glob("*/tokens"):  # of runs that left nothing but secrets
            rundir = RunDir(tokens.parent)
            is_full = tokens.is_dir() and not tokens.is_symlink() and any(tokens.iterdir())
            if rundir.id not in names and is_full and _is_ours(rundir, report) and not rundir.is_locked():
                rundir.forget_secrets()
                report(f"{rundir.id}: removed its secrets")
                count += 1
        for name in end_orphans(engine, runs):
            report(f"ended {name}, which the engine knows nothing of any more")
            count += 1
        for bridge in firewall.remove_stale_rules(engine):
            report(f"removed the packet filter of {bridge}, a network that is gone")
            count += 1
        for path in files.remove_leftovers():
            report(f"removed {path}")
            count += 1
    return count


def _clean_run(
    engine: Engine, runs: Path, run: tuple[str, str], *, include_kept: bool, report: Callable[[str], None]
) -> int:
    name, folder = run
    rundir = RunDir(Path(folder or runs) / name)
    owner = rundir_lock.holder(rundir.path)
    if owner is not None:
        report(f"{name}: still running, left alone ({owner} works on it)")
        return 0
    if is_kept(rundir) and not include_kept:
        report(f"{name}: kept on purpose, left alone (itb down --run {name} removes it)")
        return 0
    has_directory = rundir.path.is_dir() and _is_ours(rundir, report)
    # The lock keeps other processes from continuing a run whose hosts are being removed.
    with rundir.lock() if has_directory else nullcontext():
        removed = engine.remove_labelled(naming.run_labels(name, folder))
        for resource in removed:
            report(f"{name}: removed {resource}")
        if has_directory:
            rundir.forget_secrets()
            if is_kept(rundir):
                rundir.update(kept=False, is_stepwise=False)
    return len(removed)


def _is_ours(rundir: RunDir, report: Callable[[str], None]) -> bool:
    """Return whether nobody else could have put another file or folder in the place of one of a run's.

    A folder without anything of a run is not one: where a candidate's tree has a link named ``runs``, the folders
    there are the user's own, and may have one called ``tokens``.
    """
    if not rundir.is_run:
        return False
    try:
        for path in (rundir.tokens, rundir.path / "run.json", rundir.path / rundir_lock.NAME):
            ownership.check(path)
    except UsageError as error:
        report(f"{rundir.id}: its directory is left as it is: {error.message}")
        return False
    return True


def end_orphans(engine: Engine, runs: Path) -> list[str]:
    """End containers whose removal was interrupted; return their names.

    They still run although the engine does not know them any more; they are
    found by the processes that monitor them.  Not ended are containers that
    the engine knows, and those of a run that a process works on, which may be
    removing them at this moment.
    """
    monitors = _orphaned_monitors()
    if not monitors:
        return []
    known_names = {container_name(item) for item in engine.containers({})}
    busy = _busy_runs(engine, runs)
    ended = []
    for path, name in monitors.items():
        short_id = naming.short_id_of(name)
        if not short_id or short_id in busy or name in known_names:
            continue
        with suppress(OSError):
            children = (path / "task" / path.name / "children").read_text().split()
            # The kernel ends all processes of a container with its first one.  While another itb removes a
            # container, it has none: the monitor's child is then the engine's process that cleans up.
            first_processes = [int(child) for child in children if _is_in_container(child)]
            for child in first_processes:
                os.kill(child, signal.SIGKILL)
            ended += [f"container {name}"] if first_processes else []
    return ended


def _is_in_container(pid: str) -> bool:
    """Return whether a process is in another PID namespace than this one."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    except OSError:  # it has ended
        return False


def _orphaned_monitors() -> dict[Path, str]:
    """Return the names of containers whose folder is gone, by their monitor's path in /proc.

    A monitor is conmon(8): -n is the name of the container, -b its folder.
    """
    monitors = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            argv = (path / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            if Path(argv[0]).name != "conmon" or "-n" not in argv or "-b" not in argv:
                continue
            name, folder = argv[argv.index("-n") + 1], argv[argv.index("-b") + 1]
            if _is_own_engine(path) and not (path / "root" / folder.lstrip("/")).exists():
                monitors[path] = name
    return monitors


def _is_own_engine(process: Path) -> bool:
    """Return whether a process belongs to this user's engine, and not to a podman inside a container."""
    # Rootless podman has its own mount namespace; without root, only own processes can be ended anyway.
    same_mounts = Path("/proc/self/ns/mnt").readlink() == (process / "ns" / "mnt").readlink()
    return same_mounts or os.geteuid() != 0


def _busy_runs(engine: Engine, runs: Path) -> set[str]:
    """Return the short ids of the runs that a process works on."""
    existing = [RunDir(Path(folder or runs) / name) for name, folder in leftover_runs(engine)]
    short_ids = set()
    for rundir in (*existing, *runs_of(runs)):
        with suppress(UsageError):
            if rundir.is_locked():
                short_ids.add(rundir.state.short_id)
    return short_ids


def is_kept(rundir: RunDir) -> bool:
    """Return whether a run's hosts were kept on purpose; False for a run whose state cannot be read."""
    try:
        return rundir.state.kept
    except UsageError:
        return False


def clean_cache(cache: Path, *, everything: bool, report: Callable[[str], None]) -> None:
    """Remove cached builds and clones that were not used for two weeks, or all of them.

    ``cache`` is the folder of this version's form of entries; those of others beside it are looked at, too.
    """
    limit = time.time() - KEEP_DAYS * 86400
    for path in _cache_entries(cache):
        if everything or path.lstat().st_mtime < limit:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            report(f"removed {path}")


def _cache_entries(cache: Path) -> Iterable[Path]:
    """Yield the entries of a cache, also those of other versions of itb, of which the oldest had no folder.

    Where these are, in the folder that the user named, other programs and
    people may have folders of the same names: an entry is known by its own name
    and is this user's, in folders that are, and no link leads to it.
    """
    own_places = filter(_is_own_folder, sorted(cache.parent.glob(f"{CACHE_FORMAT_PREFIX}*")))
    for place in (cache.parent, *own_places):
        for kind, own_name in _CACHED.items():
            if _is_own_folder(folder := place / kind):
                entries = (path for path in sorted(folder.iterdir()) if own_name.fullmatch(path.name))
                yield from (path for path in entries if path.lstat().st_uid == os.geteuid())


def _is_own_folder(path: Path) -> bool:
    """Return whether a path is a folder of this user, and not a link to one."""
    return path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.geteuid()

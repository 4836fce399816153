"""The run that a command goes on with: one whose hosts are up, never one that has ended."""

from __future__ import annotations

from itb.containers import naming
from itb.containers.description import is_running, labels_of
from itb.containers.engine import Engine
from itb.errors import ExitCode, UsageError
from itb.machine import cleanup
from itb.rundir.directory import RunDir


def choose(newest: RunDir, engine: Engine) -> RunDir:
    """Return the only run in the folder of ``newest``, its newest, that a command may go on with.

    That is a run whose hosts are up, or the newest where its RPMs came from
    the cache, which starts no host.  Raises UsageError for none and for several.
    """
    folder = str(newest.path.parent)
    names = {
        name
        for container in engine.containers(naming.runs_labels(folder))
        if is_running(container)
        for name, _ in [naming.run_of(labels_of(container))]
    }
    if _waits_for_hosts(newest):
        names.add(newest.id)
    rundir = _only_one(newest, names)
    if rundir is None:
        raise _has_ended(newest, "no run's hosts are up; the newest")
    return rundir


def choose_removable(newest: RunDir, engine: Engine) -> RunDir | None:
    """Return the only run in the folder of ``newest``, its newest, that has anything to remove; None without one.

    Raises UsageError for several.
    """
    folder = str(newest.path.parent)
    names = {name for name, runs in cleanup.leftover_runs(engine) if runs == folder}
    if _waits_for_hosts(newest):
        names.add(newest.id)
    return _only_one(newest, names)


def _only_one(newest: RunDir, names: set[str]) -> RunDir | None:
    """Return the only idle run of these names, else the only busy one; UsageError for more than one."""
    runs = [RunDir(newest.path.parent / name) for name in sorted(names)]
    runs = [run for run in runs if not run.is_locked()] or runs
    if len(runs) > 1:
        raise UsageError(
            f"which run? {len(runs)} can be gone on with: {', '.join(run.id for run in runs[:5])}",
            hint="--run RUN, with a unique part of its name, says which",
        )
    return runs[0] if runs else None


def check_not_ended(rundir: RunDir, engine: Engine) -> None:
    """Raise UsageError, which says how to go on, for a run that has ended: a phase would change its verdict."""
    if rundir.is_locked():
        return  # taking its lock then fails, and says which process works on it
    state = rundir.state
    if state.finished is None:
        hint = f"itb run --resume {rundir.id} goes on with it"
        raise UsageError(f"run {rundir.id} was cut off: what it was doing is half-done", hint=hint)
    labels = naming.run_labels(rundir.id, rundir.path.parent)
    has_hosts = any(map(is_running, engine.containers(labels)))
    if not has_hosts and not _waits_for_hosts(rundir):
        raise _has_ended(rundir, "run")


def is_left(rundir: RunDir, engine: Engine) -> bool:
    """Return whether a run has left anything to be removed: hosts, a network, volumes or secrets."""
    has_secrets = rundir.tokens.is_dir() and any(rundir.tokens.iterdir())
    return has_secrets or (rundir.id, str(rundir.path.parent)) in cleanup.leftover_runs(engine)


def _waits_for_hosts(rundir: RunDir) -> bool:
    """Return whether a run was begun by ``itb build`` and has had no host yet: its RPMs came from the cache."""
    try:
        state = rundir.state
    except UsageError:
        return False
    return state.is_stepwise and not state.kept


def _has_ended(rundir: RunDir, subject: str) -> UsageError:
    """Return the error for a run that has ended; it begins with ``subject`` and the name of the run."""
    try:
        is_green = rundir.state.exit_code == ExitCode.PASSED
    except UsageError:
        is_green = False
    hint = f"itb run --resume {rundir.id} goes on with it"
    if is_green:
        hint += ", and has nothing left to do; itb run with --keep always starts one whose hosts stay"
    return UsageError(f"{subject} {rundir.id} has ended, and its hosts are gone", hint=hint)

"""Goes on with a run that exists: the rest of it, or its removal."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, chdir
from dataclasses import dataclass
from typing import Any

from itb.config import trust
from itb.config.settings import Settings
from itb.containers.connection import connect
from itb.errors import InterruptedRunError, UsageError
from itb.model import Notes, RunTrust, Trust
from itb.process.runner import Runner
from itb.process.stop import Ending, Stop
from itb.run import assemble, lock_yaml, pipeline, reach, recorded_settings, resume, run_secrets
from itb.run.cell import Cell
from itb.run.phases import down
from itb.rundir import seal, values
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal, Listener
from itb.version import VERSION

# A removal acquires no token, so that none of these is checked before it.
_NO_HOOK: dict[str, Any] = {"token_hook": Settings().token_hook, "token": {}, "hooks": []}


def reopen_cell(rundir: RunDir, saved: Settings, listener: Listener, stop: Stop) -> Cell:
    """Return a cell with all that the nodes need to go on with an existing run."""
    state = rundir.state
    run_secrets.remember(rundir)
    commit = rundir.load(values.COMMIT)
    if commit is None:
        raise UsageError(f"run {rundir.id} has no commit: nothing to go on from", hint="start a new one: itb run")
    all_definitions = assemble.find_definitions(saved)
    definitions = next((each for each in all_definitions if each.platform.name == state.platform), None)
    if definitions is None:
        raise UsageError(f"run {rundir.id}: its settings name no platform {state.platform!r}")
    return assemble.assemble_cell(
        saved,
        definitions,
        commit,
        rundir,
        previous_commit=rundir.load(values.PREVIOUS_COMMIT),
        run_trust=find_trust(rundir, saved),
        listener=listener,
        stop=stop,
    )


def find_trust(rundir: RunDir, saved: Settings) -> RunTrust:
    """Return the level of an existing run; a copied one has, by its reference, that of a pull request."""
    recorded, commits = rundir.state.trust, (rundir.load(values.COMMIT), rundir.load(values.PREVIOUS_COMMIT))
    if not seal.is_intact(rundir):
        return trust.chosen(saved, Trust.PR)
    return trust.chosen(saved, recorded.reference) if recorded else trust.of_run(saved, *commits)


def check_trust(cell: Cell) -> None:
    """Raise UsageError for what the run may not do with its present settings; record its present level."""
    trust.check(cell.settings, cell.trust, has_token=cell.product.token is not None)
    rundir, state = cell.rundir, cell.rundir.state
    if state.trust != cell.trust:
        is_sealed = seal.is_intact(rundir)
        rundir.update(trust=cell.trust, settings={**state.settings, "trust": cell.settings.trust})
        if is_sealed:
            seal.write(rundir)
            lock_yaml.record_trust(rundir, cell.trust)


def check_hosts(cell: Cell) -> None:
    """Raise UsageError if hosts or network of the run's names are another run's; then nothing is changed.

    What hosts reach is declared anew where the run directory may come from
    anybody: a copied one says so itself.
    """
    cell.testbed.network_prefix()
    has_hosts = bool(cell.testbed.find_running_roles())
    if not seal.is_intact(cell.rundir):
        for key in (values.OUTSIDE_ISSUER, values.ISOLATION):
            (cell.rundir.path / "state" / f"{key.name}.json").unlink(missing_ok=True)
        if has_hosts:
            cell.rundir.save(values.ISOLATION, cell.testbed.isolate(reach.declared(cell)))


def working_directory(rundir: RunDir) -> AbstractContextManager[None]:
    """Return a context in which relative paths of a run's settings mean what they did, if that folder exists.

    A copied run directory does not say where the user's own relative paths lead to.
    """
    folder = rundir.state.cwd if seal.is_intact(rundir) else ""
    return chdir(folder if os.path.isdir(folder) else ".")  # noqa: PTH112 - Path("") is "."


def resume_run(
    rundir: RunDir, saved: Settings, notes: Sequence[str], *, listener: Listener, ending: Ending
) -> tuple[Cell, int]:
    """Do what is left of a run whose lock is held; return its cell and its exit code.

    ``notes`` go into the first case.  Raises UsageError where a definition has changed since the run began.
    """
    assemble.check_disk(saved)
    cell = reopen_cell(rundir, saved, listener, ending.stop())
    check_trust(cell)
    check_hosts(cell)
    resume.check_unchanged(rundir.state, resume.checksums(cell.product, cell.platform, cell.topology))
    cell.journal.reopen(resume=True)
    rundir.tokens.mkdir(mode=0o700, exist_ok=True)
    rundir.update(pid=os.getpid(), finished=None, exit_code=None, kept=False, tool_version=VERSION)
    return cell, pipeline.run_cell(cell, ending, lambda: resume.restore_checkpoints(cell, notes))


@dataclass(frozen=True)
class RemovedRun:
    """A run whose hosts were removed, and the exit code of the removal alone."""

    journal: Journal
    notes: Notes | None
    exit_code: int


def remove_run(
    rundir: RunDir,
    settings: Settings,
    *,
    engine: str,
    listener: Listener,
    ending: Ending,
    tell: Callable[[str], None],
) -> RemovedRun:
    """Collect the logs of what a run kept, remove it and report the run; a signal may end the first part only.

    Where the run cannot be reopened, its hosts are found by their labels;
    there are no logs then, and ``tell`` is called with the reason.
    """
    stop = ending.stop()
    try:
        with working_directory(rundir):
            saved, _ = recorded_settings.load(rundir, settings, _NO_HOOK)
            cell = reopen_cell(rundir, saved, listener, stop)
    except (UsageError, InterruptedRunError, OSError) as error:
        tell(str(error))
        ending.shield(stop)
        runner = Runner(record=rundir.record_command, limits=settings.time_limits, retries=settings.retries)
        journal = Journal(rundir, [listener])
        connected_engine = connect(runner, engine, settings.cache_dir)
        journal.reopen()
        return RemovedRun(journal, None, down.down(journal, connected_engine))
    cell.journal.reopen()
    down.collect_evidence(cell)
    ending.shield(stop)
    return RemovedRun(cell.journal, cell.notes, down.down(cell.journal, cell.engine, notes=cell.notes))

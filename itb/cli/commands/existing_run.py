"""Commands that go on with an existing run: one more phase of it, the rest of it, or its removal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from itb.cli.commands import common, current_run
from itb.config import options
from itb.config.option import Continuation
from itb.config.settings import Settings
from itb.containers.connection import connect
from itb.errors import ExitCode, InterruptedRunError, UsageError, worst
from itb.phase import Phase
from itb.process import orphans
from itb.process.runner import Runner
from itb.process.stop import Ending
from itb.run import pipeline, recorded_settings, reopen
from itb.rundir.directory import RunDir


def _print_notes(text: str, notes: Sequence[str]) -> None:
    """Print notes about a run to standard error, if it is still open."""
    with suppress(OSError):
        common.print_clean(f"itb: {text}: {'; '.join(notes)}", to_stderr=True)


def run_phase(settings: Settings, run_name: str, phase: Phase, *, trust: str | None = None) -> int:
    """Do one more phase of a run whose hosts are up, and return the run's exit code.

    Without a ``run_name`` it is the only run that has hosts.  The run keeps its
    level of trust unless the command line says another, ``trust``.
    """
    rundir = RunDir.find(settings.runs_dir, run_name)
    if not run_name:
        rundir = current_run.choose(rundir, common.find_engine(settings))
    ending = Ending()
    changeable = {name for name, option in options.settings().items() if option.changed_by(Continuation.PHASE)}
    changes = settings.model_dump(include=changeable, exclude_defaults=True)
    new_values = {key: value for key, value in changes.items() if value} | ({"trust": trust} if trust else {})
    saved, notes = recorded_settings.load(rundir, settings, new_values)
    current_run.check_not_ended(rundir, common.find_engine(saved))
    if notes:
        _print_notes(f"going on with {rundir.id}", notes)
    common.begin_reports(settings)
    limit = settings.run_timeout * settings.timeout_factor
    with ending.listening(limit), orphans.guard(), common.progress(settings, phase) as listener:
        cell = reopen.reopen_cell(rundir, saved, listener, ending.stop())
        with rundir.lock():
            reopen.check_trust(cell)
            reopen.check_hosts(cell)
            code = pipeline.run_phase(cell, ending, phase)
    common.conclude(settings, (cell.journal, cell.notes))
    return code


def down(settings: Settings, run_name: str) -> int:
    """Remove the hosts, network and secrets of a run; a signal cuts short the evidence, never the removal.

    Hosts are found by their labels where the run directory is damaged: then
    there is no evidence, and a note says so.
    """
    newest = RunDir.find(settings.runs_dir, run_name)
    rundir = newest if run_name else current_run.choose_removable(newest, common.find_engine(settings))
    if rundir is None:
        print(f"nothing to remove: no run in {settings.runs_dir} has hosts, a network or volumes")
        return ExitCode.PASSED
    engine = recorded_settings.find_engine(rundir, settings)
    if _has_nothing_left(rundir, engine, settings):
        print(f"nothing to remove: run {rundir.id} has no hosts, network, volumes or secrets")
        return ExitCode.PASSED
    ending = Ending()
    limit = settings.run_timeout * settings.timeout_factor
    with ending.listening(limit), orphans.guard(), common.progress(settings, "down") as listener, rundir.lock():
        removed = reopen.remove_run(
            rundir,
            settings,
            engine=engine,
            listener=listener,
            ending=ending,
            tell=lambda reason: _print_notes(f"{rundir.id} goes without its logs", [reason]),
        )
    common.conclude(settings, (removed.journal, removed.notes))
    return worst([removed.exit_code, InterruptedRunError.exit_code if ending.signals else ExitCode.PASSED])


def _has_nothing_left(rundir: RunDir, program: str, settings: Settings) -> bool:
    """Return whether a run has ended and left nothing; False if its state cannot be read."""
    try:
        state = rundir.state
    except UsageError:
        return False
    if state.finished is None or state.kept or state.is_stepwise or rundir.is_locked():
        return False
    engine = connect(Runner(limits=settings.time_limits), program, settings.cache_dir)
    return not current_run.is_left(rundir, engine)


def resume_from(flags: Mapping[str, Any], run_name: str, *, as_json: bool = False) -> int:
    """Go on with a run that ended in any way, with its recorded settings, and return its exit code."""
    declared, new_values = options.settings(), {name: value for name, value in flags.items() if value}
    refused = [declared[name].flag for name in new_values if not declared[name].may_change(Continuation.RESUME)]
    if refused:
        raise UsageError(f"{', '.join(refused)}: a resumed run goes on with its own settings", hint="leave it out")
    settings = common.settings_from({name: flags[name] for name in new_values if declared[name].of_command})
    rundir = RunDir.find(settings.runs_dir, run_name)
    changes = {name: flags[name] for name in new_values if declared[name].changed_by(Continuation.RESUME)}
    saved, notes = recorded_settings.load(rundir, settings, {**changes, "runs": str(rundir.path.parent)})
    common.begin_reports(settings)
    ending = Ending()
    limit = saved.run_timeout * saved.timeout_factor
    with ending.listening(limit), orphans.guard(), reopen.working_directory(rundir), rundir.lock() as stale:
        notes.insert(0, f"{stale} ended without recording a result" if stale else "it had ended")
        _print_notes(f"resuming {rundir.id}", notes)
        common.warn_of_privileges(saved)
        with common.progress(saved, f"resuming {rundir.id}") as listener:
            cell, code = reopen.resume_run(rundir, saved, notes, listener=listener, ending=ending)
    common.conclude(settings, (cell.journal, cell.notes), as_json=as_json)
    return code

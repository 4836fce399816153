"""Commands that go on with an existing run: one more phase, the rest of it, its removal."""

from __future__ import annotations

import copy
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, chdir, suppress
from typing import Any

from pydantic import ValidationError

from itb.cli.commands import common, current_run
from itb.config import settings as config_settings
from itb.config import untrusted_source
from itb.config.settings import Settings
from itb.containers.engine import connect
from itb.errors import ExitCode, InterruptedRunError, UsageError, worst
from itb.model import Phase
from itb.process import orphans
from itb.process.runner import Runner
from itb.process.stop import Ending, Stop
from itb.run import pipeline, plan, resume
from itb.run.cell import Cell
from itb.run.phases import down as phases_down
from itb.rundir import seal, values
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal, Listener
from itb.tokens import lookup as tokens_lookup
from itb.util import yamlfile
from itb.util.redact import MARK, redact
from itb.version import VERSION

# Folders of definitions and what they are given: compose files mount folders of the machine, options reach
# programs that run on it, and a cache has git directories.
_DEFINITIONS = ("products", "platforms", "scenarios", "platform_options", "builder", "cache")
_ANEW = ("runs", "keep", "progress", "report_dir")  # what may be given to a run that is resumed
_NO_HOOK: dict[str, Any] = {"token_hook": Settings().token_hook, "token": {}, "hooks": []}  # down calls none


def recorded(rundir: RunDir, settings: Settings, changes: Mapping[str, object]) -> tuple[Settings, list[str]]:
    """Return the settings a run was started with, with ``changes`` made to them, and notes for the user.

    What was redacted in the run directory comes from today's configuration.
    Where its seal does not hold, programs and definitions it names have to be in today's as well.
    Settings this itb does not know, another one has recorded: they are left
    out and noted.  UsageError for a value that none can have.
    """
    state = rundir.state
    own, unknown = _known(state.settings)
    for key, value in own.items():
        if MARK in json.dumps(value):
            own[key] = settings.model_dump(mode="json")[key]
    if not seal.holds(rundir):
        _check_programs(rundir, {**own, **changes}, settings)
    origin = f"{rundir.path / 'run.json'}: settings"
    try:
        saved = yamlfile.validate({**own, "runs": settings.runs, **changes}, Settings, where=origin)
    except UsageError as error:
        versions = f"begun by itb {state.tool_version or 'of unknown version'}, this is itb {VERSION}"
        hint = f"start a new run; itb down --run {rundir.id} removes what this one kept"
        raise UsageError(f"{error.message}; {versions}", hint=hint) from None
    notes = [f"left out a setting this itb does not know: {key}" for key in unknown]
    if state.tool_version != VERSION:
        notes.insert(0, f"it was begun by itb {state.tool_version}, this is {VERSION}")
    return saved, notes


def _check_programs(rundir: RunDir, recorded: Mapping[str, Any], settings: Settings) -> None:
    """Raise UsageError for a program or a folder of definitions that only the run directory names.

    A copied one may come from anybody.  The names of itb's own hooks and of
    the machine's engines name no program of somebody's.
    """
    today, default = settings.model_dump(mode="json"), Settings().model_dump(mode="json")
    for key, ours in (("engine", untrusted_source.ENGINES), ("token_hook", tokens_lookup.BUILTIN)):
        value = recorded.get(key, today[key])
        if value not in (*ours, today[key]):
            remedy = f"ITB_{key.upper()}={shlex.quote(str(value))} in the environment"
            raise _untrusted(rundir, key, repr(value), remedy)
    for key in ("token", "hooks"):
        value = json.loads(json.dumps(recorded.get(key)))
        if recorded.get("token_hook") != Settings().token_hook and value not in (None, {}, [], today[key]):
            raise _untrusted(rundir, key, json.dumps(value), f"set {key} in {config_settings.user_file()}")
    for key in (*_DEFINITIONS, *untrusted_source.BY_NAME_ONLY):
        value = json.loads(json.dumps(recorded.get(key, default[key])))
        is_name = key in untrusted_source.BY_NAME_ONLY and not untrusted_source.is_path(value)
        if not is_name and value not in (default[key], today[key]):
            raise _untrusted(rundir, key, json.dumps(value), f"set {key} in {config_settings.user_file()}")


def _untrusted(rundir: RunDir, key: str, value: str, remedy: str) -> UsageError:
    """Return the error for a value of ``run.json`` that the user's own settings do not have."""
    return UsageError(
        f"run {rundir.id}: its run.json says {key}: {redact(value)[:200]}, and your settings do not",
        hint=f"a run directory may come from anybody; if you trust it: {remedy}",
    )


def _known(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return recorded settings without those that do not exist, and the names of these."""
    known, unknown = copy.deepcopy(dict(values)), []
    try:
        Settings.model_validate(known)
    except ValidationError as error:
        for problem in error.errors():
            if problem["type"] == "extra_forbidden":
                *outer, key = problem["loc"]
                inner: Any = known
                for part in outer:
                    inner = inner[part]
                del inner[key]
                unknown.append(".".join(map(str, problem["loc"])))
    return known, unknown


def reopen(rundir: RunDir, saved: Settings, listener: Listener, stop: Stop) -> Cell:
    """Return a cell with all that the phases need to go on with an existing run."""
    state = rundir.state
    commit = rundir.saved(values.COMMIT)
    if commit is None:
        raise UsageError(f"run {rundir.id} has no commit: nothing to go on from", hint="start a new one: itb run")
    plans = [cell_plan for cell_plan in plan.plan_cells(saved) if cell_plan.platform.name == state.platform]
    if not plans:
        raise UsageError(f"run {rundir.id}: its settings name no platform {state.platform!r}")
    return plan.assemble_cell(saved, plans[0], commit, rundir, listener=listener, stop=stop)


def _working_directory(rundir: RunDir) -> AbstractContextManager[None]:
    """Return a context in which relative paths of a run's settings mean what they did, if that folder exists.

    A copied run directory does not say where the user's own relative paths lead to.
    """
    folder = rundir.state.cwd if seal.holds(rundir) else ""
    return chdir(folder if os.path.isdir(folder) else ".")  # noqa: PTH112 - Path("") is "."


def _print_notes(text: str, notes: Sequence[str]) -> None:
    """Print notes about a run to standard error; one that nobody reads stops nothing."""
    with suppress(OSError):
        print(redact(f"itb: {text}: {'; '.join(notes)}"), file=sys.stderr)


def run_phase(settings: Settings, wanted: str, phase: str) -> int:
    """Do one more phase of a run whose hosts are up, and return the run's exit code.

    Where none is ``wanted`` it is the only one that can be gone on with.
    """
    rundir = RunDir.find(settings.runs_dir, wanted)
    if not wanted:
        rundir = current_run.choose(rundir, common.find_engine(settings))
    ending = Ending()
    # What may be different when a run goes on: which scenarios and which hook.
    changes = settings.model_dump(include={"scenario", "token_hook", "progress"}, exclude_defaults=True)
    saved, notes = recorded(rundir, settings, {key: value for key, value in changes.items() if value})
    current_run.check_open(rundir, common.find_engine(saved))
    if notes:
        _print_notes(f"going on with {rundir.id}", notes)
    common.begin_reports(settings)
    limit = settings.run_timeout * settings.timeout_factor
    with ending.listening(limit), orphans.guard(), common.progress(settings, phase) as listener:
        cell = reopen(rundir, saved, listener, ending.stop())
        with rundir.lock():
            code = pipeline.run_phase(cell, ending, Phase(phase))
    common.conclude(settings, (cell.journal, cell.notes))
    return code


def down(settings: Settings, wanted: str) -> int:
    """Remove what a run kept; a signal may cut its evidence short, never that.

    Whatever a run directory lacks for going on, its hosts are found by
    their labels: then there is no evidence, and that is said.
    """
    newest = RunDir.find(settings.runs_dir, wanted)
    rundir = newest if wanted else current_run.choose_removable(newest, common.find_engine(settings))
    if rundir is None:
        print(f"nothing to remove: no run in {settings.runs_dir} has hosts, a network or volumes")
        return ExitCode.PASSED
    program = _recorded_engine(rundir, settings)
    if _has_nothing_left(rundir, program, settings):
        print(f"nothing to remove: run {rundir.id} has no hosts, network, volumes or secrets")
        return ExitCode.PASSED
    ending = Ending()
    limit = settings.run_timeout * settings.timeout_factor
    with ending.listening(limit), orphans.guard(), common.progress(settings, "down") as listener, rundir.lock():
        stop = ending.stop()
        notes = None
        try:
            with _working_directory(rundir):
                cell = reopen(rundir, recorded(rundir, settings, _NO_HOOK)[0], listener, stop)
        except (UsageError, InterruptedRunError, OSError) as error:
            _print_notes(f"{rundir.id} goes without its logs", [str(error)])
            ending.shield(stop)
            journal = Journal(rundir, [listener])
            runner = Runner(record=rundir.record_command, limits=settings.time_limits, retries=settings.retries)
            engine = connect(runner, program, settings.cache_dir)
            journal.reopen()
        else:
            journal, engine, notes = cell.journal, cell.engine, cell.notes
            journal.reopen()
            phases_down.collect_evidence(cell)
            ending.shield(stop)
        code = phases_down.down(journal, engine, notes=notes)
    common.conclude(settings, (journal, notes))
    return worst([code, InterruptedRunError.exit_code if ending.signals else ExitCode.PASSED])


def _has_nothing_left(rundir: RunDir, program: str, settings: Settings) -> bool:
    """Return whether a run has ended and left nothing; of one whose state cannot be read nobody knows."""
    try:
        state = rundir.state
    except UsageError:
        return False
    if state.finished is None or state.kept or state.open or rundir.is_held():
        return False
    engine = connect(Runner(limits=settings.time_limits), program, settings.cache_dir)
    return not current_run.is_left(rundir, engine)


def _recorded_engine(rundir: RunDir, settings: Settings) -> str:
    """Return the engine a run was started with, as far as that can be read and may be started."""
    try:
        saved, sealed = rundir.state.settings, seal.holds(rundir)
    except UsageError:
        return settings.engine
    if not sealed:
        _check_programs(rundir, {"engine": saved.get("engine") or settings.engine}, settings)
    return str(saved.get("engine") or settings.engine)


def resume_from(flags: Mapping[str, Any], wanted: str, *, as_json: bool = False) -> int:
    """Go on with a run, however it ended, with its own settings, and return its exit code."""
    refused = {key: value for key, value in flags.items() if value and key not in _ANEW}
    if refused:
        names = ", ".join(f"--{key.replace('_', '-')}" for key in refused)
        raise UsageError(f"{names}: a resumed run goes on with its own settings", hint="leave it out")
    settings = common.settings_from({key: flags.get(key, "") for key in ("runs", "progress", "report_dir")})
    rundir = RunDir.find(settings.runs_dir, wanted)
    before = rundir.state
    changes = {key: flags[key] for key in ("keep", "progress") if flags.get(key)}
    saved, notes = recorded(rundir, settings, {**changes, "runs": str(rundir.path.parent)})
    common.begin_reports(settings)
    ending = Ending()
    limit = saved.run_timeout * saved.timeout_factor
    with ending.listening(limit), orphans.guard(), _working_directory(rundir), rundir.lock() as stale:
        notes.insert(0, f"{stale} ended without a word" if stale else "it had ended")
        _print_notes(f"resuming {rundir.id}", notes)
        with common.progress(saved, f"resuming {rundir.id}") as listener:
            plan.check_disk(saved)
            cell = reopen(rundir, saved, listener, ending.stop())
            resume.check_unchanged(before, resume.checksums(cell.product, cell.platform, cell.topology))
            cell.journal.reopen(resume=True)
            rundir.tokens.mkdir(mode=0o700, exist_ok=True)
            rundir.update(pid=os.getpid(), finished=None, exit_code=None, kept=False, tool_version=VERSION)
            code = pipeline.run_cell(cell, ending, lambda: resume.restore_checkpoints(cell, notes))
    common.conclude(settings, (cell.journal, cell.notes), as_json=as_json)
    return code

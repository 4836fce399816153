"""What the tasks do with a run that is there: one more phase, the rest of it, its end."""

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

from itb.cli.commands import common
from itb.config import settings as config_settings
from itb.config import under_test
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
from itb.rundir import values
from itb.rundir.directory import RunDir, RunState
from itb.rundir.journal import Journal, Listener
from itb.tokens import lookup
from itb.util import yamlfile
from itb.util.redact import MARK, redact
from itb.version import VERSION

_NO_HOOK: dict[str, Any] = {"token_hook": Settings().token_hook, "token": {}, "hooks": []}  # down asks none


def recorded(rundir: RunDir, chosen: Settings, changes: Mapping[str, object]) -> tuple[Settings, list[str]]:
    """The settings a run was started with, ``changes`` made to them, and what is to be said of that.

    What was redacted in the run directory comes from today's configuration.
    Programs that it names have to be in today's as well: see _check_programs.
    Settings this itb does not know, another one has recorded: they are left
    out and noted.  UsageError for a value that none can have.
    """
    state = rundir.state
    own, unknown = _known(state.settings)
    for key, value in own.items():
        if MARK in json.dumps(value):
            own[key] = chosen.model_dump(mode="json")[key]
    _check_programs(rundir, {**own, **changes}, chosen)
    where = f"{rundir.path / 'run.json'}: settings"
    try:
        saved = yamlfile.validate({**own, "runs": chosen.runs, **changes}, Settings, where=where)
    except UsageError as error:
        begun = f"begun by itb {state.tool_version or 'of unknown version'}, this is itb {VERSION}"
        hint = f"start a new run; itb down --run {rundir.id} removes what this one kept"
        raise UsageError(f"{error.message}; {begun}", hint=hint) from None
    notes = [f"left out a setting this itb does not know: {key}" for key in unknown]
    if state.tool_version != VERSION:
        notes.insert(0, f"it was begun by itb {state.tool_version}, this is {VERSION}")
    return saved, notes


def _check_programs(rundir: RunDir, recorded: Mapping[str, Any], chosen: Settings) -> None:
    """UsageError for a program that only the run directory names: a copied one may come from anybody.

    The names of itb's own hooks and of the machine's engines name no program of somebody's.
    """
    today = chosen.model_dump(mode="json")
    for key, ours in (("engine", under_test.ENGINES), ("token_hook", lookup.BUILTIN)):
        value = recorded.get(key, today[key])
        if value not in (*ours, today[key]):
            once = f"ITB_{key.upper()}={shlex.quote(str(value))} in the environment"
            raise _unnamed(rundir, key, repr(value), once)
    for key in ("token", "hooks"):
        value = json.loads(json.dumps(recorded.get(key)))
        if recorded.get("token_hook") != Settings().token_hook and value not in (None, {}, [], today[key]):
            raise _unnamed(rundir, key, json.dumps(value), f"set {key} in {config_settings.user_file()}")


def _unnamed(rundir: RunDir, key: str, value: str, remedy: str) -> UsageError:
    return UsageError(
        f"run {rundir.id}: its run.json says {key}: {redact(value)[:200]}, and your settings do not",
        hint=f"a run directory may come from anybody; if you trust it: {remedy}",
    )


def _known(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Recorded settings without those that do not exist, and the names of these."""
    known, unknown = copy.deepcopy(dict(values)), []
    try:
        Settings.model_validate(known)
    except ValidationError as error:
        for item in error.errors():
            if item["type"] == "extra_forbidden":
                *way, key = item["loc"]
                inner: Any = known
                for part in way:
                    inner = inner[part]
                del inner[key]
                unknown.append(".".join(map(str, item["loc"])))
    return known, unknown


def reopen(rundir: RunDir, saved: Settings, listener: Listener, stop: Stop) -> Cell:
    """Everything the phases need to go on with an existing run."""
    state = rundir.state
    commit = rundir.saved(values.COMMIT)
    if commit is None:
        raise UsageError(f"run {rundir.id} has no commit: nothing to go on from", hint="start a new one: itb run")
    parts = [part for part in plan.plan(saved) if part.platform.name == state.platform]
    if not parts:
        raise UsageError(f"run {rundir.id}: its settings name no platform {state.platform!r}")
    return plan.make_cell(saved, parts[0], commit, rundir, listener=listener, stop=stop)


def _where_it_began(state: RunState) -> AbstractContextManager[None]:
    """The directory that relative paths in a run's settings are relative to, if it is still there."""
    return chdir(state.cwd if os.path.isdir(state.cwd) else ".")  # noqa: PTH112 - Path("") is "."


def _say(text: str, notes: Sequence[str]) -> None:
    with suppress(OSError):
        print(redact(f"itb: {text}: {'; '.join(notes)}"), file=sys.stderr)


def go_on(chosen: Settings, wanted: str, phase: str) -> int:
    """Do one more phase of an existing run and return its exit code."""
    rundir = RunDir.find(chosen.runs_dir, wanted)
    ending = Ending()
    # What may be different when a run goes on: which scenarios and which hook.
    given = chosen.model_dump(include={"scenario", "token_hook", "progress"}, exclude_defaults=True)
    saved, notes = recorded(rundir, chosen, {key: value for key, value in given.items() if value})
    if notes:
        _say(f"going on with {rundir.id}", notes)
    limit = chosen.run_timeout * chosen.timeout_factor
    with ending.listening(limit), orphans.on_duty(), common.progress(chosen, phase) as listener:
        cell = reopen(rundir, saved, listener, ending.stop())
        with rundir.lock():
            cell.journal.take_up()
            code = pipeline.go_on(cell, ending, Phase(phase))
    common.show((cell.journal, cell.notes))
    return code


def down(chosen: Settings, wanted: str) -> int:
    """Remove what a run kept; a signal may cut its evidence short, never that.

    Whatever a run directory lacks for going on, its hosts are found by
    their labels: then there is no evidence, and that is said.
    """
    rundir = RunDir.find(chosen.runs_dir, wanted)
    program = _recorded_engine(rundir, chosen)
    ending = Ending()
    limit = chosen.run_timeout * chosen.timeout_factor
    with ending.listening(limit), orphans.on_duty(), common.progress(chosen, "down") as listener, rundir.lock():
        stop = ending.stop()
        notes = None
        try:
            with _where_it_began(rundir.state):
                cell = reopen(rundir, recorded(rundir, chosen, _NO_HOOK)[0], listener, stop)
        except (UsageError, InterruptedRunError, OSError) as error:
            _say(f"{rundir.id} goes without its logs", [str(error)])
            ending.leave_alone(stop)
            journal = Journal(rundir, [listener])
            runner = Runner(record=rundir.record_command, limits=chosen.time_limits, retries=chosen.retries)
            engine = connect(runner, program, chosen.cache_dir)
            journal.take_up()
        else:
            journal, engine, notes = cell.journal, cell.engine, cell.notes
            journal.take_up()
            phases_down.collect_evidence(cell)
            ending.leave_alone(stop)
        code = phases_down.down(journal, engine, notes=notes)
    common.show((journal, notes))
    return worst([code, InterruptedRunError.exit_code if ending.signals else ExitCode.PASSED])


def _recorded_engine(rundir: RunDir, chosen: Settings) -> str:
    """The engine a run was started with, as far as that can be read and may be started."""
    try:
        settings = rundir.state.settings
    except UsageError:
        return chosen.engine
    _check_programs(rundir, {"engine": settings.get("engine") or chosen.engine}, chosen)
    return str(settings.get("engine") or chosen.engine)


def resume_from(flags: Mapping[str, Any], wanted: str, *, as_json: bool = False) -> int:
    """Go on with a run that ended in whatever way, with its own settings."""
    if not wanted:
        raise UsageError("--resume: no run named", hint="itb list shows them")
    given = {key: value for key, value in flags.items() if value and key not in ("runs", "keep", "progress")}
    if given:
        names = ", ".join(f"--{key.replace('_', '-')}" for key in given)
        raise UsageError(f"{names}: a resumed run goes on with its own settings", hint="leave it out")
    chosen = common.settings_from({"runs": flags.get("runs", "")})
    rundir = RunDir.find(chosen.runs_dir, wanted)
    before = rundir.state
    anew = {key: flags[key] for key in ("keep", "progress") if flags.get(key)}
    saved, notes = recorded(rundir, chosen, {**anew, "runs": str(rundir.path.parent)})
    ending = Ending()
    limit = saved.run_timeout * saved.timeout_factor
    with ending.listening(limit), orphans.on_duty(), _where_it_began(before), rundir.lock() as stale:
        notes.insert(0, f"{stale} ended without a word" if stale else "it had ended")
        _say(f"resuming {rundir.id}", notes)
        with common.progress(saved, f"resuming {rundir.id}") as listener:
            plan.check_disk(saved)
            cell = reopen(rundir, saved, listener, ending.stop())
            resume.check_unchanged(before, resume.checksums(cell.product, cell.platform, cell.topology))
            cell.journal.take_up(resume=True)
            rundir.tokens.mkdir(mode=0o700, exist_ok=True)
            rundir.update(pid=os.getpid(), finished=None, exit_code=None, kept=False, tool_version=VERSION)
            code = pipeline.run_cell(cell, ending, lambda: resume.take_up(cell, notes))
    common.show((cell.journal, cell.notes), as_json=as_json)
    return code

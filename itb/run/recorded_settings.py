"""The settings that a run was started with, read from its directory; those of a copied one are not trusted."""

from __future__ import annotations

import copy
import json
import shlex
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from itb.config import settings as config_settings
from itb.config import untrusted_source
from itb.config.options import BY_REFERENCE
from itb.config.settings import Settings
from itb.errors import UsageError
from itb.model import Trust
from itb.rundir import seal
from itb.rundir.directory import RunDir
from itb.tokens import lookup as tokens_lookup
from itb.util import yamlfile
from itb.util.redact import MARK, redact
from itb.version import VERSION

# What a copied run directory may choose: which version is tested, how long and how often something is tried; the
# rest of these is not read when a run goes on, or is checked in a way of its own.
# What else there is, one day too, could name a folder of the machine, options of
# programs there, or a server that hosts reach.
_CHOSEN_BY_COPY = frozenset({
    "ref", "source", "variant", "upgrade_from", "nevra", "duration", "fresh_build", "keep", "jobs", "retries",
    "timeout_factor", "limits", "run_timeout", "token_min_lifetime", "progress", "runs", "report_dir", "publish",
    "trust", "allow_privileged", "engine", "token_hook", "token", "hooks",
})  # fmt: skip


def load(rundir: RunDir, settings: Settings, changes: Mapping[str, object]) -> tuple[Settings, list[str]]:
    """Return the settings a run was started with, with ``changes`` made to them, and notes for the user.

    What was redacted in the run directory comes from ``settings``, the user's of today.
    Where its seal does not hold, programs and definitions it names have to be in these as well.
    Settings this itb does not know, another one has recorded: they are left
    out and noted.  UsageError for a value that none can have.
    """
    state = rundir.state
    own, unknown = _split_known(state.settings)
    for key, value in own.items():
        if MARK in json.dumps(value):
            own[key] = settings.model_dump(mode="json")[key]
    # An older version built with mock without being told that it may.
    own.setdefault("allow_privileged", own.get("builder") == "mock")
    if not seal.is_intact(rundir):
        own |= _todays_trust(settings)
        _check_trusted(rundir, {**own, **changes}, settings)
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


def _todays_trust(settings: Settings) -> dict[str, Any]:
    """Return what today's user allows a run that anybody may have made: it has the level of a pull request."""
    level = Trust.PR if settings.trust == BY_REFERENCE else settings.trust
    return {"trust": level, "allow_privileged": settings.allow_privileged}


def find_engine(rundir: RunDir, settings: Settings) -> str:
    """Return the engine a run was started with, that of ``settings`` where it cannot be read.

    Raises UsageError for one that only a copied run directory names.
    """
    try:
        recorded, sealed = rundir.state.settings, seal.is_intact(rundir)
    except UsageError:
        return settings.engine
    engine = recorded.get("engine") or settings.engine
    if not sealed:
        _check_trusted(rundir, {"engine": engine}, settings)
    return str(engine)


def _check_trusted(rundir: RunDir, recorded: Mapping[str, Any], settings: Settings) -> None:
    """Raise UsageError for a program or a folder of definitions that only the run directory names.

    A copied one may come from anybody.  The names of itb's own hooks and of
    the machine's engines name no program of somebody's.
    """
    today, default = settings.model_dump(mode="json"), Settings().model_dump(mode="json")
    declared = config_settings.declared()
    for key, ours in (("engine", declared["engine"].choices), ("token_hook", tokens_lookup.PROVIDERS)):
        value = recorded.get(key, today[key])
        if value not in (*ours, today[key]):
            remedy = f"{declared[key].variable}={shlex.quote(str(value))} in the environment"
            raise _untrusted(rundir, key, repr(value), remedy)
    for key in ("token", "hooks"):
        value = json.loads(json.dumps(recorded.get(key)))
        if recorded.get("token_hook") != Settings().token_hook and value not in (None, {}, [], today[key]):
            raise _untrusted(rundir, key, json.dumps(value), f"set {key} in {config_settings.user_file()}")
    for key in (name for name in Settings.model_fields if name not in _CHOSEN_BY_COPY):
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


def _split_known(recorded: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return recorded settings without those that do not exist, and the names of these."""
    known, unknown = copy.deepcopy(dict(recorded)), []
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

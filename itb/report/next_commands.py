"""Command lines that a report suggests to type next; they work as they are printed."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

from itb.config import options
from itb.model import Commit, CommitKind
from itb.phase import Phase
from itb.report.case_list import find_deciding_case
from itb.report.run_data import UNKNOWN_PRODUCT, RunData
from itb.report.verdict import Verdict, VerdictKind
from itb.roles import NETWORK
from itb.util.redact import MARK

_SETTINGS = options.settings()
_RUNS = str(_SETTINGS["runs"].default)  # of the directory where itb is called
# Settings whose value is always a path, with a slash in it or not; others may hold a name.
_ONLY_PATHS = ("source", "repo_key", "runs", "cache", "products", "platforms", "scenarios", "hooks")
# Settings that are repeated unless default.
_REPEATED = ("builder", "trust", "token_hook", "engine", "cache", "runs")
_HIDDEN_LOGIN = re.compile(rf"://[^/@\s]*{re.escape(MARK)}[^/@\s]*@")


class NextCommand(NamedTuple):
    """A command line to type next; ``title`` names it in one or two words, ``why`` says what it does."""

    title: str
    command: str
    why: str


def next_commands(run_data: RunData, verdict: Verdict, *, anywhere: bool = False) -> list[NextCommand]:
    """Return the commands that a person may want to type after a run.

    ``anywhere``: they work from any directory, not only from the present one.
    """
    deciding_case = find_deciding_case(run_data.cases, verdict.exit_code)
    run, runs = run_data.rundir.id, _runs_option(run_data, anywhere=anywhere)
    itb = program()
    commands = []
    if run_data.state.kept:
        # A run that was only built has hosts, but no testbed.
        booted = [case.role for case in run_data.cases if case.phase == Phase.UP and case.role != NETWORK]
        roles = [host.role for host in run_data.testbed_hosts.hosts] if run_data.testbed_hosts else booted
        role = [deciding_case.role] if deciding_case and deciding_case.role in roles else roles[:1]
        # Options first, since all behind the role is the command's; with no role, a host where the run failed.
        shell = shlex.join([itb, "shell", *runs, run, *role])
        commands.append(NextCommand("look", shell, "a shell on a host of this run"))
        down = shlex.join([itb, "down", "--run", run, *runs])
        commands.append(NextCommand("remove", down, "remove the hosts"))
    elif not verdict.good and verdict.kind is not VerdictKind.RUNNING:
        if run_data.commit and verdict.kind in (VerdictKind.INTERRUPTED, VerdictKind.ERROR):
            resume = shlex.join([itb, "run", "--resume", run, *runs])
            commands.append(NextCommand("go on", resume, "what is done is not repeated"))
        if again := reproduce(run_data, "--keep", "failed"):
            commands.append(NextCommand("again", again, "again, keeping the hosts when it fails"))
    return commands


def reproduce(run_data: RunData, *options: str) -> str:
    """Return the command that tests the same commit again with the same settings, from any directory.

    It is empty where the run's product is not known.  Where the run took
    settings or files from its working directory, the command changes to it.
    """
    if run_data.state.product == UNKNOWN_PRODUCT:
        return ""
    line = " ".join([*_variables(run_data), shlex.join([*_same_run(run_data), *options])])
    folder = run_data.state.cwd
    if folder and (_has_relative_path(run_data) or (Path(folder) / "itb.yaml").is_file()):
        return f"cd {shlex.quote(folder)} && {line}"
    return line


def program() -> str:
    """Return the name of this program, or its path where a shell would not find it by its name."""
    own, named = Path(sys.argv[0]).absolute(), shutil.which("itb")
    if own.parts[-2:] == ("itb", "__main__.py") and not named:  # python -m itb
        own = Path(sys.executable).with_name("itb")
    if own.name != "itb" or not own.is_file():
        return "itb"
    return "itb" if named and Path(named).resolve() == own.resolve() else str(own)


def _same_run(run_data: RunData) -> list[str]:
    """Return the arguments that run the same commit with the same settings in the run's working directory."""
    state, commit, settings = run_data.state, run_data.commit, run_data.state.settings
    arguments = [program(), "run", "--product", settings.get("product") or state.product]
    arguments += ["--platform", _platform(run_data)]
    if commit and commit.kind is CommitKind.PUBLISHED:
        arguments += _published_options(run_data, commit)
    elif ref := commit.id if commit and commit.kind is not CommitKind.WORKTREE else state.ref:
        arguments += ["--ref", ref]
    if settings.get("source"):
        # A login that the run directory does not hold is for git's own credential helper to give.
        arguments += ["--source", _HIDDEN_LOGIN.sub("://", settings["source"])]
    if settings.get("variant"):
        arguments += ["--variant", ",".join(settings["variant"])]
    for option in (_SETTINGS[name] for name in ("allow_privileged", "fresh_build")):
        arguments += [option.flag] if settings.get(option.name) else []
    for option in (_SETTINGS[name] for name in _REPEATED):
        if settings.get(option.name, option.default) != option.default:
            arguments += [option.flag, settings[option.name]]
    if run_data.previous_commit:
        arguments += ["--upgrade-from", run_data.previous_commit.id or run_data.previous_commit.describe]
    if scenarios := settings.get("scenario") or state.scenarios:
        arguments += ["--scenario", ",".join(scenarios)]
    return arguments


def _variables(run_data: RunData) -> list[str]:
    """Return the environment variables, quoted for a shell, of settings that no option can set."""
    state = run_data.state
    from_environment = [option for name, option in _SETTINGS.items() if name in state.environment]
    values = {
        option.variable: state.settings.get(option.name) for option in from_environment if not option.heading
    }
    return [f"{name}={shlex.quote(_text(value))}" for name, value in values.items() if value is not None]


def _text(value: Any) -> str:
    """Return a setting's value in the form that an environment variable has."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _has_relative_path(run_data: RunData) -> bool:
    """Return whether a setting names a file by a path relative to the run's working directory."""
    settings = run_data.state.settings
    values = [settings.get(name) for name in ("product", "token_hook", "from_repo")]
    values += [*(settings.get("platform") or ()), *(settings.get("scenario") or ())]
    paths = [value for value in values if isinstance(value, str) and _is_path(value)]
    for value in (settings.get(name) for name in _ONLY_PATHS):
        paths += [value] if isinstance(value, str) else [*(value or ())]
    paths = [path for path in paths if path not in ("", _RUNS)]
    return any(not Path(path).is_absolute() and (Path(run_data.state.cwd) / path).exists() for path in paths)


def _is_path(value: str) -> bool:
    return "/" in value or value in (".", "..")


def _platform(run_data: RunData) -> str:
    """Return the run's platform as the user wrote it: its name or its folder."""
    folder, name = Path(run_data.state.cwd), run_data.state.platform
    platforms = run_data.state.settings.get("platform") or ()
    return next((value for value in platforms if (folder / value).resolve().name == name), name)


def _runs_option(run_data: RunData, *, anywhere: bool) -> list[str]:
    """Return the option ``--runs``; none where the run is in the default folder of this directory."""
    runs = run_data.rundir.path.parent
    return [] if runs == Path.cwd() / _RUNS and not anywhere else ["--runs", str(runs)]


def _published_options(run_data: RunData, commit: Commit) -> list[str]:
    """Return the options that install the same published packages again."""
    settings = run_data.state.settings
    arguments = ["--from-repo", commit.source]
    pin = commit.describe or str(settings.get("nevra") or "")
    arguments += ["--nevra", pin] if pin else []
    arguments += ["--repo-key", settings["repo_key"]] if settings.get("repo_key") else []
    return [*arguments, "--allow-unsigned"] if settings.get("allow_unsigned") else arguments

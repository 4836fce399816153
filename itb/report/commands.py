"""What a person may want to type after a run: command lines that work as they are printed."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from itb.config import options
from itb.model import Commit, CommitKind
from itb.phase import Phase
from itb.report.facts import UNKNOWN_PRODUCT, Facts
from itb.report.verdict import Kind, Verdict, find_deciding_case
from itb.roles import NETWORK

_SETTINGS = options.settings()
_RUNS = str(_SETTINGS["runs"].default)  # of the directory where itb is called
# Settings that know no names: a word without a slash is a path too.
_ONLY_PATHS = ("source", "repo_key", "runs", "cache", "products", "platforms", "scenarios", "hooks")
_GIVEN_AGAIN = ("builder", "token_hook", "engine", "cache", "runs")  # where they are not the default


def next_commands(facts: Facts, verdict: Verdict, *, anywhere: bool = False) -> list[tuple[str, str, str]]:
    """Return what a person may want to type now: (title, command, why).

    ``anywhere``: they are to work from any directory, not only from this one.
    """
    deciding_case = find_deciding_case(facts, verdict.exit_code)
    run, runs = facts.rundir.id, _runs_words(facts, anywhere=anywhere)
    itb = program()
    commands = []
    if facts.state.kept:
        # A run that was only built has hosts, but no testbed.
        booted = [case.role for case in facts.cases if case.phase == Phase.UP and case.role != NETWORK]
        roles = [host.role for host in facts.testbed.hosts] if facts.testbed else booted
        role = deciding_case.role if deciding_case and deciding_case.role in roles else (roles or ["frontend"])[0]
        commands.append(("look", shlex.join([itb, "shell", run, role, *runs]), "a shell on a host of this run"))
        commands.append(("remove", shlex.join([itb, "down", "--run", run, *runs]), "remove the hosts"))
    elif not verdict.good and verdict.kind is not Kind.RUNNING:
        if facts.commit and verdict.kind in (Kind.INTERRUPTED, Kind.ERROR):
            resume = shlex.join([itb, "run", "--resume", run, *runs])
            commands.append(("go on", resume, "what is done is not repeated"))
        if again := reproduce(facts, "--keep", "failed"):
            commands.append(("again", again, "again, keeping the hosts when it fails"))
    return commands


def reproduce(facts: Facts, *more: str) -> str:
    """Return the command that tests the same commit again with the same settings, from any directory.

    It is empty where nothing says of what product the run was.  Where the
    run took its settings or files from its directory, the command goes there.
    """
    if facts.state.product == UNKNOWN_PRODUCT:
        return ""
    line = " ".join([*_variables(facts), shlex.join([*_same_run(facts), *more])])
    folder = facts.state.cwd
    if folder and (_has_relative_path(facts) or (Path(folder) / "itb.yaml").is_file()):
        return f"cd {shlex.quote(folder)} && {line}"
    return line


def program() -> str:
    """Return how a shell finds this program: by its name, or its path where that is not among the programs."""
    own, named = Path(sys.argv[0]).absolute(), shutil.which("itb")
    if own.parts[-2:] == ("itb", "__main__.py") and not named:  # python -m itb
        own = Path(sys.executable).with_name("itb")
    if own.name != "itb" or not own.is_file():
        return "itb"
    return "itb" if named and Path(named).resolve() == own.resolve() else str(own)


def _same_run(facts: Facts) -> list[str]:
    """Return the command line of a run of the same commit with the same settings, in the run's own directory."""
    state, commit, settings = facts.state, facts.commit, facts.state.settings
    words = [program(), "run", "--product", settings.get("product") or state.product]
    words += ["--platform", _platform(facts)]
    if commit and commit.kind is CommitKind.PUBLISHED:
        words += _published_words(facts, commit)
    elif ref := commit.id if commit and commit.kind is not CommitKind.WORKTREE else state.ref:
        words += ["--ref", ref]
    if settings.get("source"):
        words += ["--source", settings["source"]]
    if settings.get("variant"):
        words += ["--variant", ",".join(settings["variant"])]
    words += ["--fresh-build"] if settings.get("fresh_build") else []
    for option in (_SETTINGS[name] for name in _GIVEN_AGAIN):
        if settings.get(option.name, option.default) != option.default:
            words += [option.flag, settings[option.name]]
    if facts.previous:
        words += ["--upgrade-from", facts.previous.id or facts.previous.describe]
    if scenarios := settings.get("scenario") or state.scenarios:
        words += ["--scenario", ",".join(scenarios)]
    return words


def _variables(facts: Facts) -> list[str]:
    """Return the variables, quoted for a shell, that gave the run settings which no option can give."""
    given = [option for name, option in _SETTINGS.items() if name in facts.state.environment]
    values = {option.variable: facts.state.settings.get(option.name) for option in given if not option.heading}
    return [f"{name}={shlex.quote(_text(value))}" for name, value in values.items() if value is not None]


def _text(value: Any) -> str:
    """Return a setting's value as a variable holds it."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _has_relative_path(facts: Facts) -> bool:
    """Return whether a setting names a file by a path from the run's directory on."""
    settings = facts.state.settings
    values = [settings.get(name) for name in ("product", "token_hook", "from_repo")]
    values += [*(settings.get("platform") or ()), *(settings.get("scenario") or ())]
    named = [value for value in values if isinstance(value, str) and _is_path(value)]
    for value in (settings.get(name) for name in _ONLY_PATHS):
        named += [value] if isinstance(value, str) else [*(value or ())]
    named = [value for value in named if value not in ("", _RUNS)]
    return any(not Path(value).is_absolute() and (Path(facts.state.cwd) / value).exists() for value in named)


def _is_path(value: str) -> bool:
    return "/" in value or value in (".", "..")


def _platform(facts: Facts) -> str:
    """Return the run's platform as it was asked for: by its name or its folder."""
    folder, name = Path(facts.state.cwd), facts.state.platform
    asked = facts.state.settings.get("platform") or ()
    return next((value for value in asked if (folder / value).resolve().name == name), name)


def _runs_words(facts: Facts, *, anywhere: bool) -> list[str]:
    """Return the flag that finds the run; none where it is in the default folder of this directory."""
    runs = facts.rundir.path.parent
    return [] if runs == Path.cwd() / _RUNS and not anywhere else ["--runs", str(runs)]


def _published_words(facts: Facts, commit: Commit) -> list[str]:
    """Return the flags that install the same published packages again."""
    settings = facts.state.settings
    words = ["--from-repo", commit.source]
    pin = commit.describe or str(settings.get("nevra") or "")
    words += ["--nevra", pin] if pin else []
    words += ["--repo-key", settings["repo_key"]] if settings.get("repo_key") else []
    return [*words, "--allow-unsigned"] if settings.get("allow_unsigned") else words

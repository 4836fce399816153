"""Looking inside runs: list, status, logs, a shell in a host."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from itb.engine import LABEL, RUNS_LABEL, Engine, container_name, labels_of
from itb.errors import ExitCode, UsageError
from itb.rundir import RunDir, RunState
from itb.tables import Listing
from itb.yamlfile import nearest

ROLE_LABEL = "itb.role"


def every(runs: Path) -> list[RunDir]:
    """All runs of a folder, newest first."""
    return [RunDir(path.parent) for path in sorted(runs.glob("*/run.json"), reverse=True)]


def readable(runs: Path) -> Iterator[tuple[RunDir, RunState]]:
    """All runs of a folder whose state can be read, newest first, with their state."""
    for rundir in every(runs):
        with suppress(UsageError):
            yield rundir, rundir.state


def outcome(rundir: RunDir, state: RunState) -> str:
    """How a run stands, in a word or two."""
    if rundir.is_held():
        return "running"
    if state.exit_code is None:
        return "ended without a word"
    return "passed" if state.exit_code == ExitCode.PASSED else f"exit {state.exit_code}"


def table(found: Iterable[RunDir]) -> Listing:
    """The runs as a table: what, when, how it ended, whether hosts were kept."""
    shown = Listing("run", "reference", "started (UTC)", "took", "outcome", "hosts")
    for rundir in found:
        try:
            state = rundir.state
        except UsageError:
            shown.add(rundir.id, "", "", "", "run.json cannot be read", "")
            continue
        took = f"{state.finished - state.started:.0f} s" if state.finished else ""
        started = time.strftime("%Y-%m-%d %H:%M", time.gmtime(state.started))
        hosts = "kept" if state.kept else ""
        shown.add(rundir.id, state.ref, started, took, outcome(rundir, state), hosts)
    return shown


def machine_table(engine: Engine) -> Listing:
    """Everything of itb's that is on this machine now, by label."""
    shown = Listing("run", "role", "container", "state")
    for item in engine.containers({LABEL: ""}):
        labels = labels_of(item)
        shown.add(labels.get(LABEL, "?"), labels.get(ROLE_LABEL, ""), container_name(item), item.get("State", ""))
    return shown


def shell(engine: Engine, rundir: RunDir, role: str) -> None:
    """Replace this process by a shell in a kept host; UsageError if it is not there."""
    container = f"itb-{rundir.state.short}-{role}"
    labels = {LABEL: rundir.id, RUNS_LABEL: str(rundir.path.parent)}
    found = {container_name(item) for item in engine.containers(labels)}
    if not found:
        raise UsageError(
            f"run {rundir.id} has no hosts any more", hint="start it again with --keep failed or --keep always"
        )
    if container not in found:
        roles = sorted(name.rsplit("-", 1)[1] for name in found)
        hint = nearest(role, roles) or f"; it has: {', '.join(roles)}"
        raise UsageError(f"run {rundir.id} has no host {role!r}{hint}")
    program = shutil.which(engine.program) or engine.program
    argv = [program, *engine.exec_argv(container, ["bash", "-l"], interactive=True, tty=os.isatty(0))]
    os.execve(program, argv, {**os.environ, **engine.env})


def logs(console: Console, rundir: RunDir, role: str) -> None:
    """Print where the logs of a run (or of one role) are, with their sizes."""
    folders = [rundir.host(role)] if role else [rundir.build, rundir.repo, rundir.path / "hosts", rundir.results]
    if role and not folders[0].is_dir():
        roles = sorted(path.name for path in (rundir.path / "hosts").glob("*"))
        hint = nearest(role, roles) or f"; it has: {', '.join(roles)}"
        raise UsageError(f"run {rundir.id} has no logs of {role!r}{hint}")
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in [rundir.path / "commands.log", *files]:
        if path.is_file():
            console.print(f"{path.stat().st_size:>10}  {path}", highlight=False, markup=False, soft_wrap=True)

"""``itb shell``: a shell, or one command, in a host of a run that was kept or goes on."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from itb.cli.commands import common, runs
from itb.cli.commands.listing import Listing
from itb.containers import naming
from itb.containers.description import container_name, labels_of
from itb.containers.engine import Engine
from itb.errors import UsageError
from itb.process.request import Request
from itb.report.case_list import find_deciding_case
from itb.report.run_data import read_run_data
from itb.report.verdict import judge
from itb.roles import SERVICES, WORKSPACE
from itb.rundir.directory import RunDir
from itb.util.yamlfile import nearest


def shell(flags: Mapping[str, Any], run: str, role: str, command: str) -> None:
    """Replace this process by a shell in a host of a run, or by a command line there.

    Without ``run`` it is the one run of the folder that has hosts; ``run`` may
    then be the role.  Without ``role`` it is the host on which the run failed.
    """
    settings = common.settings_from(flags)
    engine = common.find_engine(settings)
    with_hosts = _runs_with_hosts(engine, settings.runs_dir)
    if not run:
        rundir = _only(with_hosts)
    elif len(with_hosts) == 1 and _is_role(engine, with_hosts[0], run):
        command = " ".join(filter(None, [shlex.quote(role) if role else "", command]))
        rundir, role = with_hosts[0], run
    else:
        rundir = RunDir.find(settings.runs_dir, run)
    enter(engine, rundir, role or _failed_role(engine, rundir), command)


def _is_role(engine: Engine, rundir: RunDir, name: str) -> bool:
    """Return whether a name is a role of a run, or a misspelt one: no run has that name either."""
    return name in roles_up(engine, rundir) or not runs.is_named(rundir.path.parent, name)


def _runs_with_hosts(engine: Engine, folder: Path) -> list[RunDir]:
    """Return the runs of a folder that have containers, newest first; busy ones only if all are busy."""
    owners = {naming.run_of(labels_of(item)) for item in engine.containers(naming.any_run())}
    names = sorted((name for name, runs_folder in owners if runs_folder == str(folder)), reverse=True)
    here = [RunDir(folder / name) for name in names]
    return [rundir for rundir in here if not rundir.is_locked()] or here


def _only(with_hosts: list[RunDir]) -> RunDir:
    """Return the only run that has hosts; UsageError for none or several."""
    if not with_hosts:
        raise UsageError("no run here has hosts", hint="--keep failed keeps those of a run that fails")
    if len(with_hosts) > 1:
        names = ", ".join(rundir.id for rundir in with_hosts[:5])
        raise UsageError(f"shell: several runs have hosts: {names}", hint="name one: itb shell RUN")
    return with_hosts[0]


def roles_up(engine: Engine, rundir: RunDir) -> list[str]:
    """Return the roles of a run's hosts, with the services and the workspace last."""
    short_id = rundir.state.short_id
    containers = engine.containers(naming.run_labels(rundir.id, rundir.path.parent))
    roles = sorted(naming.container_role(container_name(item), short_id) for item in containers)
    return sorted(roles, key=lambda role: role in (SERVICES, WORKSPACE))


def container_of(rundir: RunDir, role: str) -> str:
    """Return the name of the container of a role in a run."""
    return naming.container(rundir.state.short_id, role)


def _failed_role(engine: Engine, rundir: RunDir) -> str:
    """Return the role on which a run failed, or the first that has a host; UsageError if none has."""
    roles = roles_up(engine, rundir)
    if not roles:
        raise _no_hosts(rundir)
    run_data = read_run_data(rundir)
    deciding_case = find_deciding_case(run_data.cases, judge(run_data).exit_code)
    return deciding_case.role if deciding_case and deciding_case.role in roles else roles[0]


def _no_hosts(rundir: RunDir) -> UsageError:
    hint = f"itb run --resume {rundir.id} makes them again and goes on; --keep always keeps them"
    return UsageError(f"run {rundir.id} has no hosts any more", hint=hint)


def _no_host(rundir: RunDir, role: str, roles: list[str]) -> UsageError:
    hint = nearest(role, roles) or f"; it has: {', '.join(roles)}"
    return UsageError(f"run {rundir.id} has no host {role[:60]!r}{hint}")


def enter(engine: Engine, rundir: RunDir, role: str, command: str = "") -> None:
    """Replace this process by a shell in a host, or a command line of bash there; UsageError without it."""
    roles = roles_up(engine, rundir)
    if not roles:
        raise _no_hosts(rundir)
    if role not in roles:
        raise _no_host(rundir, role, roles)
    argv = ["bash", "-l", *(["-c", command] if command else [])]
    is_terminal = os.isatty(0) and os.isatty(1)
    request = engine.exec_request(container_of(rundir, role), Request(argv), interactive=True, tty=is_terminal)
    try:
        rundir.append_login(role)
    except OSError as error:  # a full disk is what people enter a host for
        print(f"itb: no report will say that you were here: {error.filename}: {error.strerror}", file=sys.stderr)
    program = shutil.which(engine.program) or engine.program
    os.execve(program, [program, *request.argv], {**os.environ, **engine.env})


@dataclass(frozen=True)
class ContainerOfItb:
    """A container on this machine, of a run (empty if its labels do not say) and a role; its name and state."""

    run: str
    role: str
    container: str
    state: str


def containers_of_itb(engine: Engine) -> list[ContainerOfItb]:
    """Return itb's containers on this machine now, found by their labels."""
    return [
        ContainerOfItb(
            run=naming.run_of(labels_of(container))[0] or "",
            role=naming.role_of(labels_of(container)),
            container=container_name(container),
            state=str(container.get("State", "")),
        )
        for container in engine.containers(naming.any_run())
    ]


def table(containers: Sequence[ContainerOfItb]) -> Listing:
    """Return a table of containers."""
    listing = Listing("run", "role", "container", "state")
    for container in containers:
        listing.add(container.run or "?", container.role, container.container, container.state)
    return listing

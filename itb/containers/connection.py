"""Connecting to the container engine of a name, with the configuration that podman needs on this machine."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
from pathlib import Path

from itb.containers import cgroups
from itb.containers.description import controllers_of, state_of, storage_of, syscall_filter_of
from itb.containers.engine import Engine
from itb.errors import TestbedError, UsageError
from itb.process.runner import Runner
from itb.util import files, ownership
from itb.util.files import write_atomically

_PODMAN_NOFILE = 1048576  # podman's own default, refused without CAP_SYS_RESOURCE when the limit is lower
_CAP_SYS_RESOURCE = 24  # linux/capability.h


def connect(runner: Runner, program: str, cache: Path) -> Engine:
    """Return the engine of this name, with a containers.conf of itb's own where the machine needs one.

    Raises TestbedError, whose hint says what to install, if the engine is missing or unusable.
    """
    program = files.program(program)
    ownership.check(cache)  # containers.conf in it names programs, as git directories do
    if shutil.which(program) is None:
        raise TestbedError(
            f"container engine {program!r} is not installed",
            hint="install podman with the machine's package manager, or choose another with --engine; "
            "itb doctor explains",
        )
    if "/" in program:
        ownership.check(Path(program))
    engine = Engine(runner, program)
    if engine.is_podman:
        engine.env.update(podman_env(cache))
        if engine.env and _needs_hook():
            engine.options = cgroups.OPTIONS
    answer = engine.call_info(check=False)
    if not answer.ok or (not engine.is_podman and '"ServerErrors"' in answer.stdout):
        raise TestbedError(
            f"container engine {program!r} does not answer: {answer.reason}",
            hint="itb doctor explains",
            evidence=answer.output,
        )
    (info,) = engine.parse_answer(answer, count=1)
    engine.is_remote = bool(info.get("host", {}).get("serviceIsRemote"))
    engine.controllers = controllers_of(info)
    engine.storage, engine.state = storage_of(info), state_of(info)
    engine.syscall_filter = syscall_filter_of(info)
    return engine


def podman_env(cache: Path) -> dict[str, str]:
    """Return the environment podman needs here: empty, or CONTAINERS_CONF with settings that this machine allows.

    The settings are for podman 4.3 on a machine without CAP_SYS_RESOURCE, with
    hybrid cgroups, or without systemd.  A user's own CONTAINERS_CONF is never replaced.
    """
    if "CONTAINERS_CONF" in os.environ or not Path("/proc/self/status").exists():
        return {}
    containers: list[str] = []
    engine: list[str] = []
    if not may_raise_limits():
        nofile = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], _PODMAN_NOFILE)
        nproc = min(resource.getrlimit(resource.RLIMIT_NPROC)[1], 4096)
        containers.append(f'default_ulimits = ["nofile={nofile}:{nofile}", "nproc={nproc}:{nproc}"]')
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists() and shutil.which("runc"):
        engine.append('runtime = "runc"')  # crun 1.8 refuses hybrid cgroups
        if _needs_hook():
            engine.append(f'hooks_dir = ["{cgroups.hooks_folder(cache)}"]')
    if not Path("/run/systemd/system").exists():
        engine += ['cgroup_manager = "cgroupfs"', 'events_logger = "file"']
    if not containers and not engine:
        return {}
    text = "\n".join(
        ["# Made by itb for what this machine refuses.", "[containers]", *containers, "[engine]", *engine]
    )
    # Named after its content: a process with other limits, or another itb, writes a file of its own.
    name = f"containers-{hashlib.sha256(text.encode()).hexdigest()[:12]}.conf"
    path = ownership.own_folder(cache) / name
    try:
        is_current = ownership.read(path) == f"{text}\n".encode()
    except (FileNotFoundError, UsageError):  # another user's file is replaced
        is_current = False
    if not is_current:
        write_atomically(path, text + "\n")
    return {"CONTAINERS_CONF": str(path)}


def _needs_hook() -> bool:
    """Return whether podman gives hosts the machine's control groups; without root, systemd does not start."""
    groups = Path("/sys/fs/cgroup")
    is_v1 = (groups / "systemd").exists() and not (groups / "cgroup.controllers").exists()
    return is_v1 and os.geteuid() == 0 and bool(shutil.which("runc"))


def may_raise_limits() -> bool:
    """Return whether this process has CAP_SYS_RESOURCE."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return True

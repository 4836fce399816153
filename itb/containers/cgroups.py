"""Keeping hosts from the machine's tree of control groups, where that is one of version 1.

systemd has to write to its own control group.  With version 1, podman gives
it the machine's whole systemd hierarchy for that, where a folder outlives the
container and processes of others can be moved.  A hook of the OCI runtime
takes that away again before the container starts, and makes its own part,
which the runtime has mounted below, writable instead: also as a host is
rebooted.  That part is the root of a namespace of control groups.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from itb.util import ownership
from itb.util.files import write_atomically

OPTIONS = ("--cgroupns=private",)  # of a container that the hook is for; never without the hook
REMEDY = "use a machine with cgroup v2 (systemd.unified_cgroup_hierarchy=1), or unset CONTAINERS_CONF"
# Runs in the container's mount namespace before its root is changed; what that is stands on standard input.
_NARROW = r"""
set -eu
bundle=$(sed -n 's/.*"bundle": *"\([^"]*\)".*/\1/p')
root=$(sed -n 's/.*"root": *{"path": *"\([^"]*\)".*/\1/p' "$bundle/config.json")
at=$root/sys/fs/cgroup/systemd
case $(awk -v at="$at" '$5 == at { print $4 }' /proc/self/mountinfo | tr '\n' ' ') in
    "/ /.."*) ;;
    *) exit 0 ;;
esac
umount "$at"
mount -o remount,bind,rw "$at"
"""
_HOOK = {
    "version": "1.0.0",
    "hook": {"path": "/bin/sh", "args": ["sh", "-c", _NARROW]},
    "when": {"always": True},
    "stages": ["createContainer"],
}


def hooks_folder(cache: Path) -> Path:
    """Return the folder with the hook, which is made in a cache unless it is there."""
    text = json.dumps(_HOOK)
    folder = ownership.own_folder(cache) / f"hooks-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    path = ownership.own_folder(folder) / "narrow-cgroup.json"
    with suppress(FileNotFoundError):
        if ownership.read(path) == text.encode():
            return folder
    write_atomically(path, text)
    return folder


def writable_outside(container: str, pid: int, proc: Path = Path("/proc")) -> str:
    """Return a control group that a container's processes can write to and that is not its own; empty if none.

    ``pid`` is its first process; the paths are those of this process's namespace.
    """
    with suppress(OSError):
        for mount_point, root in _writable_mounts((proc / str(pid) / "mountinfo").read_text()):
            if container not in root:
                return f"{root} at {mount_point}"
    return ""


def _writable_mounts(mountinfo: str) -> Iterator[tuple[str, str]]:
    """Yield mount point and root of the writable mounts of control groups, the last at each point (proc(5))."""
    mounts: dict[str, tuple[str, bool]] = {}
    for line in mountinfo.splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith(("cgroup ", "cgroup2 ")):
            _, _, _, root, mount_point, options, *_ = fields.split()
            mounts[mount_point] = (root, "rw" in options.split(","))
    yield from ((point, root) for point, (root, is_writable) in mounts.items() if is_writable)

"""Prepares a run to be resumed: checks its definitions, removes hosts, restores checkpoints."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence

from itb.build import release_manager
from itb.config.platform import Platform
from itb.config.product import Product
from itb.errors import TestbedError, UsageError
from itb.model import Record
from itb.process import orphans, parallel
from itb.process.request import Request
from itb.roles import SERVICES
from itb.run.cell import Cell
from itb.run.nodes import plan_again
from itb.run.phases import up
from itb.rundir import checkpoints, values
from itb.rundir.case_history import RUN_END
from itb.rundir.directory import RunState
from itb.testbed.topology import Topology
from itb.util import when

# Ends the commands of a killed itb inside a host: each is a timeout(1) without a parent there.  A shell that a
# person opened has no timeout, and stays.
_KILL_COMMANDS = """
ps -eo pid=,ppid=,comm= | while read -r pid parent name; do
    if [ "$parent" = 0 ] && [ "$name" = timeout ] && [ "$pid" != "$PPID" ]; then
        kill -KILL -- "-$pid" "$pid" 2>/dev/null || true
        echo "$pid"
    fi
done
"""


def checksums(product: Product, platform: Platform, topology: Topology) -> dict[str, str]:
    """Return the checksums of a run's definitions by kind and name, which a resumed run compares."""
    folders = {(product.folder / role.configure).parent for role in product.roles.values() if role.configure}
    files = [path for folder in sorted(folders) for path in sorted(folder.iterdir()) if path.is_file()]
    scripts = [path.read_bytes() for path in files]
    return {
        f"product {product.name}": _checksum(_dump(product, by_alias=True), *scripts),
        f"platform {platform.name}": _checksum(_dump(platform, by_alias=False)),
        f"testbed {topology.file.name.partition('.')[0]}": _checksum(
            *(file.read_bytes() for file in (topology.file, *topology.bases))
        ),
    }


def _dump(definition: Record, *, by_alias: bool) -> str:
    # Without defaults, and with the same names of keys, so that a newer itb, which knows more keys, computes the
    # same checksum.
    return definition.model_dump_json(exclude={"folder"}, exclude_defaults=True, by_alias=by_alias)


def _checksum(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def check_unchanged(state: RunState, now: Mapping[str, str]) -> None:
    """Raise UsageError naming the definitions that have changed since the run began."""
    changed = [name for name, value in now.items() if state.definitions.get(name, value) != value]
    if changed:
        raise UsageError(
            f"run {state.id}: {' and '.join(changed)} changed since the run began; "
            "its results from before and after could not be compared",
            hint="start a new run, or put the definition back as it was",
        )


def restore_checkpoints(cell: Cell, notes: Sequence[str]) -> None:
    """Remove the hosts that cannot be trusted, and restore the checkpoints that were done on the others.

    This is the first case of the attempt; ``notes`` go first in its message.
    """
    plan_again(cell)
    with cell.journal.case(*RUN_END) as case:
        findings = [f"resumed at {when.utc(time.time())}", *notes]
        for folder in cell.rundir.tokens.glob("*-*"):  # temporary folders of a killed process
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)
        findings.append(_remove_unusable_hosts(cell))
        restored = cell.checkpoints.restore(cell.testbed.containers)
        findings.append(f"{len(restored)} checkpoints hold" if restored else "everything is done again")
        case.passed("; ".join(part for part in findings if part), evidence="\n".join(sorted(restored)))


def _remove_unusable_hosts(cell: Cell) -> str:
    """Remove the hosts that cannot be trusted; return a text that names them and why."""
    testbed = cell.testbed
    orphans.wait_for_other_guards()
    existing = testbed.roles_with_container()
    running = testbed.find_running_roles()
    if not existing:
        testbed.down()  # a network may be left
        return "no host is left"
    tainted = cell.checkpoints.tainted_hosts(testbed.containers)
    if reason := _why_unusable(cell, running - set(tainted)):
        testbed.down()
        testbed.find_running_roles()
        return f"all hosts removed: {reason}"
    removed = dict.fromkeys(existing - running, "does not run") | {
        role: f"cut off in {checkpoint.partition('.')[0]}" for role, checkpoint in tainted.items()
    }
    testbed.remove(removed)
    testbed.find_running_roles()
    ended = parallel.in_parallel(sorted(testbed.containers), lambda role: _end_commands(cell, role))
    if stuck := {role: why for role, why in ended.items() if why}:
        testbed.remove(stuck)
        testbed.find_running_roles()
        removed |= stuck
    return "removed: " + ", ".join(f"{role} ({why})" for role, why in sorted(removed.items())) if removed else ""


def _end_commands(cell: Cell, role: str) -> str:
    """End what a killed itb has left running on a host; return why that cannot be, where it has the candidate.

    The candidate may have broken what that takes: then its host goes, and not the whole run.
    """
    try:
        cell.host(role).script(_KILL_COMMANDS, Request(timeout=cell.limits("look")))
    except TestbedError:
        if not cell.journal.may_have_candidate(role):
            raise
        return "commands of the killed itb cannot be ended there"
    return ""


def _why_unusable(cell: Cell, trusted: set[str]) -> str:
    """Return why no host can be used any more; empty if hosts can be used."""
    build = cell.rundir.load_if_readable(values.BUILD)
    if not cell.testbed.network_prefix():
        return "their network is gone"
    if not all((cell.rundir.tokens / name).exists() for name in ("ca.pem", "ca.key", "issuer.json")):
        return "the keys of the run are gone"
    # The other hosts trust the key of the services host and installed their packages from it.
    key = cell.checkpoints.last(checkpoints.SIGNING_KEY_CREATED)
    container = cell.testbed.containers.get(SERVICES)
    if SERVICES not in trusted or key is None or not key.done or key.hosts.get(SERVICES) != container:
        return "the services host is not as it was"
    if build is not None and not release_manager.is_whole(build):
        return "the RPMs of the build are gone or changed"
    if up.saved_images(cell) is None:
        return "the images they were made from are gone"
    return ""

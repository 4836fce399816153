"""Taking a run up again: what of it still holds, what has to go, and whether it is still the same run."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence

from itb.build import release_manager
from itb.config.platform import Platform
from itb.config.product import Product
from itb.errors import UsageError
from itb.model import Phase, Record
from itb.process import orphans
from itb.process.request import Request
from itb.run import parallel
from itb.run.cell import SERVICES, Cell
from itb.run.phases import up
from itb.rundir import checkpoints, values
from itb.rundir.directory import RunState
from itb.testbed.testbed import Topology

# What a killed itb left running inside a host: every command of it is bounded by timeout(1), and has no
# parent there.  A shell somebody opened is something else.
_QUIET = """
ps -eo pid=,ppid=,comm= | while read -r pid parent name; do
    if [ "$parent" = 0 ] && [ "$name" = timeout ] && [ "$pid" != "$PPID" ]; then
        kill -KILL -- "-$pid" "$pid" 2>/dev/null || true
        echo "$pid"
    fi
done
"""


def checksums(product: Product, platform: Platform, stage: Topology) -> dict[str, str]:
    """Return what tells that a run's definitions are still those it began with, by kind and name."""
    beside = {(product.folder / role.configure).parent for role in product.roles.values() if role.configure}
    files = [path for folder in sorted(beside) for path in sorted(folder.iterdir()) if path.is_file()]
    scripts = [path.read_bytes() for path in files]
    return {
        f"product {product.name}": _sum(_said(product), *scripts),
        f"platform {platform.name}": _sum(_said(platform)),
        f"testbed {stage.file.name.partition('.')[0]}": _sum(stage.file.read_bytes()),
    }


def _said(definition: Record) -> str:
    # What is as it is by default is not part of it: itb may learn more keys meanwhile.
    return definition.model_dump_json(exclude={"folder"}, exclude_defaults=True)


def _sum(*parts: str | bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()


def check_unchanged(state: RunState, now: Mapping[str, str]) -> None:
    """Refuse to go on with other definitions than the run began with; UsageError naming them."""
    changed = [name for name, value in now.items() if state.definitions.get(name, value) != value]
    if changed:
        raise UsageError(
            f"run {state.id}: {' and '.join(changed)} changed since the run began; "
            "its two halves would not be about the same thing",
            hint="start a new run, or put the definition back as it was",
        )


def take_up(cell: Cell, notes: Sequence[str]) -> None:
    """Look what of an earlier attempt holds; remove what does not, as the first case of this attempt.

    ``notes`` are put in front of what was found.
    """
    name = time.strftime("run resumed at %Y-%m-%d %H:%M:%S UTC", time.gmtime())
    with cell.journal.case(Phase.RUN, "itb", name) as trial:
        said = [*notes]
        for folder in cell.rundir.tokens.glob("*-*"):  # what a killed process had there for a moment
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)
        said.append(_settle(cell))
        standing = cell.checkpoints.take_up(cell.testbed.containers)
        said.append(f"{len(standing)} pieces of work stand" if standing else "everything is done again")
        trial.passed("; ".join(part for part in said if part), evidence="\n".join(sorted(standing)))


def _settle(cell: Cell) -> str:
    """Leave only hosts that can be trusted; say in words what went."""
    testbed = cell.testbed
    orphans.wait_for_others()
    there = testbed.roles_with_container()
    running = testbed.alive()
    if not there:
        testbed.down()  # a network may be left
        return "no host is left"
    doubtful = cell.checkpoints.doubtful(testbed.containers)
    if reason := _foundation_lost(cell, running - set(doubtful)):
        testbed.down()
        testbed.alive()
        return f"all hosts removed: {reason}"
    gone = dict.fromkeys(there - running, "does not run") | {
        role: f"cut off in {piece.partition('.')[0]}" for role, piece in doubtful.items()
    }
    testbed.remove(gone)
    testbed.alive()
    request = Request(timeout=30)
    parallel.in_parallel(sorted(testbed.containers), lambda role: cell.host(role).script(_QUIET, request))
    return "removed: " + ", ".join(f"{role} ({why})" for role, why in sorted(gone.items())) if gone else ""


def _foundation_lost(cell: Cell, trusted: set[str]) -> str:
    """Why none of the hosts can be gone on with; empty if they can."""
    made = cell.rundir.readable(values.BUILD)
    if not cell.testbed.network_prefix():
        return "their network is gone"
    if not all((cell.rundir.tokens / name).exists() for name in ("ca.pem", "ca.key", "issuer.json")):
        return "the keys of the run are gone"
    # The other hosts know its key, and their packages came from it.
    key = cell.checkpoints.last(checkpoints.KEY)
    container = cell.testbed.containers.get(SERVICES)
    if SERVICES not in trusted or key is None or not key.done or key.hosts.get(SERVICES) != container:
        return "the services host is not as it was"
    if made is not None and not release_manager.is_whole(made):
        return "the RPMs of the build are gone or changed"
    if up.images_of_before(cell) is None:
        return "the images they were made from are gone"
    return ""

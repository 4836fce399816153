"""Finds out whether the testbed is at fault when a case goes wrong.

A product's step, package or service often fails with the same message,
whether the product is broken or its disk is full.  So before a failure is
blamed on the product, the machine, the containers, the network and the web
server of the run are checked, here and nowhere else.

A candidate is root on its hosts, though: it can fill their disks, eat their
memory or end them.  A fault of only such a host is called undecided, and so is
a full disk that all hosts share, if the candidate used it (``disk_use``).  At
the CE its pilots are a user only, but whatever that may cause is not told from
the outside: any fault there is undecided, too, once something is installed.
What the services host lacks it may have used up there, too: its packages are
indexed there, and its hosts ask the web server for whatever they like.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from itb.containers.host import Host
from itb.data import shipped
from itb.errors import UNDECIDED, InterruptedRunError, ItbError
from itb.process.request import Request
from itb.repository.server import REPO_HOST
from itb.roles import CE, SERVICES, WORKSPACE
from itb.run import disk_use
from itb.run.cell import Cell
from itb.rundir import values
from itb.rundir.checkpoints import REPO_SERVED, USED_WORKSPACE, CheckpointKey, CheckpointKind
from itb.util.text import lines_of

_DISK_FULL, _OUT_OF_MEMORY, _TOO_MANY = ": disk full: ", ": out of memory: ", ": too many processes: "
_USED_UP = (_DISK_FULL, _OUT_OF_MEMORY, _TOO_MANY)
_LOW_KIB = 256 << 10  # KiB; with less, "No space left" is true of an archive that was unpacked
_MAX_DRIFT = 60.0  # seconds the machine's clock may differ from the time that has passed
_ENOSPC = re.compile(r"No space left on device|Disk quota exceeded|more space needed|needs .{1,200} more space")
_WITH_NUMBER = ("free", "full")  # words of fault.sh before a mount and its free space
_NUMBER_LAST = re.compile(r"\S.* [0-9]{1,18}", re.DOTALL)
_INOTIFY = re.compile(r"inotify|watch", re.IGNORECASE)  # the kernel reports its limits as ENOSPC, too


def find(cell: Cell, role: str, text: str) -> str:
    """Return what is wrong with the testbed, after a failure on a role's host; empty if nothing is.

    ``text`` is the message and the evidence of the failure.
    """
    try:
        return qualify(cell, next(_causes(cell, role, text), ""), text)
    except InterruptedRunError:
        raise
    except ItbError as error:
        # The engine does not answer, or a host has died meanwhile.  The candidate can cause both on its hosts:
        # podman reads their /etc/passwd, and waits for ever if that is a pipe.
        doubtful = any(may_have_candidate(cell, each) for each in {role, error.role or role})
        return f"{UNDECIDED}: {error.message}" if doubtful else error.message


def qualify(cell: Cell, cause: str, text: str = "") -> str:
    """Return a cause, called undecided if only hosts with the candidate have it: it is root or a pilot on these.

    ``text`` is as for :func:`find`.  Raises TestbedError if the engine cannot be asked.
    """
    return f"{UNDECIDED}: {cause}" if _may_be_caused_by_candidate(cell, cause, text) else cause


def _may_be_caused_by_candidate(cell: Cell, cause: str, text: str) -> bool:
    own_roles = [role for role in [*cell.testbed_roles, WORKSPACE] if _has_candidate(cell, role)]
    own_roles += _roles_of_pilots(cell)
    users = [*own_roles, *_roles_that_serve(cell)]
    for folder in disk_use.folders(cell):
        if cause.startswith(_full_disk(folder)):
            return disk_use.is_candidates(cell, folder, users)
    if SERVICES in users and any(cause.startswith(f"host {SERVICES}{word}") for word in _USED_UP):
        return _DISK_FULL not in cause or disk_use.is_candidates(cell, None, users)
    if not any(cause.startswith(f"host {role}: ") for role in own_roles):
        return False
    if not cell.host(SERVICES).is_running():
        return False
    findings = _inspect_host(cell.host(SERVICES), [REPO_HOST])
    shared = next(_host_causes(SERVICES, findings, text), "")
    if _DISK_FULL in cause and _DISK_FULL in shared:
        return disk_use.is_candidates(cell, None, users)
    return not shared


def _roles_that_serve(cell: Cell) -> list[str]:
    """Return the services host, if it has packages of the candidate by now."""
    return [SERVICES] if cell.checkpoints.last(REPO_SERVED) is not None else []


def _roles_of_pilots(cell: Cell) -> list[str]:
    """Return the roles whose hosts the candidate's pilots may run on, as a user: they can use up what is there.

    So can its hosts, over the network: a server with too many connections answers nobody.
    """
    return [CE] if cell.has_ce and _is_installed_somewhere(cell) else []


def _is_installed_somewhere(cell: Cell) -> bool:
    keys = (CheckpointKey(CheckpointKind.INSTALLATION, role) for role in cell.roles)
    return any(cell.checkpoints.last(key) for key in keys)


def may_have_candidate(cell: Cell, role: str) -> bool:
    """Return whether code of the candidate may have run on a role's host by now: as root, or as a pilot."""
    if role in _roles_of_pilots(cell):
        return True
    if role == WORKSPACE:  # optional, too, but the candidate's build is root there before anything is installed
        return _has_candidate(cell, role)
    if role not in cell.testbed_roles or not _has_candidate(cell, role):
        return False
    return role not in cell.topology.optional or _is_installed_somewhere(cell)


def has_run_candidate(cell: Cell) -> bool:
    """Return whether code of the candidate may have run on any host by now."""
    return any(may_have_candidate(cell, role) for role in (WORKSPACE, *cell.testbed_roles))


def _has_candidate(cell: Cell, role: str) -> bool:
    """Return whether the candidate's build or installation has begun on a role's host, or may have.

    Scenarios install it on other hosts.
    """
    if role == WORKSPACE:
        return cell.checkpoints.last(USED_WORKSPACE) is not None
    key = CheckpointKey(CheckpointKind.INSTALLATION, role)
    return role in cell.topology.optional or cell.checkpoints.last(key) is not None


def clock_drift(began: tuple[float, float]) -> float:
    """Return by how many seconds the clock has moved more than time has passed since ``began``.

    ``began`` is the time of the clock and the monotonic time.
    """
    return (time.time() - began[0]) - (time.monotonic() - began[1])


def _causes(cell: Cell, role: str, text: str) -> Iterator[str]:
    yield from _machine_causes(cell.rundir.path, disk_use.folders(cell), cell.journal.began)
    yield from _container_causes(cell, role)
    if role not in cell.testbed.started:
        return
    host, started = cell.host(role), cell.testbed.started
    addresses = [f"{REPO_HOST}:443"] if SERVICES in started - {role} else []
    if CE in started and role not in (SERVICES, CE):
        addresses.append(cell.topology.hosts[CE])
    findings = _inspect_host(host, addresses)
    limits = cell.settings.host_limits
    yield from _host_causes(role, findings, text, f" (host_limits: {{{limits.description}}})")
    if SERVICES in started:
        yield from _web_server_causes(cell)
    for name in findings.get("unreachable", ()):
        yield f"host {role}: {name} cannot be reached"


def _full_disk(folder: Path) -> str:
    return f"the disk of {folder} is full"


def _machine_causes(rundir: Path, folders: Sequence[Path], began: tuple[float, float]) -> Iterator[str]:
    """Yield what is wrong with the machine; ``began`` is when the run did, as for :func:`clock_drift`.

    ``folders`` are those whose disks the run needs.
    """
    if not rundir.is_dir():
        yield f"run directory {rundir} is gone"
        return
    for folder in folders:
        if disk_use.free_bytes(folder) < disk_use.MIN_FREE:
            yield f"{_full_disk(folder)} ({disk_use.free_bytes(folder) >> 20} MiB left)"
        elif disk_use.lacks_inodes(folder):
            yield f"{_full_disk(folder)} (no inode left)"
    if not os.access(rundir, os.W_OK):
        yield f"run directory {rundir} cannot be written to"
    drift = clock_drift(began)
    if abs(drift) > _MAX_DRIFT:
        yield f"the machine's clock jumped by {drift:+.0f} s during the run"


def _container_causes(cell: Cell, role: str) -> Iterator[str]:
    """Yield why hosts that were started do not run, that of ``role`` first."""
    testbed_hosts = cell.rundir.load(values.TESTBED)
    running_roles = cell.testbed.find_running_roles()
    expected = {host.role for host in testbed_hosts.hosts} - {WORKSPACE} if testbed_hosts else set()
    expected |= {role, SERVICES} & cell.testbed.started
    missing = expected - running_roles
    for name in sorted(missing, key=lambda other: (other != role, other)):
        if reason := cell.host(name).why_not_running():
            yield reason


def _inspect_host(host: Host, names: list[str]) -> dict[str, list[str]]:
    script = (shipped.folder("build_ws") / "hosts" / "fault.sh").read_text(encoding="utf-8")
    limit = host.engine.runner.limits("look")
    request = Request(names, timeout=limit, check=False, about="look what is wrong with the host")
    completed = host.script(script, request)
    findings: dict[str, list[str]] = {}
    for line in lines_of(completed.stdout):
        word, _, rest = line.partition(" ")
        if rest.strip() and (word not in _WITH_NUMBER or _NUMBER_LAST.fullmatch(rest)):  # it may say anything
            findings.setdefault(word, []).append(rest)
    return findings


def _host_causes(role: str, findings: dict[str, list[str]], text: str, limits: str = "") -> Iterator[str]:
    """Yield what is wrong with a host; ``limits`` is a remark on what it may take of this machine."""
    for finding in findings.get("full", ()):
        yield f"host {role}{_DISK_FULL}{finding.split()[0]} has {finding.split()[-1]} KiB left"
    for finding in findings.get("readonly", ()):
        yield f"host {role}: {finding} cannot be written to"
    if _ENOSPC.search(text) and not _INOTIFY.search(text):
        free_space = sorted((int(line.split()[-1]), line.split()[0]) for line in findings.get("free", ()))
        if free_space and free_space[0][0] < _LOW_KIB:
            yield f"host {role}{_DISK_FULL}{free_space[0][1]} has only {free_space[0][0] >> 10} MiB left"
    for number in findings.get("killed", ()):
        yield f"host {role}{_OUT_OF_MEMORY}the kernel killed {number} of its processes{limits}"
    for number in findings.get("refused", ()):
        yield f"host {role}{_TOO_MANY}the kernel refused {number} more{limits}"
    for name in findings.get("unresolved", ()):
        yield f"host {role}: name resolution fails: {name} is not known there"


def _web_server_causes(cell: Cell) -> Iterator[str]:
    completed = cell.host(SERVICES).run(Request(
        ["systemctl", "is-active", "nginx"], timeout=cell.limits("look"), check=False, about="web server"
    ))
    if not completed.ok:
        yield f"host {SERVICES}: the web server that serves the packages does not run ({completed.reason})"

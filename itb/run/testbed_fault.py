"""Was the testbed itself at fault?  Found by looking, whenever something goes wrong.

What a product's step, package or service says when it fails is often the same
whether the product is broken or its disk is full.  So before anything is
called the product's failure, the machine, the containers, the network and the
web server of the run are looked at, here and nowhere else.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from itb.containers.host import Host
from itb.data import shipped
from itb.errors import InterruptedRunError, ItbError
from itb.process.request import Request
from itb.repository.signed import REPO_HOST
from itb.run.cell import CE, SERVICES, WORKSPACE, Cell
from itb.rundir import values

_ROOM = 16 << 20  # bytes; with less on the machine's own disk nothing can be expected to work
_SHORT = 256 << 10  # kilobytes; what "No space left" may mean where an archive had to be unpacked
_JUMP = 60.0  # seconds the machine's clock may differ from the time that has passed
_ENOSPC = re.compile(r"No space left on device|Disk quota exceeded|more space needed|needs .* more space")
_WATCHES = re.compile(r"inotify|watch", re.IGNORECASE)  # which the kernel also calls space


def find(cell: Cell, role: str, text: str) -> str:
    """Return what is wrong with the testbed, for something that failed on a role's host; empty if nothing is.

    ``text`` is what was seen of the failure.
    """
    try:
        return next(_causes(cell, role, text), "")
    except InterruptedRunError:
        raise
    except ItbError as error:  # the engine cannot even be asked
        return error.message


def clock_drift(began: tuple[float, float]) -> float:
    """Seconds the machine's clock has moved more than time has passed; ``began`` is time and monotonic time."""
    return (time.time() - began[0]) - (time.monotonic() - began[1])


def _causes(cell: Cell, role: str, text: str) -> Iterator[str]:
    yield from _machine(cell)
    yield from _containers(cell, role)
    if role not in cell.topology.hosts:
        return
    host = cell.host(role)
    wanted = [] if role == SERVICES else [f"{REPO_HOST}:443"]
    if role not in (SERVICES, CE):
        wanted.append(cell.topology.hosts[CE])
    seen = _look(host, wanted)
    yield from _host(host, seen, text)
    yield from _web_server(cell)
    for name in seen.get("unreachable", ()):
        yield f"host {role}: {name} cannot be reached"


def _machine(cell: Cell) -> Iterator[str]:
    path = cell.rundir.path
    if not path.is_dir():
        yield f"run directory {path} is gone"
        return
    for place in (path, cell.settings.cache_dir):
        if place.is_dir() and _free(place) < _ROOM:
            yield f"the disk of {place} is full ({_free(place) >> 20} MiB left)"
    if not os.access(path, os.W_OK):
        yield f"run directory {path} cannot be written to"
    drift = clock_drift(cell.journal.began)
    if abs(drift) > _JUMP:
        yield f"the machine's clock jumped by {drift:+.0f} s during the run"


def _free(path: Path) -> int:
    seen = os.statvfs(path)
    return seen.f_bavail * seen.f_frsize


def _containers(cell: Cell, role: str) -> Iterator[str]:
    """Every host of the testbed must run, whoever noticed first that one does not."""
    saved = cell.rundir.saved(values.TESTBED)
    expected = {host.role for host in saved.hosts} - {WORKSPACE} if saved else set()
    expected |= {role, SERVICES} & set(cell.topology.hosts)
    missing = expected - cell.testbed.alive()
    for name in sorted(missing, key=lambda item: (item != role, item)):
        if gone := cell.host(name).gone():
            yield gone


def _look(host: Host, names: list[str]) -> dict[str, list[str]]:
    script = (shipped.folder("build_ws") / "hosts" / "fault.sh").read_text(encoding="utf-8")
    limit = host.engine.runner.limits("look")
    request = Request(names, timeout=limit, check=False, about="look what is wrong with the host")
    said = host.script(script, request)
    seen: dict[str, list[str]] = {}
    for line in said.stdout.splitlines():
        word, _, rest = line.partition(" ")
        seen.setdefault(word, []).append(rest)
    return seen


def _host(host: Host, seen: dict[str, list[str]], text: str) -> Iterator[str]:
    for item in seen.get("full", ()):
        yield f"host {host.role}: disk full: {item.split()[0]} has {item.split()[-1]} KiB left"
    for item in seen.get("readonly", ()):
        yield f"host {host.role}: {item} cannot be written to"
    if _ENOSPC.search(text) and not _WATCHES.search(text):
        rooms = sorted((int(room.split()[-1]), room.split()[0]) for room in seen.get("room", ()))
        if rooms and rooms[0][0] < _SHORT:
            yield f"host {host.role}: disk full: {rooms[0][1]} has only {rooms[0][0] >> 10} MiB left"
    for number in seen.get("killed", ()):
        yield f"host {host.role}: out of memory: the kernel killed {number} of its processes"
    for name in seen.get("unresolved", ()):
        yield f"host {host.role}: name resolution fails: {name} is not known there"


def _web_server(cell: Cell) -> Iterator[str]:
    asked = cell.host(SERVICES).run(Request(
        ["systemctl", "is-active", "nginx"], timeout=cell.limits("look"), check=False, about="web server"
    ))
    if not asked.ok:
        yield f"host {SERVICES}: the web server that serves the packages does not run ({asked.reason})"

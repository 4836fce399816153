"""What listens on the product's hosts, compared with what its definition says, by role of the product."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress

from itb.errors import ScenarioError, TestbedError
from itb.model import CaseKey
from itb.phase import Phase
from itb.process.parallel import in_parallel
from itb.run.cell import Cell
from itb.rundir.values import ValueKey
from itb.testbed import ports
from itb.testbed.ports import Socket, Sockets

_AGAIN = 1.0  # seconds after which a difference has to be there still
Listening = Mapping[str, list[Socket] | str]
"""By role, what listens on its host and did not before the installation, or why that is not known."""


def _case(role: str) -> CaseKey:
    return CaseKey(Phase.TEST, role, "what listens is declared")


def _before(role: str) -> ValueKey[Sockets]:
    return ValueKey(f"listened.{role}", Sockets)


def cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the case of each role of the product."""
    yield from map(_case, cell.roles)


def remember(cell: Cell, role: str) -> None:
    """Remember what listens on a host before the product is installed: that is the platform's."""
    with suppress(TestbedError):
        cell.rundir.save(_before(role), ports.read(cell.host(role)))


def find(cell: Cell) -> Listening:
    """Return what listens on each host of the product besides the platform's."""
    return in_parallel(cell.roles, lambda role: _find_on(cell, role))


def _find_on(cell: Cell, role: str) -> list[Socket] | str:
    before, host = cell.rundir.load_if_readable(_before(role)), cell.host(role)
    if before is None:
        return "what listened before the installation is not known"
    try:
        found = ports.opened(ports.read(host), before, cell.product.packages)
        declared = cell.roles[role].ports
        if declared is not None and any(ports.compare(found, declared)):  # it may be what begins or ends just now
            time.sleep(_AGAIN)
            found = ports.opened(ports.read(host), before, cell.product.packages)
    except TestbedError as error:
        return error.message
    return found


def report(cell: Cell, found: Listening, *, is_red: bool) -> None:
    """Report what listens on each role; of a run that is red, what does not listen may follow from that."""
    for role, sockets in found.items():
        declared = cell.roles[role].ports
        with suppress(ScenarioError), cell.journal.case(*_case(role)) as case:
            if isinstance(sockets, str):
                case.skip(sockets)
                continue
            is_open = any(ports.too_open(sockets, declared or {}))
            named = Socket.describe_all(sockets)
            differences = "; ".join(ports.compare(sockets, declared or {}))
            if declared is None:
                case.passed(f"{named}; the product's definition says nothing of it (roles.{role}.ports)")
            elif not differences:
                case.passed(named)
            elif is_red and not is_open:
                case.skip(f"the run has failed, and this may follow from that: {differences}")
            else:
                raise ScenarioError(differences, hint=f"roles.{role}.ports of product.yaml", evidence=named)

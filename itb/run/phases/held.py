"""What services hold more and more of, and logs that fill a disk, by role of the product."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from itb.errors import ScenarioError, TestbedError
from itb.model import CaseKey
from itb.phase import Phase
from itb.process.parallel import in_parallel
from itb.run.cell import Cell
from itb.testbed import growth
from itb.testbed.growth import Growth, Sample
from itb.util.text import count


def _held(role: str) -> CaseKey:
    return CaseKey(Phase.TEST, role, "services hold no more and more")


def _logs(role: str) -> CaseKey:
    return CaseKey(Phase.TEST, role, "no log grows without end")


def cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the cases of each role of the product."""
    for role in cell.roles:
        yield from (_held(role), _logs(role))


def find(cell: Cell) -> dict[str, tuple[list[Sample], list[Growth]]]:
    """Return the samples of each of the product's hosts, and what its services hold more and more of."""

    def find_on(role: str) -> tuple[list[Sample], list[Growth]]:
        host = cell.host(role)
        samples = list[Sample]()
        with suppress(TestbedError):  # a host that has stopped, which its services' cases say
            samples = growth.read_samples(host)
        found = growth.growing(samples, cell.roles[role].services)
        owners = {unit: growth.owner(host, unit) for unit in {item.what for item in found}}
        own = [item for item in found if _is_products(owners[item.what], cell.product.packages)]
        return samples, own

    return in_parallel(cell.roles, find_on)


def _is_products(package: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(package, glob) for glob in globs)


def report(cell: Cell, found: Mapping[str, tuple[list[Sample], list[Growth]]], *, is_red: bool) -> None:
    """Report what grows on each role; of a run that is red, it may follow from that."""
    loop = cell.product.loop_seconds
    for role, (samples, grown) in found.items():
        logs = growth.growing_logs(samples)
        large = [log for log in logs if log.is_finding]
        _report(cell, _held(role), [item.describe(loop) for item in grown], _describe(samples), is_red=is_red)
        most = f"most: {logs[0].describe(loop)}" if logs else ""
        _report(cell, _logs(role), [item.describe(loop) for item in large], most, is_red=is_red)


def _describe(samples: Sequence[Sample]) -> str:
    if not samples:
        return ""
    return f"{count(len(samples), 'sample')} in {samples[-1].time - samples[0].time:.0f} s"


def _report(cell: Cell, key: CaseKey, findings: Sequence[str], otherwise: str, *, is_red: bool) -> None:
    message = "; ".join(findings)
    with suppress(ScenarioError), cell.journal.case(*key) as case:
        if not findings:
            case.passed(otherwise)
        elif is_red:
            case.skip(f"the run has failed, and this may follow from that: {message}")
        else:
            raise ScenarioError(message)

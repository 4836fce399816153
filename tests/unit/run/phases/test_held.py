"""What grows is a failure of its role, and of a run that is red it may follow from that."""

from __future__ import annotations

from collections.abc import Callable

from itb.errors import ExitCode
from itb.model import Case, Outcome
from itb.run.cell import Cell
from itb.run.phases import held
from itb.testbed.growth import Growth, Sample

NewCell = Callable[..., Cell]
GROWN = Growth("pocketwms-factory", "descriptors", 31, 271, 24.0, 1024)
SAMPLES = [Sample(time=0, logs={"/var/log/a": 0}), Sample(time=60, logs={"/var/log/a": 5 << 20})]


def cases(cell: Cell) -> dict[tuple[str, str], Case]:
    return {(case.role, case.name): case for case in cell.journal.cases}


def test_growth_fails_its_role(new_cell: NewCell) -> None:
    cell = new_cell()
    held.report(cell, {"factory": (SAMPLES, [GROWN]), "frontend": ([], [])}, is_red=False)
    found = cases(cell)
    grown, log = found["factory", "services hold no more and more"], found["factory", "no log grows without end"]
    assert (grown.outcome, grown.exit_code) == (Outcome.FAILED, ExitCode.SCENARIO)
    assert grown.message == (
        "pocketwms-factory: descriptors grow steadily: 31 to 271 in 24 s, 20 a loop; 0.0 h until the limit of 1024"
    )
    assert log.message == "/var/log/a grows by 170.7 KiB a loop, 7200 MiB a day at the pace of this run"
    assert log.outcome is Outcome.FAILED
    assert {case.outcome for (role, _), case in found.items() if role == "frontend"} == {Outcome.PASSED}
    assert set(held.cases(cell)) == {case.key for case in cell.journal.cases}


def test_run_that_is_red_has_its_cause(new_cell: NewCell) -> None:
    cell = new_cell()
    held.report(cell, {"factory": (SAMPLES, [GROWN])}, is_red=True)
    assert {case.outcome for case in cell.journal.cases} == {Outcome.SKIPPED}
    assert all("may follow from that: " in case.message for case in cell.journal.cases)

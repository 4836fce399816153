"""What listens besides the declared is a failure of its role; without a declaration it is only named."""

from __future__ import annotations

from collections.abc import Callable

from itb.errors import ExitCode
from itb.model import Outcome
from itb.run.cell import Cell
from itb.run.phases import listening
from itb.testbed.ports import Socket

NewCell = Callable[..., Cell]
DEBUG = Socket(protocol="tcp", address="0.0.0.0", port=8765, process="python3")
CONDOR = [Socket(protocol=kind, address="0.0.0.0", port=9618) for kind in ("tcp", "udp")]


def test_what_is_not_declared_fails_its_role(new_cell: NewCell) -> None:
    cell = new_cell()
    listening.report(cell, {"frontend": [*CONDOR, DEBUG], "factory": CONDOR}, is_red=False)
    frontend, factory = cell.journal.cases
    assert (frontend.outcome, frontend.exit_code) == (Outcome.FAILED, ExitCode.SCENARIO)
    assert frontend.message == (
        "8765/tcp on 0.0.0.0 (python3) listens and is not declared (roles.frontend.ports of product.yaml)"
    )
    assert factory.message.startswith("80/tcp is declared, and nothing listens there")
    assert {case.key for case in cell.journal.cases} == set(listening.cases(cell))


def test_what_does_not_listen_in_a_run_that_is_red_may_follow_from_that(new_cell: NewCell) -> None:
    cell = new_cell()
    listening.report(cell, {"frontend": [], "factory": "host factory is gone"}, is_red=True)
    assert [case.outcome for case in cell.journal.cases] == [Outcome.SKIPPED, Outcome.SKIPPED]
    listening.report(cell, {"frontend": [*CONDOR, DEBUG]}, is_red=True)
    assert cell.journal.cases[-1].outcome is Outcome.FAILED


def test_without_a_declaration_it_is_named(new_cell: NewCell) -> None:
    cell = new_cell()
    cell.roles["frontend"] = cell.roles["frontend"].model_copy(update={"ports": None})
    listening.report(cell, {"frontend": [DEBUG]}, is_red=False)
    (case,) = cell.journal.cases
    assert case.outcome is Outcome.PASSED
    assert case.message.startswith("8765/tcp on 0.0.0.0 (python3); the product's definition says nothing of it")

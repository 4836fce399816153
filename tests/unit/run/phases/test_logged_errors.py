"""Errors that repeat in logs are a failure or a warning of a run that is green, and new ones stand out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from itb.errors import ExitCode
from itb.model import Case, Outcome, Remark
from itb.run.cell import Cell
from itb.run.phases import logged_errors
from itb.rundir import values
from itb.rundir.directory import RunDir, RunState
from itb.rundir.values import LoggedError, LoggedErrors

NewCell = Callable[..., Cell]


def error(kind: str = "lost #", times: int = 12, role: str = "factory") -> LoggedError:
    log = "/var/log/pocketwms/factory/factory.log"
    return LoggedError(role=role, kind=kind, times=times, message=kind, log=log, number=7, line=f"ERROR {kind}")


def cases(cell: Cell) -> dict[str, Case]:
    return {case.role: case for case in cell.journal.cases if case.key in set(logged_errors.cases(cell))}


@pytest.fixture
def cell_of(new_cell: NewCell) -> Callable[[Literal["fail", "warn"]], Cell]:
    def make(errors: Literal["fail", "warn"]) -> Cell:
        cell = new_cell()
        return dataclasses.replace(cell, product=cell.product.model_copy(update={"errors": errors}))

    return make


def test_repeated_error_fails_its_role(cell_of: Callable[..., Cell]) -> None:
    cell = cell_of("fail")
    logged_errors.report(cell, {"factory": [error()], "frontend": [error("rare", 2, "frontend")]}, is_red=False)
    found = cases(cell)
    assert found["factory"].message == "12 times lost # (/var/log/pocketwms/factory/factory.log:7)"
    assert (found["factory"].outcome, found["factory"].exit_code) == (Outcome.FAILED, ExitCode.SCENARIO)
    (quote,) = found["factory"].quotes
    assert quote.text == "ERROR lost #"
    assert found["frontend"].outcome is Outcome.PASSED
    assert found["frontend"].message.startswith("1 error that did not repeat; twice: rare (")


def test_product_can_be_warned(cell_of: Callable[..., Cell]) -> None:
    cell = cell_of("warn")
    logged_errors.report(cell, {"factory": [error()]}, is_red=False)
    assert cases(cell)["factory"].outcome is Outcome.PASSED
    assert cases(cell)["factory"].remark is Remark.WARNING
    assert cases(cell)["factory"].message.startswith("12 times lost")


def test_run_that_is_red_has_its_cause(cell_of: Callable[..., Cell]) -> None:
    cell = cell_of("fail")
    logged_errors.report(cell, {"factory": [error()]}, is_red=True)
    assert cases(cell)["factory"].outcome is Outcome.SKIPPED
    assert "12 times lost" in cases(cell)["factory"].message


def earlier_run(runs: Path, kinds: list[str], *, exit_code: int = 0) -> RunDir:
    run = RunDir(runs / f"2020010{1 + exit_code}T000000Z-pocketwms-0000-deb13")
    run.path.mkdir()
    state = RunState(id=run.id, short_id="s", product="pocketwms", platform="deb13", ref="", started=1)
    run.write_state(state.model_copy(update={"finished": 2.0, "exit_code": exit_code}))
    run.save(values.LOGGED_ERRORS, LoggedErrors(errors=tuple(map(error, kinds))))
    return run


def test_what_the_last_green_run_did_not_have_comes_first(
    tmp_path: Path, cell_of: Callable[..., Cell]
) -> None:
    green = earlier_run(tmp_path, ["lost #"])
    earlier_run(tmp_path, ["lost #", "new #"], exit_code=2)
    cell = cell_of("warn")
    logged_errors.report(cell, {"factory": [error("lost #", 30), error("new #", 4)]}, is_red=False)
    message = cases(cell)["factory"].message
    assert message.startswith(f"new since {green.id}: 4 times new #")
    assert "30 times lost #" in message


def test_many_kinds_are_counted_in_one_line(cell_of: Callable[..., Cell]) -> None:
    cell = cell_of("fail")
    errors = [error(f"kind {letter} " + "x" * 400) for letter in "abcde"]
    logged_errors.report(cell, {"factory": errors}, is_red=False)
    message = cases(cell)["factory"].message
    assert message.endswith("; 2 more kinds")
    assert len(message) < 600


def test_host_that_cannot_count_is_no_pass(cell_of: Callable[..., Cell]) -> None:
    cell = cell_of("fail")
    logged_errors.report(cell, {"factory": "host factory: no Python"}, is_red=False)
    assert cases(cell)["factory"].outcome is Outcome.SKIPPED
    assert cases(cell)["factory"].message.endswith(": host factory: no Python")

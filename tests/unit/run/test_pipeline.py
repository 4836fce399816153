"""The end of a run: whatever ended it, there is a report, and the exit code is that of run.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

from itb import __main__ as program
from itb.errors import HELD_UP, ExitCode, InterruptedRunError, ScenarioError, TestbedError
from itb.model import Case, Outcome, Remark
from itb.process.stop import Ending, TimeIsUpError
from itb.report import run_report
from itb.run import pipeline
from itb.run.cell import Cell
from itb.run.phases import down, install
from itb.run.phases.down import CollectedLogs

NewCell = Callable[..., Cell]
CRASHES = [KeyError("usr/x.rpm"), RecursionError("too deep"), MemoryError(), ValueError("a number of 5000 digits")]


def crash(error: Exception) -> Callable[..., NoReturn]:
    def call(*_: object, **__: object) -> NoReturn:
        raise error

    return call


@pytest.fixture
def cell(new_cell: NewCell, monkeypatch: pytest.MonkeyPatch) -> Cell:
    """A cell whose hosts need no engine to be removed, nor to be inspected."""
    monkeypatch.setattr(down, "_remove", lambda *_: None)
    monkeypatch.setattr(down, "collect", lambda *_: None)
    monkeypatch.setattr(install, "inspect_before_removal", lambda *_: None)
    return new_cell()


def verdict(cell: Cell) -> dict[str, object]:
    loaded = json.loads(cell.rundir.verdict.read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("error", CRASHES, ids=lambda error: type(error).__name__)
def test_crash_in_a_phase_ends_with_a_report(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(pipeline, "_execute", crash(error))
    assert pipeline.run_cell(cell, Ending()) == ExitCode.TESTBED
    assert cell.rundir.state.exit_code == ExitCode.TESTBED
    assert verdict(cell)["exit_code"] == ExitCode.TESTBED
    (case,) = [case for case in cell.journal.cases if case.is_bad]
    assert case.message == f"itb itself failed: {error!r}"
    assert "Traceback" in case.evidence


def test_crash_within_a_case_is_told_once(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: object) -> None:
        with cell.journal.case("build", "workspace", "the RPMs are all there"):
            raise KeyError("usr/x.rpm")

    monkeypatch.setattr(pipeline, "_execute", work)
    assert pipeline.run_cell(cell, Ending()) == ExitCode.TESTBED
    assert [case.name for case in cell.journal.cases if case.is_bad] == ["the RPMs are all there"]


def test_crash_of_a_single_command(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_has_hosts", lambda _: True)
    monkeypatch.setattr(pipeline, "_execute", crash(KeyError("x")))
    assert pipeline.build_cell(cell, Ending()) == ExitCode.TESTBED
    assert cell.rundir.state.exit_code == ExitCode.TESTBED


@pytest.mark.parametrize("is_blamed", [False, True])
@pytest.mark.parametrize("has_candidate", [False, True])
@pytest.mark.parametrize("is_phases", [False, True])
def test_candidate_that_uses_up_the_time_is_not_acquitted(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, is_blamed: bool, has_candidate: bool, is_phases: bool
) -> None:
    """What it did wrong before stays the exit code; without that it is undecided, once it has run."""
    ending = Ending()

    def work(*_: object) -> NoReturn:
        if is_blamed:
            with suppress(ScenarioError), cell.journal.case("test", "frontend", "smoke: pilots join"):
                raise ScenarioError("no pilot joined")
        reason = "phase test did not end within 60 s"
        if not is_phases:
            ending.on_timeout(60)
            reason = ending.reason
        with cell.journal.case("test", "frontend", "own: tests pass"):
            raise TimeIsUpError(reason)

    cell.journal.has_run_candidate = lambda: has_candidate
    monkeypatch.setattr(pipeline, "_execute", work)
    expected = ExitCode.SCENARIO if has_candidate and is_blamed else ExitCode.TESTBED
    assert pipeline.run_cell(cell, ending) == expected
    assert verdict(cell)["exit_code"] == cell.rundir.state.exit_code == expected
    late = [case.message for case in cell.journal.cases if "did not end" in case.message]
    assert len(late) == 1 + (not is_phases)
    assert all(message.startswith(HELD_UP) is has_candidate for message in late)


@pytest.mark.parametrize("is_stepwise", [False, True])
@pytest.mark.parametrize("is_skipped", [False, True])
def test_scenarios_that_are_all_skipped_are_no_pass(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, is_skipped: bool, is_stepwise: bool
) -> None:
    """Whatever else passed, in a whole run and in one whose phases are done by single commands."""

    def work(*_: object) -> dict[str, object]:
        with cell.journal.case("install", "factory", "dnf installs the packages") as case:
            case.passed()
        outcome = Outcome.SKIPPED if is_skipped else Outcome.PASSED
        cell.journal.add(
            Case(
                phase="test", role="frontend", name="smoke: ten jobs complete",
                outcome=outcome, message="needs el9" if is_skipped else "", started=1, seconds=1,
            )
        )  # fmt: skip
        with cell.journal.case("test", "factory", "condor is still up") as case:
            case.passed()
        return {}

    monkeypatch.setattr(pipeline, "_execute", work)
    monkeypatch.setattr(pipeline, "_has_hosts", lambda _: True)
    code = (pipeline.build_cell if is_stepwise else pipeline.run_cell)(cell, Ending())
    expected = ExitCode.NOTHING_RAN if is_skipped else ExitCode.PASSED
    assert (code, cell.rundir.state.exit_code, verdict(cell)["exit_code"]) == (expected,) * 3
    assert verdict(cell)["verdict"] == ("nothing" if is_skipped else "passed")


def test_a_run_whose_scenarios_are_still_to_come_is_partial(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: object) -> None:
        with cell.journal.case("build", "workspace", "the RPMs are built") as case:
            case.passed()

    monkeypatch.setattr(pipeline, "_execute", work)
    monkeypatch.setattr(pipeline, "_has_hosts", lambda _: True)
    assert pipeline.build_cell(cell, Ending()) == ExitCode.PASSED
    assert verdict(cell)["verdict"] == "partial"


@pytest.mark.parametrize("place", ["collect", "_remove"])
def test_crash_at_the_end_keeps_nothing_from_being_reported(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(pipeline, "_execute", crash(TestbedError("no engine")))
    monkeypatch.setattr(down, place, crash(RecursionError("too deep")))
    assert pipeline.run_cell(cell, Ending()) == ExitCode.TESTBED
    assert verdict(cell)["exit_code"] == cell.rundir.state.exit_code == ExitCode.TESTBED


def test_report_that_cannot_be_made_is_no_pass(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the process ends with is what run.json says."""
    monkeypatch.setattr(pipeline, "_execute", lambda *_: {})
    monkeypatch.setattr(run_report, "write", crash(ValueError("no XML")))
    assert pipeline.run_cell(cell, Ending()) == ExitCode.TESTBED
    assert cell.rundir.state.exit_code == ExitCode.TESTBED
    assert "no XML" in cell.journal.lost


def test_crash_elsewhere_is_no_wrong_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(program.cli_arguments, "check_encoding", crash(KeyError("x")))
    monkeypatch.setattr(program, "handle_signals", lambda: None)
    monkeypatch.setattr(program, "redact_crashes", lambda: None)
    with pytest.raises(SystemExit) as caught:
        program.main()
    assert caught.value.code == ExitCode.TESTBED
    assert "KeyError: 'x'" in capsys.readouterr().err


def test_logs_that_were_collected_beside_the_checks_are_not_collected_again(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected = CollectedLogs(losses=["factory: cut: the beginning of the journal"])
    monkeypatch.setattr(pipeline, "_execute", lambda *_: {"collected_logs": collected})
    monkeypatch.setattr(down, "collect", crash(AssertionError("collected again")))
    pipeline.run_cell(cell, Ending())
    (case,) = [case for case in cell.journal.cases if case.key == down.EVIDENCE]
    assert case.message == collected.losses[0]
    assert case.remark is Remark.WARNING


def test_interruption_of_collecting_ends_the_node(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(down, "collect", crash(InterruptedRunError("by a signal")))
    with pytest.raises(InterruptedRunError):
        down.collect_logs(cell)
    down.collect_evidence(cell)  # never raises, and says what is missing
    assert cell.journal.cases[-1].message == "incomplete: by a signal"

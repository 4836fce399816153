"""itb down: hosts go whatever a run directory holds and whoever interrupts; the run's verdict stays."""

from __future__ import annotations

import os
import signal
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from itb.cli.commands import existing_run
from itb.config.settings import Settings
from itb.errors import TestbedError, UsageError
from itb.model import Case, Outcome
from itb.process import orphans
from itb.process.runner import Runner
from itb.run import reopen
from itb.rundir.directory import RunDir, RunState
from itb.rundir.journal import Journal


class Machine:
    """An engine that has one container of the run; ``broken`` is one that cannot remove it."""

    def __init__(self, runner: Runner, *, broken: bool = False) -> None:
        self.runner, self.broken = runner, broken
        self.there = ["itb-x-ce"]

    def remove_labelled(self, labels: dict[str, str]) -> list[str]:
        assert set(labels) == {"itb.run", "itb.runs"}
        assert not self.runner.stop.event.is_set(), "what removes must not be told to end"
        if self.broken:
            raise TestbedError("cannot be removed")
        gone, self.there = self.there, []
        return gone

    def containers(self, _labels: dict[str, str]) -> list[str]:
        return self.there


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A green run whose hosts were kept; no reports of it can be opened here but as files."""
    monkeypatch.setattr(orphans, "guard", nullcontext)
    rundir = RunDir(tmp_path / "runs" / "r")
    rundir.tokens.mkdir(parents=True)
    (rundir.tokens / "ca.key").write_text("secret")
    state = RunState(id="r", short_id="x", product="p", platform="d", ref="r", started=1)
    rundir.write_state(state.model_copy(update={"finished": 5, "exit_code": 0, "kept": True}))
    rundir.append_case(Case(phase="test", role="ce", name="n", outcome=Outcome.PASSED, started=2, seconds=1))
    return rundir


def down(rundir: RunDir) -> int:
    return existing_run.down(Settings(runs=str(rundir.path.parent), progress="quiet"), "r")


def open_as(monkeypatch: pytest.MonkeyPatch, *, broken: bool = False, interrupted: bool = False) -> list[Machine]:
    """Have the run reopened as it was, on the machines that are returned."""
    machines: list[Machine] = []

    def reopen_cell(rundir: RunDir, _saved: Settings, listener: Any, stop: Any) -> Any:
        machines.append(Machine(Runner(stop=stop), broken=broken))
        cell = type("Cell", (), {"journal": Journal(rundir, [listener]), "engine": machines[0], "notes": None})
        return cell()

    def collect(cell: Any) -> None:
        if interrupted:
            os.kill(os.getpid(), signal.SIGINT)
            assert cell.engine.runner.stop.event.wait(5)

    monkeypatch.setattr(reopen, "reopen_cell", reopen_cell)
    monkeypatch.setattr("itb.run.phases.down.collect_evidence", collect)
    return machines


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_signal_never_keeps_hosts_from_going(
    kept: RunDir, monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    machines = open_as(monkeypatch, interrupted=interrupted)
    assert down(kept) == (130 if interrupted else 0)
    assert machines[0].there == []
    assert not list(kept.tokens.iterdir())
    assert (kept.state.exit_code, kept.state.finished, kept.state.kept) == (0, 5, False)
    assert kept.junit.is_file()


def test_a_removal_that_fails_is_told(kept: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    open_as(monkeypatch, broken=True)
    assert down(kept) == 5
    assert kept.state.exit_code == 5


def test_a_run_cut_off_does_not_pass_by_its_removal(kept: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    open_as(monkeypatch)
    kept.update(exit_code=None, finished=None)
    assert down(kept) == 0
    assert kept.state.exit_code == 130


@pytest.mark.parametrize("damaged", ["settings", "state", "interrupted"])
def test_it_needs_no_more_than_the_engine(
    damaged: str, kept: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machines: list[Machine] = []

    def connect(runner: Runner, program: str, _cache: Path) -> Machine:
        assert program == "podman"
        machines.append(Machine(runner))
        return machines[0]

    def interrupt(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise UsageError("interrupted by then")

    monkeypatch.setattr(existing_run, "connect", connect)
    monkeypatch.setattr(reopen, "connect", connect)
    if damaged == "settings":
        kept.update(settings={"product": "pocketwms", "keep": 5})
    if damaged == "state":
        (kept.path / "run.json").write_text("{")
    if damaged == "interrupted":
        monkeypatch.setattr(reopen, "reopen_cell", interrupt)
    assert down(kept) == (130 if damaged == "interrupted" else 0)
    assert machines[0].there == []
    assert not list(kept.tokens.iterdir())
    output = capsys.readouterr().err
    assert output.startswith("itb: r goes without its logs: ")
    assert {"settings": "keep", "state": "run.json"}.get(damaged, "interrupted") in output
    if damaged != "state":
        assert (kept.state.exit_code, kept.state.kept) == (0, False)

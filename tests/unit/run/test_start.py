"""A run of several cells: each has its directory, locked while it is worked on, and the worst exit code counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from itb.config import trust
from itb.config.settings import Settings
from itb.containers.engine import Engine
from itb.errors import ExitCode
from itb.model import Case, CommitKind, Outcome, RunTrust, Trust
from itb.process.stop import Ending
from itb.run import assemble, start
from itb.run.cell import Cell
from itb.run.phases import published
from itb.run.start import ResolvedRun
from itb.rundir.journal import RunningCase


class Listener:
    """Keeps the phases of the cases that it receives."""

    def __init__(self) -> None:
        self.phases: list[str] = []

    def started(self, case: RunningCase) -> None:
        self.phases.append(case.phase)

    def noted(self, case: RunningCase, text: str) -> None: ...

    def finished(self, case: Case) -> None: ...


def resolved_run(folder: Path, *platforms: str) -> ResolvedRun:
    settings = Settings(product="pocketwms", platform=platforms, runs=str(folder / "runs"), cache=str(folder))
    commit = published.unresolved_commit("pocketwms", "here", "main").model_copy(
        update={"kind": CommitKind.BRANCH, "id": "ab" * 20, "describe": "v1_0_0"}
    )
    resolve_case = Case(**published.CANDIDATE._asdict(), outcome=Outcome.PASSED, started=1, seconds=2)
    run_trust = trust.of_run(settings, commit)
    return ResolvedRun(settings, tuple(assemble.find_definitions(settings)), commit, None, run_trust, resolve_case)


@pytest.mark.parametrize(
    ("platforms", "phases"), [(("deb13",), {"up"}), (("deb13", "el9"), {"deb13 up", "el9 up"})]
)
def test_cells_are_worked_on_under_their_locks(
    platforms: tuple[str, ...], phases: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assemble, "connect", lambda runner, *_: Engine(runner))
    listener, codes = Listener(), {"deb13": ExitCode.PASSED, "el9": ExitCode.INSTALL}

    def work(cell: Cell, _ending: Ending) -> int:
        assert cell.rundir.is_locked()
        with cell.journal.case("up", "ce", "boots"):
            return codes[cell.platform.name]

    resolved: Any = resolved_run(tmp_path, *platforms)
    assert resolved.title == "pocketwms v1_0_0"
    cells, code = start.run_cells(resolved, work, listener=listener, ending=Ending())
    assert code == max(codes[name] for name in platforms)
    assert [cell.platform.name for cell in cells] == list(platforms)
    assert set(listener.phases) == phases
    for cell in cells:
        assert cell.rundir.state.trust == cell.trust == RunTrust(level=Trust.BRANCH, reference=Trust.BRANCH)
        assert not cell.rundir.is_locked()
        assert [case.key for case in cell.rundir.cases()] == [published.CANDIDATE, ("up", "ce", "boots")]


def test_a_cell_that_raises_lets_go_of_all_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "connect", lambda runner, *_: Engine(runner))

    def work(cell: Cell, _ending: Ending) -> int:
        raise ValueError(cell.rundir.id)

    with pytest.raises(ValueError, match="pocketwms-abababab-deb13"):
        start.run_cells(resolved_run(tmp_path, "deb13"), work, listener=Listener(), ending=Ending())
    (path,) = (tmp_path / "runs").iterdir()
    assert not start.assemble.RunDir(path).is_locked()

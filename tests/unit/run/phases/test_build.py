"""A build never happens where another one was: the container is new, in a run that is resumed, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from itb.run.cell import WORKSPACE
from itb.run.phases import build
from itb.rundir.checkpoints import Checkpoints
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal


class StandIn:
    """A testbed that has a workspace; each new one has another id."""

    def __init__(self) -> None:
        self.containers = {WORKSPACE: "1"}

    def remove(self, roles: Sequence[str]) -> None:
        for role in roles:
            del self.containers[role]

    def network_prefix(self) -> str:
        return "10.0.0"

    def up(self, roles: Sequence[str], _images: Mapping[str, str], _prefix: str) -> None:
        assert not set(roles) & set(self.containers), "it would have been left as it is"
        self.containers = dict.fromkeys(roles, "new")


@pytest.fixture
def rundir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.setattr(build, "make_ready", lambda _host, _ca: "running")
    monkeypatch.setattr(build, "load_ca", lambda _cell: None)
    return RunDir.create(tmp_path, "p-1234-deb13")


def renew(rundir: RunDir, testbed: StandIn) -> Journal:
    """Prepare a build, as a process that has only just begun would."""
    journal = Journal(rundir)
    cell: Any = SimpleNamespace(checkpoints=Checkpoints(rundir), testbed=testbed, host=lambda _role: None)
    images: Any = SimpleNamespace(references={})
    build._renew_workspace(cell, images, journal)
    return journal


def test_first_build_has_the_workspace_that_runs(rundir: RunDir) -> None:
    testbed = StandIn()
    assert renew(rundir, testbed).cases == []
    assert testbed.containers == {WORKSPACE: "1"}


def test_second_build_has_a_new_one(rundir: RunDir) -> None:
    """Nothing is kept in memory from one to the other: a resumed run knows it from the checkpoints."""
    testbed = StandIn()
    renew(rundir, testbed)
    journal = renew(rundir, testbed)
    assert testbed.containers == {WORKSPACE: "new"}
    assert [case.name for case in journal.cases] == ["a workspace in which nothing was built is up"]


def test_a_container_that_was_made_anew_meanwhile_stays(rundir: RunDir) -> None:
    testbed = StandIn()
    renew(rundir, testbed)
    testbed.containers = {WORKSPACE: "2"}
    assert renew(rundir, testbed).cases == []
    assert testbed.containers == {WORKSPACE: "2"}

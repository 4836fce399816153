"""A build never happens where another one was: the container is new, in a run that is resumed, too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from itb.model import Image, PlatformImages
from itb.roles import WORKSPACE
from itb.run.cell import Cell
from itb.run.phases import build, up

IMAGE = Image(reference="localhost/itb/x:1", id="1")
IMAGES = PlatformImages(platform="deb13", key="1", bare=IMAGE, build=IMAGE, services=IMAGE)


@pytest.fixture
def renew(new_cell: Callable[[], Cell], monkeypatch: pytest.MonkeyPatch) -> Callable[[], Cell]:
    """Prepare a build, as a process that has only just begun would; return its cell."""
    monkeypatch.setattr(build, "make_ready", lambda _host, _ca: "running")
    monkeypatch.setattr(build, "load_ca", lambda _cell: None)
    new_cell().testbed.containers = {WORKSPACE: "1"}

    def renew_workspace() -> Cell:
        cell = new_cell()
        build._renew_workspace(cell, IMAGES)
        return cell

    return renew_workspace


def test_first_build_has_the_workspace_that_runs(renew: Callable[[], Cell]) -> None:
    cell = renew()
    assert cell.journal.cases == []
    assert cell.testbed.containers == {WORKSPACE: "1"}


def test_second_build_has_a_new_one(renew: Callable[[], Cell]) -> None:
    """Nothing is kept in memory from one to the other: a resumed run knows it from the checkpoints."""
    renew()
    cell = renew()
    assert cell.testbed.containers == {WORKSPACE: "new"}
    (case,) = cell.journal.cases
    assert case.key == up.boots(WORKSPACE)
    assert "in which nothing was built" in case.message


def test_a_container_that_was_made_anew_meanwhile_stays(renew: Callable[[], Cell]) -> None:
    renew().testbed.containers = {WORKSPACE: "2"}
    cell = renew()
    assert cell.journal.cases == []
    assert cell.testbed.containers == {WORKSPACE: "2"}

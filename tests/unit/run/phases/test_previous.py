"""A previous version that cannot be built or served is not there, whatever an earlier attempt left."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.errors import BuildError, TestbedError
from itb.model import Build, Image, PlatformImages, Repo, Rpm, SigningKey
from itb.run.cell import Cell
from itb.run.phases import build as phases_build
from itb.run.phases import previous, published
from itb.rundir import checkpoints, values

KEY = SigningKey(fingerprint="F" * 40)
IMAGE = Image(reference="localhost/itb/x:1", id="1")
IMAGES = PlatformImages(platform="deb13", key="1", bare=IMAGE, build=IMAGE, services=IMAGE)
REPO = Repo(id="itb-previous", url="https://repo/previous/", key_url="", key_fingerprint="", packages=1)


@pytest.fixture
def attempt(new_cell: Callable[[], Cell]) -> Callable[[str], Cell]:
    """The cell of another attempt at a run, whose services host is the container given."""

    def begin(services: str) -> Cell:
        commit = published.unresolved_commit("pocketwms", "here", "1")
        cell = dataclasses.replace(new_cell(), previous_commit=commit)
        vars(cell)["testbed"] = new_cell().testbed
        cell.rundir.previous.path.mkdir(exist_ok=True)
        cell.testbed.containers = {"services": services}
        cell.checkpoints.restore(cell.testbed.containers)
        return cell

    return begin


def built(cell: Cell, folder: Path) -> Build:
    folder.mkdir(exist_ok=True)
    (folder / "a.rpm").write_text("a")
    rpm = Rpm(name="a", version="1", release="1", arch="noarch", file="a.rpm", size=1, sha256="0" * 64)
    assert cell.previous_commit
    return Build(commit=cell.previous_commit, platform="deb13", directory=str(folder), rpms=(rpm,))


def test_repository_of_an_older_host_is_not_served(
    attempt: Callable[[str], Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = attempt("1")
    build = built(cell, tmp_path / "rpms")
    monkeypatch.setattr(published, "serve", lambda *_, **__: REPO)
    assert previous.serve(cell, build, KEY) == previous.saved_repo(cell) == REPO
    assert previous.saved_repo(attempt("1")) == REPO

    def fail(*_: object, **__: object) -> Repo:
        raise TestbedError("its RPMs are not as built any more")

    monkeypatch.setattr(published, "serve", fail)
    assert previous.serve(attempt("1"), build, KEY) == REPO, "it is served still"
    later = attempt("2")
    assert previous.saved_repo(later) is None
    assert previous.serve(later, build, KEY) is None
    assert previous.saved_repo(attempt("2")) is None
    assert later.checkpoints.last(checkpoints.PREVIOUS_REPO_SERVED)


def test_damaged_build_is_none(
    attempt: Callable[[str], Cell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = attempt("1")
    cell.rundir.previous.save(values.BUILD, built(cell, tmp_path / "rpms"))

    def fail(*_: object) -> Build:
        raise BuildError("it cannot be built")

    monkeypatch.setattr(phases_build, "build_other", fail)
    assert previous.build(cell, IMAGES) is None

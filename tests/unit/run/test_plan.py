"""Places itb is started in or told to use: refused by name where they cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from itb.cli.commands import new_run
from itb.config import settings
from itb.config.settings import Settings
from itb.errors import UsageError
from itb.run import plan

SCENARIO = "title: T\nsteps: [{name: n, role: frontend, run: 'true'}]\n"


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.chdir(tmp_path)


def test_a_directory_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UsageError, match="the current directory does not exist any more"):
        settings.load()


@pytest.mark.parametrize("key", ["runs", "cache"])
@pytest.mark.parametrize("folder", ["/dev/null", "/dev/null/deep/er"])
def test_a_folder_that_can_be_none(key: str, folder: str) -> None:
    with pytest.raises(UsageError, match=rf"{key} is {folder} \(flag --{key}\), but /dev/null is not") as caught:
        settings.load({key: folder})
    assert caught.value.hint == f"--{key} DIR chooses another"


def test_a_directory_whose_name_no_run_can_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(odd)  # noqa: PTH102 - its name is bytes
    plan.check_working_directory()
    monkeypatch.chdir(os.fsdecode(odd))
    with pytest.raises(UsageError, match=r"udcff', is not UTF-8 text") as caught:
        new_run.run(Settings(product="pocketwms"))
    caught.value.message.encode()
    with pytest.raises(UsageError, match=r"flag --runs: .*not valid UTF-8"):
        settings.load({"runs": "\udcff"})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("d1/same", "./d2/same"), "two scenarios have the name same: {here}/d1/same and {here}/d2/same"),
        (("d1/same", "smoke", "./d1/same"), "scenario same is named twice"),
        (("smoke", "smoke"), "scenario smoke is named twice"),
    ],
)
def test_two_scenarios_of_one_name(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    for name in ("d1/same", "d2/same"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "scenario.yaml").write_text(SCENARIO)
    with pytest.raises(UsageError) as caught:
        plan.plan_cells(Settings(product="pocketwms", scenario=names))
    assert caught.value.message == message.format(here=tmp_path)
    assert len(plan.plan_cells(Settings(product="pocketwms", scenario=("smoke", "d2/same")))[0].scenarios) == 2


def test_two_platforms_of_one_name() -> None:
    with pytest.raises(UsageError, match="platform deb13 is named twice"):
        plan.plan_cells(Settings(product="pocketwms", platform=("deb13", "deb13")))

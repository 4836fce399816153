"""Which run a step goes on with: never one that has ended, never one of several."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from itb.cli.commands import current_run, existing_run, report
from itb.config.settings import Settings
from itb.containers.engine import Engine
from itb.errors import UsageError
from itb.model import Case, Outcome
from itb.phase import Phase
from itb.report import run_report
from itb.rundir.directory import RunDir, RunState


class Machine:
    """An engine with the containers of these runs, by name; a name after ``-`` is of one that has stopped."""

    def __init__(self, runs: Path, *names: str) -> None:
        self.there = [
            {
                "State": "exited" if name.startswith("-") else "running",
                "Labels": {"itb.run": name.lstrip("-"), "itb.runs": str(runs)},
            }
            for name in names
        ]

    def containers(self, filters: dict[str, str]) -> list[dict[str, Any]]:
        wanted = {key: value for key, value in filters.items() if value}.items()
        return [item for item in self.there if wanted <= item["Labels"].items()]

    def all_resources(self, filters: dict[str, str]) -> list[dict[str, Any]]:
        return self.containers(filters)


def machine(runs: Path, *names: str) -> Engine:
    return cast("Engine", Machine(runs, *names))


def make(runs: Path, name: str, **changes: Any) -> RunDir:
    """A run that has ended well, unless ``changes`` say otherwise."""
    rundir = RunDir(runs / name)
    rundir.path.mkdir(parents=True)
    state = RunState(id=name, short_id="ab12", product="p", platform="deb13", ref="main", started=1.7e9)
    rundir.write_state(state.model_copy(update={"finished": 1.7e9 + 5, "exit_code": 0, **changes}))
    rundir.append_case(Case(phase="test", role="ce", name="n", outcome=Outcome.PASSED, started=1.7e9, seconds=1))
    run_report.write(rundir)
    return rundir


def content(runs: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(runs.rglob("*")) if path.is_file()}


def test_the_run_whose_hosts_are_up_is_the_one(tmp_path: Path) -> None:
    make(tmp_path, "1-up", kept=True)
    make(tmp_path, "2-stopped", kept=True)
    newest = make(tmp_path, "3-ended")
    assert current_run.choose(newest, machine(tmp_path, "1-up", "-2-stopped")).id == "1-up"
    removable = current_run.choose_removable(newest, machine(tmp_path, "-2-stopped"))
    assert removable is not None
    assert removable.id == "2-stopped"


def test_hosts_of_another_folder_are_not_looked_at(tmp_path: Path) -> None:
    newest = make(tmp_path / "a", "1-ended")
    with pytest.raises(UsageError, match="no run's hosts are up"):
        current_run.choose(newest, machine(tmp_path / "b", "1-ended"))


def test_of_several_none_is_taken(tmp_path: Path) -> None:
    make(tmp_path, "1-up", kept=True)
    newest = make(tmp_path, "2-up", kept=True)
    for choose in (current_run.choose, current_run.choose_removable):
        with pytest.raises(UsageError, match="which run\\? 2 can be gone on with: 1-up, 2-up") as caught:
            choose(newest, machine(tmp_path, "1-up", "2-up"))
        assert "--run RUN" in caught.value.hint


def test_what_another_process_works_on_is_left_alone(tmp_path: Path) -> None:
    make(tmp_path, "1-up", kept=True)
    newest = make(tmp_path, "2-going", finished=None, exit_code=None)
    with newest.lock():
        assert current_run.choose(newest, machine(tmp_path, "1-up", "2-going")).id == "1-up"


def test_a_build_from_the_cache_has_no_hosts_and_goes_on(tmp_path: Path) -> None:
    make(tmp_path, "1-older", is_stepwise=True)
    newest = make(tmp_path, "2-built", is_stepwise=True)
    assert current_run.choose(newest, machine(tmp_path)).id == "2-built"
    current_run.check_not_ended(newest, machine(tmp_path))
    make(tmp_path, "0-up", kept=True)
    with pytest.raises(UsageError, match="0-up, 2-built"):
        current_run.choose(newest, machine(tmp_path, "0-up"))


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({}, "run r has ended, and its hosts are gone", "itb run with --keep always starts one whose hosts stay"),
        ({"exit_code": 7}, "run r has ended, and its hosts are gone", "itb run --resume r goes on with it"),
        ({"kept": True, "is_stepwise": True}, "run r has ended, and its hosts are gone", "itb run --resume r"),
        ({"finished": None, "exit_code": None}, "run r was cut off: what it was doing is half-done", "--resume r"),
    ],
)
def test_a_run_that_has_ended_is_refused(changes: dict[str, Any], message: str, hint: str, tmp_path: Path) -> None:
    rundir = make(tmp_path, "r", **changes)
    with pytest.raises(UsageError) as caught:
        current_run.check_not_ended(rundir, machine(tmp_path, "-r"))
    assert caught.value.message == message
    assert hint in caught.value.hint
    assert "itb run --resume r goes on with it" in caught.value.hint


@pytest.mark.parametrize("wanted", ["", "r"])
@pytest.mark.parametrize("phase", [Phase.SERVE, Phase.UP, Phase.INSTALL, Phase.TOKEN, Phase.TEST])
def test_nothing_of_it_is_rewritten(
    wanted: str, phase: Phase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``itb token``, typed to see what there is, turned a green run into an error."""
    runs = tmp_path / "runs"
    make(runs, "r")
    before = content(runs)
    monkeypatch.setattr(existing_run.common, "find_engine", lambda _settings: machine(runs))
    with pytest.raises(UsageError, match="r has ended, and its hosts are gone"):
        existing_run.run_phase(Settings(runs=str(runs), progress="quiet"), wanted, phase)
    assert content(runs) == before


@pytest.mark.parametrize("wanted", ["", "r"])
def test_what_is_gone_already_is_not_removed_again(
    wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    rundir = make(runs, "r")
    before = content(runs)
    monkeypatch.setattr(existing_run.common, "find_engine", lambda _settings: machine(runs))
    monkeypatch.setattr(existing_run, "connect", lambda *_: machine(runs))
    assert existing_run.down(Settings(runs=str(runs), progress="quiet"), wanted) == 0
    assert capsys.readouterr().out.startswith("nothing to remove: ")
    assert content(runs) == before
    rundir.tokens.mkdir()
    (rundir.tokens / "ca.key").write_text("secret")
    assert current_run.is_left(rundir, machine(runs)), "secrets outlive nothing"
    (rundir.tokens / "ca.key").unlink()
    assert current_run.is_left(rundir, machine(runs, "-r"))


@pytest.mark.parametrize("as_json", [False, True])
def test_a_run_that_goes_on_has_no_exit_code(
    as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rundir = make(tmp_path, "r", finished=None, exit_code=None)
    with rundir.lock():
        assert report.report_runs(Settings(runs=str(tmp_path)), ["r"], as_json=as_json) == 1
    output = capsys.readouterr()
    assert output.err == "itb: run r is going on: it has no exit code yet\n"
    assert ('"exit_code": null' in output.out) if as_json else ("exit code" not in output.out)
    assert "exit code" not in rundir.html.read_text()
    assert 'name="exit_code"' not in rundir.junit.read_text()


def test_reports_say_who_entered_a_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rundir = make(tmp_path, "r")
    rundir.append_login("frontend")
    with (rundir.path / "entered.jsonl").open("a") as file:
        file.write('{"role": "ce", "at": "never"}\n\x00\n{"role": "ce"\n')
    said = "host frontend was entered by hand (itb shell) at 20"
    assert report.report_runs(Settings(runs=str(tmp_path)), ["r"], as_json=False) == 0
    for text in (" ".join(capsys.readouterr().out.split()), rundir.html.read_text(), rundir.junit.read_text()):
        assert said in text
        assert "host ce was entered" not in text

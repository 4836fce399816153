"""What a command does as runs end: reports where they are wanted, silence where nothing went wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from lxml import etree

from itb.cli.commands import common, current_run, existing_run, new_run
from itb.config import settings as config_settings
from itb.config.settings import Settings
from itb.errors import TestbedError, UsageError
from itb.model import Case, Outcome
from itb.phase import Phase
from itb.process import orphans
from itb.run import start
from itb.rundir.directory import RunDir, RunState
from itb.rundir.journal import Journal


def ended(runs: Path, name: str, outcome: Outcome) -> tuple[Journal, None]:
    """A run that ended with one case of this outcome, which has a log."""
    rundir = RunDir(runs / name)
    rundir.tokens.mkdir(parents=True)
    code = 0 if outcome is Outcome.PASSED else 2
    phases = ("build", "serve", "up", "install", "token", "test")
    rundir.write_state(
        RunState(id=name, short_id="x", product="p", platform=name, ref="r", started=1, finished=9, exit_code=code)
    )
    (rundir.path / "a log").touch()
    for phase in phases:
        case = Case(phase=phase, role="ce", name=phase, outcome=Outcome.PASSED, started=2, seconds=1)
        rundir.append_case(case)
    rundir.append_case(
        Case(phase="test", role="ce", name="n", outcome=outcome, started=2, seconds=1, exit_code=code, log="a log")
    )
    return Journal(rundir), None


@pytest.mark.parametrize(("progress", "is_silent"), [("quiet", True), ("plain", False), ("auto", False)])
def test_a_green_run_says_nothing_where_quiet_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], progress: str, is_silent: bool
) -> None:
    settings = Settings.model_validate({"progress": progress})
    green, red = ended(tmp_path, "green", Outcome.PASSED), ended(tmp_path, "red", Outcome.FAILED)
    common.conclude(settings, green)
    printed = capsys.readouterr()
    assert (printed.out + printed.err == "") is is_silent
    common.conclude(settings, green, red)
    printed = capsys.readouterr()
    assert "FAILED" in printed.out
    assert "green" in printed.out
    common.conclude(settings, green, as_json=True)
    assert json.loads(capsys.readouterr().out)["exit_code"] == 0


def test_reports_in_a_folder_of_ones_own(tmp_path: Path) -> None:
    """Those of one run are its own, with links that hold from there; several have one of each."""
    folder = tmp_path / "ci" / "reports"
    settings = Settings(report_dir=str(folder), progress="quiet")
    red = ended(tmp_path / "runs", "red", Outcome.FAILED)
    common.conclude(settings, red)
    assert sorted(path.name for path in folder.iterdir()) == ["junit.xml", "report.html", "verdict.json"]
    assert 'href="./../../runs/red/a%20log"' in (folder / "report.html").read_text()
    assert [run["exit_code"] for run in json.loads((folder / "verdict.json").read_text())["runs"]] == [2]
    common.conclude(settings, red, ended(tmp_path / "runs", "green", Outcome.PASSED))
    assert [run["exit_code"] for run in json.loads((folder / "verdict.json").read_text())["runs"]] == [2, 0]
    assert len(etree.parse(folder / "junit.xml").getroot().findall("testsuite")) == 2


def test_a_run_that_does_not_begin_leaves_no_old_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads them would take them for this one's."""
    monkeypatch.setattr(orphans, "guard", nullcontext)
    folder = tmp_path / "reports"
    folder.mkdir()
    for name in ("junit.xml", "report.html", "verdict.json", "mine.txt"):
        (folder / name).touch()
    with pytest.raises(UsageError, match="unknown product"):
        new_run.run(Settings(product="pocketwm", report_dir=str(folder)))
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_folders_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    with pytest.raises(UsageError, match=r"report_dir is /dev/null/x \(flag --report-dir\)") as caught:
        config_settings.load({"report_dir": "/dev/null/x"})
    assert caught.value.hint == "--report-dir DIR chooses another"
    (tmp_path / "junit.xml").mkdir()
    with pytest.raises(TestbedError, match=r"junit\.xml cannot be written: Is a directory"):
        new_run.run(Settings(product="pocketwms", report_dir=str(tmp_path)))


@pytest.mark.parametrize("begin", ["run", "build", "resume", "step"])
def test_a_folder_that_cannot_be_made_is_found_before_anything_starts(
    begin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after the run whose reports it should get."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.setattr(orphans, "guard", nullcontext)
    monkeypatch.setattr(common, "find_engine", lambda _settings: None)
    monkeypatch.setattr(current_run, "check_not_ended", lambda _rundir, _engine: None)
    flags = {"runs": "runs", "report_dir": "/proc/no-folder"}
    ended(tmp_path / "runs", "red", Outcome.FAILED)
    settings = Settings.model_validate({"product": "pocketwms", **flags})
    commands: dict[str, Callable[[], int]] = {
        "run": lambda: new_run.run(settings),
        "build": lambda: new_run.build(settings),
        "resume": lambda: existing_run.resume_from(flags, "red"),
        "step": lambda: existing_run.run_phase(settings, "red", Phase.TEST),
    }
    with pytest.raises(TestbedError, match="/proc/no-folder cannot be written: ") as caught:
        commands[begin]()
    assert caught.value.hint.startswith("--report-dir DIR")


def test_what_the_source_lacks_is_said_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = SimpleNamespace(warnings=("1 submodule (x) of y", "no version tag"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(orphans, "guard", nullcontext)
    monkeypatch.setattr(start, "resolve_run", lambda *_: SimpleNamespace(commit=commit, title="p"))

    def run_cells(*_: object, **__: object) -> None:
        said = capsys.readouterr().err
        raise TestbedError(said)

    monkeypatch.setattr(start, "run_cells", run_cells)
    with pytest.raises(TestbedError) as begun:
        new_run.run(Settings(product="p", progress="quiet"))
    assert begun.value.message == "itb: warning: 1 submodule (x) of y\nitb: warning: no version tag\n"


def test_whether_a_folder_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    common.begin_reports(Settings(report_dir=str(tmp_path / "a" / "b")))
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_is_gone_does_not_take_the_summary_along(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reports").touch()
    settings = Settings(report_dir=str(tmp_path / "reports"))
    run = ended(tmp_path, "green", Outcome.PASSED)
    for as_json in (False, True):
        with pytest.raises(TestbedError, match="reports cannot be written: File exists"):
            common.conclude(settings, run, as_json=as_json)
        assert bool(capsys.readouterr().out) is not as_json


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_made_goes_to_who_started_it_by_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "54321")
    monkeypatch.setenv("SUDO_GID", "54321")
    journal, _ = ended(tmp_path / "runs", "green", Outcome.PASSED)
    common.conclude(Settings(report_dir=str(tmp_path / "reports"), progress="quiet"), (journal, None))
    for path in (tmp_path / "reports" / "junit.xml", journal.rundir.path, journal.rundir.path / "a log"):
        assert path.stat().st_uid == 54321
    assert journal.rundir.tokens.stat().st_uid == 0
    rundir = RunDir.create(tmp_path / "new" / "runs", "label")
    assert {rundir.path.stat().st_uid, rundir.path.parent.stat().st_uid} == {54321}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("count", [1, 2])
def test_a_folder_that_was_there_is_not_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """`sudo itb run --report-dir /srv` gave all of /srv to the user, and its programs lost their setuid bits."""
    monkeypatch.setenv("SUDO_UID", "54321")
    monkeypatch.setenv("SUDO_GID", "54321")
    folder = tmp_path / "srv"
    files = [folder / "program", folder / "sub" / "theirs", folder / "sub"]
    files[1].parent.mkdir(parents=True)
    for file in files[:2]:
        file.touch()
    os.chown(files[1], 1234, 1234)
    files[0].chmod(0o4755)
    (folder / "sub" / "junit.xml").touch()
    before = [(path.stat().st_uid, path.stat().st_gid, path.stat().st_mode) for path in (*files, folder)]
    settings = Settings(report_dir=str(folder), progress="quiet")
    common.begin_reports(settings)
    runs = [(ended(tmp_path / "runs", f"green{number}", Outcome.PASSED)[0], None) for number in range(count)]
    common.conclude(settings, *runs)
    after = [(path.stat().st_uid, path.stat().st_gid, path.stat().st_mode) for path in (*files, folder)]
    assert after == before
    assert (folder / "sub" / "junit.xml").stat().st_uid == 0
    assert {path.stat().st_uid for path in folder.iterdir() if path.suffix} == {54321}
    made = Settings(report_dir=str(tmp_path / "new"), progress="quiet")
    common.begin_reports(made)
    common.conclude(made, *runs)
    assert {path.stat().st_uid for path in (tmp_path / "new", *(tmp_path / "new").iterdir())} == {54321}

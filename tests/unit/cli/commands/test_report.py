"""``itb report`` of several runs: one folder, one exit code."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from lxml import etree

from itb import __main__
from itb.cli.commands import inspect, report
from itb.config.settings import Settings
from itb.data import shipped
from itb.errors import ExitCode, TestbedError, UsageError
from itb.model import Case, Outcome
from itb.phase import Phase
from itb.rundir.directory import RunDir, RunState


def make_run(runs: Path, platform: str, code: int) -> RunDir:
    """Make a run of which one case is known, which failed unless the exit code is 0."""
    rundir = RunDir(runs / f"20261123T020000Z-pocketwms-4f2a9c1e-{platform}")
    rundir.path.mkdir(parents=True)
    rundir.write_state(
        RunState(
            id=rundir.id, short_id="s", product="pocketwms", platform=platform, ref="main", started=1, finished=2,
            exit_code=code,
        )
    )  # fmt: skip
    outcome = Outcome.FAILED if code else Outcome.PASSED
    rundir.append_case(
        Case(phase=Phase.BUILD, role="workspace", name="n", outcome=outcome, started=1, seconds=1, exit_code=code)
    )
    return rundir


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    make_run(tmp_path / "runs", "deb13", ExitCode.PASSED)
    make_run(tmp_path / "runs", "el9", ExitCode.BUILD)
    return Settings(runs=str(tmp_path / "runs"))


@pytest.mark.parametrize("named", [True, False])
def test_several_runs_are_one_report_in_a_folder(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], named: bool
) -> None:
    place = str(tmp_path / "a new" / "place") if named else ""
    settings = settings.model_copy(update={"report_dir": place})
    code = report.report_runs(settings, ["deb13", "el9"], as_json=True)
    assert code == ExitCode.BUILD
    document = json.loads(capsys.readouterr().out)
    assert [(run["platform"], run["exit_code"]) for run in document["runs"]] == [("deb13", 0), ("el9", 4)]
    folder = Path(document["junit"]).parent
    assert folder == Path(place) if named else folder.parent == settings.runs_dir
    assert json.loads((folder / "verdict.json").read_text()) == document
    suites = etree.parse(folder / "junit.xml").getroot().findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["pocketwms.deb13", "pocketwms.el9"]
    assert "pocketwms-4f2a9c1e-el9/report.html" in (folder / "report.html").read_text()


def test_one_run_has_no_other_folder_unless_it_is_named(settings: Settings, tmp_path: Path) -> None:
    before = set(settings.runs_dir.iterdir())
    assert report.report_runs(settings, ["deb13"], as_json=False) == ExitCode.PASSED
    assert set(settings.runs_dir.iterdir()) == before
    named = settings.model_copy(update={"report_dir": str(tmp_path / "out")})
    report.report_runs(named, ["deb13"], as_json=False)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"junit.xml", "report.html", "verdict.json"}


def test_a_folder_that_cannot_be_written_is_no_success(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    named = settings.model_copy(update={"report_dir": str(tmp_path / "file" / "x")})
    with pytest.raises(TestbedError, match="file/x cannot be written: Not a directory"):
        report.report_runs(named, ["deb13"], as_json=False)


def test_reports_that_were_not_written_are_no_success(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can be read is shown; who asked for reports learns that there are none, or gets them elsewhere."""
    place = next(settings.runs_dir.glob("*-deb13")) / "junit.xml"
    place.mkdir()
    with pytest.raises(TestbedError, match="-deb13: reports cannot be written: Is a directory") as caught:
        report.report_runs(settings, ["deb13"], as_json=False)
    assert "itb report RUN --report-dir" in caught.value.hint
    assert "pocketwms" in capsys.readouterr().out
    elsewhere = settings.model_copy(update={"report_dir": str(tmp_path / "out")})
    assert report.report_runs(elsewhere, ["deb13"], as_json=False) == ExitCode.PASSED
    assert (tmp_path / "out" / "junit.xml").is_file()


@pytest.mark.parametrize("line", ["report deb13 --json", "show deb13 --json", "list --json", "list", "schema itb"])
def test_what_cannot_be_printed_is_no_success(
    line: str,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A full disk: the message says what could not be written."""
    assert settings.runs_dir.is_dir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.setattr(__main__, "handle_signals", lambda: None)
    monkeypatch.setattr("sys.argv", ["itb", *line.split()])
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        with pytest.raises(SystemExit) as ended:
            __main__.main()
    assert ended.value.code == ExitCode.TESTBED
    assert "itb: standard output" in capsys.readouterr().err


def test_a_run_that_is_named_twice_is_refused(settings: Settings) -> None:
    with pytest.raises(UsageError, match="named twice"):
        report.report_runs(settings, ["deb13", "4f2a9c1e-deb13"], as_json=False)


def test_failed_cases_are_the_same_list_alone_and_in_the_document(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = {"runs": settings.runs}
    inspect.show_run(flags, "el9", failed=False, as_json=True)
    document = json.loads(capsys.readouterr().out)
    inspect.show_run(flags, "el9", failed=True, as_json=True)
    failed = json.loads(capsys.readouterr().out)
    assert failed == document["runs"][0]["failed"]
    assert [case["name"] for case in failed] == ["n"]


def test_titles_come_from_the_users_own_definitions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "platforms" / "mine"
    shutil.copytree(shipped.folder("build_ws") / "platforms" / "deb13", own)
    text = (own / "platform.yaml").read_text()
    (own / "platform.yaml").write_text(re.sub(r"^title:.*$", "title: my own", text, flags=re.MULTILINE))
    make_run(tmp_path / "runs", "mine", ExitCode.PASSED)
    settings = Settings(runs=str(tmp_path / "runs"), platforms=(str(own.parent),))
    report.report_runs(settings, [], as_json=False)
    page = next((tmp_path / "runs").glob("*-mine/report.html")).read_text()
    assert "my own" in page

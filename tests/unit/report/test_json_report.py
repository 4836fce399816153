"""What ``--json`` prints of runs: one shape, which the schema that is shipped says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from rich.console import Console

from itb.data import shipped
from itb.errors import ExitCode
from itb.model import Case, CaseKey, Commit, CommitKind, Outcome, PlannedCases
from itb.phase import Phase
from itb.report import json_report, run_report
from itb.rundir import values
from itb.rundir.case_history import RUN_END
from itb.rundir.directory import RunDir, RunState
from itb.version import JSON_FORMAT

START = 1_795_400_000.0
BUILT = CaseKey(Phase.BUILD, "workspace", "RPMs are built")
STEP = CaseKey(Phase.TEST, "factory", "smoke: a job runs")


def schema() -> dict[str, Any]:
    return dict(json.loads((shipped.folder("reports") / "report.schema.json").read_text()))


def check(text: str) -> dict[str, Any]:
    """Return a document after comparing it with the schema."""
    content = json.loads(text)
    Draft202012Validator(schema()).validate(content)
    return dict(content)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunDir]:
    """Return a function that makes a run of a platform whose build failed, or one that passed."""

    def make(platform: str, *, failed: bool = False) -> RunDir:
        folder = tmp_path / f"20261123T020000Z-p-4f2a9c1e-{platform}"
        folder.mkdir()
        rundir = RunDir(folder)
        code = ExitCode.BUILD if failed else ExitCode.PASSED
        rundir.write_state(
            RunState(
                id=rundir.id, short_id="s", product="p", platform=platform, ref="main", started=START,
                finished=START + 9, exit_code=code, scenarios=("smoke",),
            )
        )  # fmt: skip
        rundir.save(values.PLANNED_CASES, PlannedCases(cases=(BUILT, STEP, RUN_END)))
        rundir.save(
            values.COMMIT,
            Commit(
                product="p", source="https://x/y.git", ref="main", kind=CommitKind.BRANCH, id="ab" * 20,
                tree="c" * 40, date="2026-11-20", subject="s", version="1.2.0", rc=3,
            ),
        )  # fmt: skip
        outcome = Outcome.FAILED if failed else Outcome.PASSED
        bad = {"message": "no spec", "evidence": "lines", "log": "build/build.log", "exit_code": code}
        details = bad if failed else {}
        rundir.append_case(Case(**BUILT._asdict(), outcome=outcome, started=START, seconds=2, **details))
        if not failed:
            rundir.append_case(Case(**STEP._asdict(), outcome=outcome, started=START + 3, seconds=2))
        return rundir

    return make


def test_the_schema_is_the_records(make_run: Callable[..., RunDir]) -> None:
    Draft202012Validator.check_schema(schema())
    assert schema() == json_report.schema(), (
        "write it anew: python -c 'import json; from itb.report import json_report; "
        "print(json.dumps(json_report.schema(), indent=1))' > reports/report.schema.json"
    )


def test_a_failed_run_says_what_was_tested_and_what_went_wrong(make_run: Callable[..., RunDir]) -> None:
    rundir = make_run("deb13", failed=True)
    run_report.write(rundir)
    content = check(rundir.verdict.read_text())
    assert (content["format"], content["verdict"], content["exit_code"]) == (JSON_FORMAT, "failed", ExitCode.BUILD)
    assert content["junit"] == str(rundir.junit)
    (run,) = content["runs"]
    assert (run["version"], run["commit"]["id"], run["platform"]) == ("1.2.0 rc3", "ab" * 20, "deb13")
    (failed,) = run["failed"]
    assert (failed["name"], failed["message"], failed["evidence"]) == (BUILT.name, "no spec", "lines")
    assert (failed["log"], failed["classname"]) == ("build/build.log", "p.deb13.build.workspace")
    assert f"--ref {'ab' * 20}" in run["reproduce"]
    assert [(case["name"], case["outcome"], case["reached"]) for case in run["cases"]] == [
        (BUILT.name, "failed", True),
        ("the run goes on to its end", "passed", True),
        (STEP.name, "skipped", False),
    ]  # fmt: skip
    assert run["phases_not_reached"] == ["test"]
    counts = {phase["name"]: phase["counts"]["not_reached"] for phase in run["phases"]}
    assert counts == {"build": 0, "run": 0, "test": 1}


def test_source_that_others_could_have_changed_is_a_warning(
    make_run: Callable[..., RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    for source, warned in (("git://x/y.git", True), ("http://x/y.git", True), ("https://x/y.git", False)):
        rundir = make_run(f"deb13-{source.partition(':')[0]}")
        commit = rundir.load(values.COMMIT)
        assert commit is not None
        rundir.save(values.COMMIT, commit.model_copy(update={"source": source}))
        run_report.write(rundir)
        (run,) = check(rundir.verdict.read_text())["runs"]
        run_report.show(rundir, Console(width=200))
        said = f"the source came by {source.partition(':')[0]}:// ({source})"
        texts = (*run["warnings"], rundir.junit.read_text(), rundir.html.read_text(), capsys.readouterr().out)
        assert [said in text for text in texts] == [warned] * (3 + warned)


def test_what_the_source_lacks_is_a_warning(
    make_run: Callable[..., RunDir], capsys: pytest.CaptureFixture[str]
) -> None:
    rundir = make_run("deb13")
    commit = rundir.load(values.COMMIT)
    assert commit is not None
    rundir.save(values.COMMIT, commit.model_copy(update={"warnings": ("1 submodule (vendor) of x",)}))
    rundir.save(values.PREVIOUS_COMMIT, commit.model_copy(update={"warnings": ("no version tag",)}))
    run_report.write(rundir)
    (run,) = check(rundir.verdict.read_text())["runs"]
    assert run["warnings"] == ["1 submodule (vendor) of x", "previous version: no version tag"]
    run_report.show(rundir, Console(width=200))
    texts = (rundir.junit.read_text(), rundir.html.read_text(), capsys.readouterr().out)
    assert all(warning in text for text in texts for warning in run["warnings"])


def test_several_runs_have_the_shape_of_one(make_run: Callable[..., RunDir], tmp_path: Path) -> None:
    runs = [(make_run("deb13"), None), (make_run("deb14", failed=True), None)]
    folder = tmp_path / "a new" / "folder"
    run_report.write_combined(runs, folder)
    content = check((folder / "verdict.json").read_text())
    alone = check(run_report.json_report_of(runs[:1]).model_dump_json())
    assert content.keys() == alone.keys()
    assert (content["verdict"], content["exit_code"], len(content["runs"])) == ("failed", ExitCode.BUILD, 2)
    assert content["runs"][0] == alone["runs"][0]
    assert content["junit"] == str(folder / "junit.xml")
    assert {path.name for path in folder.iterdir()} == {"junit.xml", "report.html", "verdict.json"}
    kinds = {run["verdict"] for run in content["runs"]}
    heading = (folder / "report.html").read_text().partition("<h1")[2].partition("</h1>")[0]
    assert heading.endswith("2 runs: " + ", ".join(f"1 {kind}" for kind in sorted(kinds)))


def test_a_run_of_which_nothing_is_known_has_the_shape_too(tmp_path: Path) -> None:
    run_report.write(RunDir(tmp_path))
    content = check((tmp_path / "verdict.json").read_text())
    assert (content["verdict"], content["runs"][0]["commit"]) == ("interrupted", None)


def test_the_schema_refuses_what_is_none(make_run: Callable[..., RunDir]) -> None:
    content = json.loads(run_report.json_report_of([(make_run("deb13"), None)]).model_dump_json())
    Draft202012Validator(schema()).validate({"format": 1, "error": {"message": "m", "hint": "", "exit_code": 1}})
    for wrong in (
        {**content, "format": 2},
        {**content, "verdict": "green"},
        {**content, "more": 1},
        {key: value for key, value in content.items() if key != "runs"},
        {"error": {"message": "m"}},
    ):
        with pytest.raises(ValidationError):
            Draft202012Validator(schema()).validate(wrong)

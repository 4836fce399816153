"""Listing runs that ended well, badly or never, whatever their names are made of."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.cli.commands import runs
from itb.cli.commands.runs import RunFilter
from itb.errors import UsageError
from itb.model import Case, Outcome
from itb.rundir.directory import RunDir, RunResult, runs_of

MakeRun = Callable[..., RunDir]
RED = RunResult(kind="failed", where="install", cause="install on frontend: nothing provides libfoo")


def case(outcome: Outcome, **changes: object) -> Case:
    fields = {"phase": "install", "role": "frontend", "name": "dnf install x", "started": 1.7e9, "seconds": 3}
    return Case.model_validate({**fields, "outcome": outcome, **changes})


def listed(folder: Path, wanted: RunFilter | None = None) -> list[str]:
    return [run.rundir.id for run in runs.matching_runs(folder, wanted or RunFilter())]


def test_newest_first_with_how_they_ended_and_why(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("1-a", exit_code=0, finished=1.7e9 + 61, ref="[/odd] [red]ref", ended=RunResult(kind="passed"))
    make_run("2-b", exit_code=7, finished=1.7e9 + 5, kept=True, ended=RED)
    make_run("3-c", pid=os.getpid())
    (tmp_path / "runs" / "4-d").mkdir()
    (tmp_path / "runs" / "4-d" / "run.json").write_text("{")
    held = make_run("5-e", exit_code=0, ended=RunResult(kind="partial", where="build"))
    with held.lock():
        shown = runs.table(list(runs.matching_runs(tmp_path / "runs", RunFilter())))
    assert [" ".join(line.split()) for line in shown.lines()[1:]] == [
        "5-e running main 2023-11-14 22:13",
        "4-d unreadable run.json cannot be read: itb report makes a report of what is there",
        "3-c interrupted main 2023-11-14 22:13 The run ended without recording a result: its process is gone",
        "2-b failed (install) main 2023-11-14 22:13 5.0 s kept install on frontend: nothing provides libfoo",
        "1-a passed [/odd] [red]ref 2023-11-14 22:13 61.0 s",
    ]
    assert [rundir.id for rundir, _ in runs.read_states(tmp_path / "runs")] == ["5-e", "3-c", "2-b", "1-a"]


def test_a_run_that_does_not_say_how_it_ended_is_judged_by_its_cases(make_run: MakeRun, tmp_path: Path) -> None:
    """Those of earlier versions; and one that was resumed and killed, whatever it had come to before."""
    old = make_run("1-a", exit_code=7, finished=1.7e9 + 5)
    old.append_case(case(Outcome.FAILED, message="no libfoo", exit_code=7))
    part = make_run("2-b", exit_code=0, finished=1.7e9 + 5)
    part.append_case(case(Outcome.PASSED, phase="build", role="workspace"))
    make_run("3-c", exit_code=None, ended=RunResult(kind="passed"))
    ended = [run.ended for run in runs.matching_runs(tmp_path / "runs", RunFilter())]
    assert [item.text for item in ended] == ["interrupted", "partial (build)", "failed (install)"]
    assert "no libfoo" in ended[2].cause


def test_filters(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("1-p-1234abcd-deb13", exit_code=0, ended=RunResult(kind="passed"), ref="v1_0", started=1e9)
    make_run("2-q-5678abcd-el9", exit_code=7, ended=RED, product="q", platform="el9", ref="v1_1")
    folder = tmp_path / "runs"
    first, second = "1-p-1234abcd-deb13", "2-q-5678abcd-el9"
    for wanted, names in (
        (RunFilter(product=("q",)), [second]),
        (RunFilter(platform=("deb13",)), [first]),
        (RunFilter(ref="v1_*"), [second, first]),
        (RunFilter(ref="v1_0"), [first]),
        (RunFilter(ref="1234"), [first]),
        (RunFilter(ref="5678ABCDEF0123"), [second]),
        (RunFilter(ref="567"), []),
        (RunFilter(outcome=("failed",)), [second]),
        (RunFilter(outcome=("install", "passed")), [second, first]),
        (RunFilter(outcome=("running",)), []),
        (RunFilter(since=1.1e9), [second]),
        (RunFilter(product=("q",), platform=("deb13",)), []),
        (RunFilter(product=("p", "q")), [second, first]),
    ):
        assert listed(folder, wanted) == names, wanted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outcome": "faild"}, "--outcome: unknown outcome 'faild'; did you mean 'failed'"),
        ({"outcome": "passed,"}, "list: --outcome: one of 'passed,' is empty"),
        ({"limit": "x"}, "--limit: 'x' is not a whole number"),
        ({"limit": "-1"}, "--limit: '-1' is not a whole number"),
        ({"since": "last week"}, "--since: 'last week' is neither an age nor a date"),
    ],
)
def test_values_that_mean_nothing_are_refused(
    make_run: MakeRun, options: dict[str, str | None], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        runs.list_runs({}, options, as_json=False)


def test_limits_are_told(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(runs.DEFAULT_LIMIT + 2):
        make_run(f"{number:02d}-a", exit_code=0, ended=RunResult(kind="passed"))
    runs.list_runs({}, {}, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == runs.DEFAULT_LIMIT + 2
    assert lines[1].startswith("31-a")
    assert lines[-1] == "and 2 older: itb list --limit 0"
    runs.list_runs({}, {"limit": "0"}, as_json=False)
    assert len(capsys.readouterr().out.splitlines()) == runs.DEFAULT_LIMIT + 3
    runs.list_runs({}, {}, as_json=True)
    assert len(json.loads(capsys.readouterr().out)) == runs.DEFAULT_LIMIT + 2, "programs get them all"
    runs.list_runs({}, {"limit": "1"}, as_json=True)
    (only,) = json.loads(capsys.readouterr().out)
    assert (only["id"], only["kind"], only["cause"], only["exit_code"]) == ("31-a", "passed", "", 0)


def test_nothing_to_list_is_said(make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs.list_runs({}, {}, as_json=False)
    assert capsys.readouterr().out == f"no run in {tmp_path / 'runs'} yet: itb run makes one\n"
    make_run("1-a", exit_code=0, ended=RunResult(kind="passed"))
    runs.list_runs({}, {"product": "other"}, as_json=False)
    assert capsys.readouterr().out == f"no run in {tmp_path / 'runs'} is like that\n"


def test_a_link_to_a_run_is_not_another_run(make_run: MakeRun, tmp_path: Path) -> None:
    rundir = make_run("1-a")
    (tmp_path / "runs" / "latest").symlink_to("1-a")
    elsewhere = tmp_path / "elsewhere"
    rundir.path.rename(elsewhere)
    (tmp_path / "runs" / "2-b").symlink_to(elsewhere)
    elsewhere.joinpath("run.json").write_text(elsewhere.joinpath("run.json").read_text())
    make_run("1-a")
    assert [run.id for run in runs_of(tmp_path / "runs")] == ["2-b", "1-a"]


def test_four_hundred_runs_are_listed_at_once(make_run: MakeRun, tmp_path: Path) -> None:
    """It took 6.7 s; processor time, for other tests run beside this one."""
    for number in range(400):
        make_run(f"{number:03d}-a", exit_code=7, finished=1.7e9 + 5, ended=RED, settings={"x": ["y" * 50] * 50})
    began = time.process_time()
    assert len(runs.table(list(runs.matching_runs(tmp_path / "runs", RunFilter()))).lines()) == 401
    assert time.process_time() - began < 0.5

"""Commands a summary prints: they work as they stand, from where it is read."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from itb.cli import program
from itb.cli.tasks import collection
from itb.model import Case, Commit, HostInfo, Outcome, TestbedHosts
from itb.report import summary, write
from itb.report.facts import Facts, gather
from itb.report.verdict import judge
from itb.rundir import values
from itb.rundir.directory import RunDir, RunState

COMMIT = Commit(
    product="mine", source="s", ref="main", kind="branch", id="ab" * 20, tree="cd" * 20,
    date="2026-11-20", subject="s", version="1",
)  # fmt: skip


def run_in(folder: Path, runs: str = "runs", *, settings: dict[str, Any] | None = None, **state: Any) -> RunDir:
    """Return a run of ``folder`` that failed, unless ``state`` differs."""
    rundir = RunDir(folder / runs / "r")
    rundir.path.mkdir(parents=True)
    rundir.save(values.COMMIT, COMMIT)
    failed = RunState(
        id="r", short="x", product="mine", platform="odd", ref="main", scenarios=("triv", "smoke"), started=1,
        finished=5, exit_code=5, cwd=str(folder), settings=settings or {},
    )  # fmt: skip
    rundir.write_state(failed.model_copy(update=state))
    return rundir


def commands(rundir: RunDir) -> dict[str, list[str]]:
    facts: Facts = gather(rundir)
    lines = {title: shlex.split(line) for title, line, _ in summary.next_commands(facts, judge(facts))}
    for line in lines.values():
        parse(line)
    return lines


def parse(line: list[str]) -> None:
    """Raise UsageError for a command line that itb does not understand."""
    parser = program.ItbProgram(name="itb", binary="itb", version="1", namespace=collection.namespace())
    parser.create_config()
    parser.parse_core(line)
    parser.parse_collection()
    parser.parse_tasks()


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Settings with paths for all that may be one; the files are there."""
    for name in ("triv", "odd", "products/mine", "clone"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "hook").touch()
    return {
        "product": "products/mine", "platform": ["deb13", "./odd"], "scenario": ["./triv", "smoke"],
        "source": "clone", "token_hook": "./hook", "engine": "docker", "variant": ["a", "b"], "builder": "mock",
    }  # fmt: skip


def test_again_is_asked_for_as_it_was(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rundir = run_in(tmp_path, settings=settings)
    assert commands(rundir)["again"] == shlex.split(
        f"itb run --product products/mine --platform ./odd --ref {COMMIT.id} --source clone --variant a,b "
        "--builder mock --token-hook ./hook --engine docker --scenario ./triv,smoke --keep failed"
    )
    assert commands(rundir)["go on"] == ["itb", "run", "--resume", "r"]


def test_paths_lead_to_the_same_from_elsewhere(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    rundir = run_in(tmp_path, settings=settings)
    assert commands(rundir)["again"] == shlex.split(
        f"itb run --product ../products/mine --platform ../odd --ref {COMMIT.id} --source ../clone --variant a,b "
        "--builder mock --token-hook ../hook --engine docker --scenario ../triv,smoke --runs ../runs --keep failed"
    )


def test_names_stay_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "triv").mkdir()
    assert commands(run_in(tmp_path))["again"] == shlex.split(
        f"itb run --product mine --platform odd --ref {COMMIT.id} --scenario triv,smoke --keep failed"
    )


def test_runs_that_are_elsewhere_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = run_in(tmp_path, "o ut", kept=True)
    host = HostInfo(role="ce", container="c", fqdn="f", address="a", image="i", image_id="i")
    kept.save(values.TESTBED, TestbedHosts(name="t", network="n", hosts=(host,)))
    assert commands(kept) == {
        "look": ["itb", "shell", "r", "ce", "--runs", "o ut"],
        "remove": ["itb", "down", "--run", "r", "--runs", "o ut"],
    }
    failed = run_in(tmp_path, "far/away")
    assert commands(failed)["go on"] == ["itb", "run", "--resume", "r", "--runs", "far/away"]
    assert commands(failed)["again"][-4:] == ["--runs", "far/away", "--keep", "failed"]


def test_a_look_at_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was only built has a workspace; from the cache, nothing was kept."""
    monkeypatch.chdir(tmp_path)
    built = run_in(tmp_path, kept=True, exit_code=0)
    for role in ("network", "workspace"):
        built.append_case(
            Case(phase="up", role=role, name=role, outcome=Outcome.PASSED, started=2, seconds=1)
        )
    assert commands(built)["look"] == ["itb", "shell", "r", "workspace"]
    built.update(kept=False)
    assert commands(built) == {}


@pytest.mark.parametrize("name", ["r", "20261128T190013Z-pocketwms-116951f8-deb13"])
def test_a_run_that_does_not_say_what_it_was(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its directory may be named after a product; without one, no command tests it again."""
    monkeypatch.chdir(tmp_path)
    lost = RunDir(tmp_path / "runs" / name)
    lost.path.mkdir(parents=True)
    (lost.path / "run.json").touch()
    offered = commands(lost)
    assert "unknown" not in str(offered) + summary.reproduce(gather(lost))
    assert ("again" in offered) == (name != "r")


def test_all_that_failed_cases_say_the_one_that_decided_first(tmp_path: Path) -> None:
    rundir = run_in(tmp_path, exit_code=7)
    for number, code in ((1, 2), (2, 7)):
        rundir.append_case(
            Case(
                phase="start", role="factory", name=f"case {number}", outcome=Outcome.FAILED,
                message=f"cause {number}",
                evidence="seen\x1b[31m of it\n" * 20, log=f"hosts/factory/{number}.log", started=number, seconds=1,
                exit_code=code,
            )
        )  # fmt: skip
    console = Console(file=io.StringIO(), width=40)
    write.show_failed(rundir, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line for line in lines if line.startswith("FAIL ")] == [
        "FAIL start.factory case 2 (1.0 s)", "FAIL start.factory case 1 (1.0 s)"
    ]  # fmt: skip
    assert lines.count("  | seen of it") == 40
    assert any(line.endswith("hosts/factory/2.log") for line in lines)
    assert [case.name for case in write.failed_cases(rundir)] == ["case 2", "case 1"]


def test_where_nothing_failed_that_is_said(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    write.show_failed(run_in(tmp_path, exit_code=0), console)
    assert "no case of run r failed" in console.file.getvalue()  # type: ignore[attr-defined]

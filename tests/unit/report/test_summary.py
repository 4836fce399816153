"""A summary names what matters, and prints commands that work as they stand, from where they are read."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from itb.cli import arguments as cli_arguments
from itb.cli import program
from itb.cli.tasks import collection
from itb.model import Case, Commit, HostInfo, Outcome, Quote, Remark, TestbedHosts
from itb.report import next_commands as report_commands
from itb.report import run_report, summary
from itb.report.next_commands import next_commands
from itb.report.run_data import RunData, read_run_data
from itb.report.verdict import judge
from itb.rundir import values
from itb.rundir.directory import RunDir, RunState
from itb.util.redact import MARK

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
        id="r", short_id="x", product="mine", platform="odd", ref="main", scenarios=("triv", "smoke"), started=1,
        finished=5, exit_code=5, cwd=str(folder), settings=settings or {},
    )  # fmt: skip
    rundir.write_state(failed.model_copy(update=state))
    return rundir


def commands(rundir: RunDir) -> dict[str, list[str]]:
    run_data: RunData = read_run_data(rundir)
    lines = {title: shlex.split(line) for title, line, _ in next_commands(run_data, judge(run_data))}
    for line in lines.values():
        parse(line[3:] if line[0] == "cd" else line)
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
        "allow_privileged": True, "trust": "branch",
    }  # fmt: skip


def test_the_same_is_asked_for_where_it_was_and_as_it_was(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From any directory: paths lead from the run's own on, and its itb.yaml counts again."""
    expected = shlex.split(
        f"itb run --product products/mine --platform ./odd --ref {COMMIT.id} --source clone --variant a,b "
        "--allow-privileged --builder mock --trust branch --token-hook ./hook --engine docker "
        "--scenario ./triv,smoke --keep failed"
    )
    rundir = run_in(tmp_path, settings=settings)
    for place in (tmp_path, tmp_path / "clone", Path("/")):
        monkeypatch.chdir(place)
        assert commands(rundir)["again"] == ["cd", str(tmp_path), "&&", *expected]


@pytest.mark.parametrize(
    ("settings", "goes_there"),
    [
        ({}, False),
        ({"platform": ["odd"], "runs": "runs"}, False),  # a name, though there is a folder of that name
        ({"source": "https://example.org/x.git"}, False),
        ({"product": "/products/mine"}, False),
        ({"scenario": ["smoke", "./odd"]}, True),
        ({"source": "odd"}, True),
    ],
)
def test_what_does_not_depend_on_a_directory_needs_none(
    tmp_path: Path, settings: dict[str, Any], goes_there: bool
) -> None:
    (tmp_path / "odd").mkdir()
    rundir = run_in(tmp_path, settings=settings)
    assert (commands(rundir)["again"][0] == "cd") is goes_there
    (tmp_path / "itb.yaml").write_text("timeout_factor: 3\n")
    assert commands(rundir)["again"][:3] == ["cd", str(tmp_path), "&&"]


@pytest.mark.parametrize("login", [f"{MARK}@", f"me:{MARK}@", f"{MARK}:{MARK}@"])
def test_a_login_that_is_not_kept_is_not_part_of_the_command(tmp_path: Path, login: str) -> None:
    line = report_commands.reproduce(read_run_data(run_in(tmp_path, settings={"source": f"https://{login}h/x"})))
    assert "--source https://h/x" in line


def test_what_only_the_environment_gave_is_given_again(tmp_path: Path) -> None:
    """In another shell the variables are not set; folders lead from the run's own directory on."""
    (tmp_path / "my products").mkdir()
    settings = {
        "products": ["my products", "/srv/p"], "timeout_factor": 0.5, "run_timeout": 1234567.0, "retries": 0,
        "token_min_lifetime": 60, "hooks": ["/of/a/file"], "min_free_gb": 4.0, "cache": "/big/cache",
        "fresh_build": True,
    }  # fmt: skip
    given = tuple(name for name in settings if name not in ("hooks", "min_free_gb"))
    line = report_commands.reproduce(read_run_data(run_in(tmp_path, settings=settings, environment=given)))
    assert line == (
        f"cd {tmp_path} && ITB_TOKEN_MIN_LIFETIME=60 ITB_TIMEOUT_FACTOR=0.5 ITB_RETRIES=0 ITB_RUN_TIMEOUT=1234567 "
        f"ITB_PRODUCTS='my products,/srv/p' itb run --product mine --platform odd --ref {COMMIT.id} "
        "--fresh-build --cache /big/cache --scenario triv,smoke"
    )


def test_the_program_is_named_as_a_shell_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    itb = tmp_path / "bin" / "itb"
    itb.parent.mkdir()
    itb.write_text("#!/bin/sh\n")
    itb.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(itb), "run"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert report_commands.program() == str(itb)
    monkeypatch.setenv("PATH", str(itb.parent))
    assert report_commands.program() == "itb"
    monkeypatch.setattr("sys.argv", ["-c"])
    assert report_commands.program() == "itb"
    monkeypatch.setattr("sys.argv", ["/x/itb/__main__.py"])
    monkeypatch.setattr("sys.executable", str(itb.with_name("python")))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert report_commands.program() == str(itb), "python -m itb, and no itb among the programs"


def test_runs_that_are_elsewhere_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = run_in(tmp_path, "o ut", kept=True)
    host = HostInfo(role="ce", container="c", fqdn="f", address="a", image="i", image_id="i")
    kept.save(values.TESTBED, TestbedHosts(name="t", network="n", hosts=(host,)))
    assert commands(kept) == {
        "look": ["itb", "shell", "--runs", str(tmp_path / "o ut"), "r", "ce"],
        "remove": ["itb", "down", "--run", "r", "--runs", str(tmp_path / "o ut")],
    }
    look = commands(kept)["look"][1:]
    assert cli_arguments.join_groups(look) == look, "what is behind ROLE is run on the host"
    failed = run_in(tmp_path, "far/away", settings={"runs": "far/away"})
    assert commands(failed)["go on"] == ["itb", "run", "--resume", "r", "--runs", str(tmp_path / "far/away")]
    assert commands(failed)["again"][-6:] == ["--runs", "far/away", "--scenario", "triv,smoke", "--keep", "failed"]
    here = read_run_data(run_in(tmp_path))
    assert commands(here.rundir)["go on"] == ["itb", "run", "--resume", "r"]
    go_on = next(line for title, line, _ in next_commands(here, judge(here), anywhere=True) if title == "go on")
    assert shlex.split(go_on)[-2:] == ["--runs", str(tmp_path / "runs")]


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
    assert "unknown" not in str(offered) + report_commands.reproduce(read_run_data(lost))
    assert ("again" in offered) == (name != "r")


def plain(rundir: RunDir) -> list[str]:
    run_data = read_run_data(rundir)
    return list(summary.plain_lines(run_data, judge(run_data)))


def bad(name: str, **more: Any) -> Case:
    fields = {"phase": "test", "role": "factory", "outcome": Outcome.FAILED, "started": 2, "seconds": 1}
    return Case.model_validate({**fields, "name": name, "message": "why", "exit_code": 2, **more})


def test_the_log_that_names_the_cause_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rundir = run_in(tmp_path)
    log = rundir.host("ce") / "var" / "log" / "x"
    log.parent.mkdir(parents=True)
    log.write_text("up\nit is held\n")
    quotes = [Quote(file="hosts/ce/var/log/x", text="it is held"), Quote(text="also this", also=True)]
    quotes.append(Quote(file="hosts/ce/var/log/x", text="up", also=True))
    rundir.append_case(bad("polls", log="results/a.log", quotes=quotes))
    lines = plain(rundir)
    at = lines.index("FAIL test.factory polls: why")
    assert lines[at + 1 : at + 5] == [
        "  also: also this",
        "  also: up (runs/r/hosts/ce/var/log/x:1)",
        "  log: runs/r/hosts/ce/var/log/x:2",
        "  log: runs/r/results/a.log",
    ]
    console = Console(width=120, file=io.StringIO(), force_terminal=True, color_system=None)
    summary.show(console, read_run_data(rundir), judge(read_run_data(rundir)), plain=False)
    assert "log: runs/r/hosts/ce/var/log/x:2" in console.file.getvalue()  # type: ignore[attr-defined]


def test_what_neither_passed_nor_failed_is_named_with_its_reason(tmp_path: Path) -> None:
    rundir = run_in(tmp_path, exit_code=0)
    for number in range(5):
        rundir.append_case(bad(f"s{number}", outcome=Outcome.SKIPPED, message="no token", exit_code=0))
    rundir.append_case(bad("f", outcome=Outcome.PASSED, remark=Remark.FLAKY, message="at try 2", exit_code=0))
    rundir.append_case(bad("b", message="disk full"))
    ended = "ended, for it was no use: disk full"
    rundir.append_case(bad("e", outcome=Outcome.SKIPPED, message=ended, exit_code=0))
    known = bad("k", outcome=Outcome.SKIPPED, message="bug 7", exit_code=0)
    rundir.append_case(known.model_copy(update={"remark": Remark.KNOWN_FAILURE}))
    named = [line for line in plain(rundir) if line[0].isdigit()]
    assert named == [
        "1 known failure: bug 7 (factory: k)",
        "1 flaky: at try 2 (factory: f)",
        "5 skipped: no token (factory: s0, factory: s1, factory: s2 and 2 more)",
        "1 skipped: ended, for it was no use (factory: e)",
    ]
    console = Console(width=120, file=io.StringIO(), force_terminal=True, color_system=None)
    summary.show(console, read_run_data(rundir), judge(read_run_data(rundir)), plain=False)
    assert "5 skipped: no token" in console.file.getvalue()  # type: ignore[attr-defined]


def test_reasons_that_are_too_many_to_name_are_counted(tmp_path: Path) -> None:
    rundir = run_in(tmp_path, exit_code=0)
    rundir.append_case(bad("good", outcome=Outcome.PASSED, message="", exit_code=0))
    for number in range(summary.SHOWN_REASONS + 2):
        skipped = bad(f"s{number}", outcome=Outcome.SKIPPED, message=f"because of {number}", exit_code=0)
        rundir.append_case(skipped)
    said = "and 2 more reasons, see the reports"
    assert said in plain(rundir)
    console = Console(width=120, file=io.StringIO(), force_terminal=True, color_system=None)
    summary.show(console, read_run_data(rundir), judge(read_run_data(rundir)), plain=False)
    assert said in console.file.getvalue()  # type: ignore[attr-defined]


def test_nothing_tried_is_said_with_what_passed_and_why(tmp_path: Path) -> None:
    rundir = run_in(tmp_path, exit_code=3)
    for number in range(22):
        rundir.append_case(bad(f"p{number}", phase="install", outcome=Outcome.PASSED, message="", exit_code=0))
    for name in ("smoke: ten jobs", "smoke: a pilot"):
        rundir.append_case(bad(name, outcome=Outcome.SKIPPED, message="needs a token", exit_code=0))
    first = plain(rundir)[0]
    assert first == "NOTHING: No scenario was tried: 22 other cases passed, 2 skipped"
    assert judge(read_run_data(rundir)).reason == "smoke: needs a token"


def test_a_phase_that_only_the_ce_has_reached_is_there_once(tmp_path: Path) -> None:
    rundir = run_in(tmp_path, exit_code=4)
    rundir.append_case(bad("dnf", phase="install", role="ce", outcome=Outcome.PASSED, message="", exit_code=0))
    rundir.append_case(bad("b", phase="build", role="workspace", exit_code=4))
    (line,) = [line for line in plain(rundir) if line.startswith("  install")]
    assert line.endswith("1 passed, not reached by the candidate")
    console = Console(width=120, file=io.StringIO(), force_terminal=True, color_system=None)
    summary.show(console, read_run_data(rundir), judge(read_run_data(rundir)), plain=False)
    assert console.file.getvalue().count("\n  install") == 1  # type: ignore[attr-defined]


def test_all_that_failed_cases_say_the_one_that_decided_first(tmp_path: Path) -> None:
    rundir = run_in(tmp_path, exit_code=7)
    for number, code in ((1, 2), (2, 7)):
        rundir.append_case(
            Case(
                phase="start", role="factory", name=f"case {number}", outcome=Outcome.FAILED,
                message=f"cause {number}",
                evidence="seen\x1b[31m of it\n" * 20, log=f"hosts/factory/{number}.log", started=number, seconds=1,
                exit_code=code, quotes=(Quote(file="build/x", line=3, text=""), Quote(text="more", also=True)),
            )
        )  # fmt: skip
    console = Console(file=io.StringIO(), width=40)
    run_report.show_failed(rundir, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line for line in lines if line.startswith("FAIL ")] == [
        "FAIL start.factory case 2 (1.0 s)", "FAIL start.factory case 1 (1.0 s)"
    ]  # fmt: skip
    assert lines.count("  | seen of it") == 40
    assert any(line.endswith("hosts/factory/2.log") for line in lines)
    assert any(line.endswith("build/x:3") for line in lines), "where the message was read from"
    assert lines.count("  also: more") == 2
    assert [case.name for case in run_report.failed_cases(rundir)] == ["case 2", "case 1"]


def test_where_nothing_failed_that_is_said(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    run_report.show_failed(run_in(tmp_path, exit_code=0), console)
    assert "no case of run r failed" in console.file.getvalue()  # type: ignore[attr-defined]

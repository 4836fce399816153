"""Which host ``itb shell`` goes to, and what it runs there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from itb.cli.commands import common, hosts
from itb.containers.engine import Engine
from itb.errors import UsageError
from itb.model import Case, Outcome
from itb.process.runner import Runner
from itb.rundir.directory import RunDir

MakeRun = Callable[..., RunDir]
ROLES = ("services", "ce", "factory", "frontend")


class Machine(Engine):
    """An engine that has hosts of these runs."""

    def __init__(self, *runs: RunDir) -> None:
        super().__init__(Runner())
        self.runs = runs

    def containers(self, filters: Any) -> list[dict[str, Any]]:
        return [
            {
                "Names": [f"itb-{run.state.short_id}-{role}"],
                "Labels": {"itb.run": run.id, "itb.runs": str(run.path.parent)},
            }
            for run in self.runs
            for role in ROLES
            if filters.get("itb.run") in ("", run.id)
        ]


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return the words that a shell would be started with: the container's name and what follows it."""

    def call(engine: Machine, *words: str) -> list[str]:
        started: list[list[str]] = []
        monkeypatch.setattr(common, "find_engine", lambda _: engine)
        monkeypatch.setattr(os, "execve", lambda _program, argv, _env: started.append(argv))
        run, role, command = [*words, "", "", ""][:3]
        hosts.shell({}, run, role, command)
        (argv,) = started
        assert argv[0] == (shutil.which("podman") or "podman")
        return argv[argv.index("--interactive") + 1 :]

    return call


@pytest.fixture
def red(make_run: MakeRun) -> RunDir:
    rundir = make_run("2-red", exit_code=7, finished=1.7e9 + 9, kept=True)
    rundir.append_case(
        Case(
            phase="start", role="factory", name="x", outcome=Outcome.FAILED, started=1.7e9, seconds=1, exit_code=7
        )
    )
    return rundir


SHELL = ["bash", "-l"]


def test_alone_it_goes_where_the_one_run_with_hosts_failed(enter: Any, red: RunDir, make_run: MakeRun) -> None:
    make_run("3-newer")
    assert enter(Machine(red)) == ["itb-ab12ab12-factory", *SHELL]
    green = make_run("4-green", exit_code=0, short_id="cd34cd34")
    assert enter(Machine(green), "4-green") == ["itb-cd34cd34-ce", *SHELL], "no services host first"


def test_a_kept_run_comes_before_one_that_goes_on(enter: Any, red: RunDir, make_run: MakeRun) -> None:
    going = make_run("4-going", short_id="cd34cd34")
    with going.lock():
        assert enter(Machine(going, red)) == ["itb-ab12ab12-factory", *SHELL]
        assert enter(Machine(going)) == ["itb-cd34cd34-ce", *SHELL]


def test_the_run_may_be_left_out_before_a_role(enter: Any, red: RunDir) -> None:
    machine = Machine(red)
    assert enter(machine, "frontend") == ["itb-ab12ab12-frontend", *SHELL]
    assert enter(machine, "frontend", "condor_q", "-all 'a b'")[1:] == [*SHELL, "-c", "condor_q -all 'a b'"]
    assert enter(machine, "2-red", "ce", "id") == ["itb-ab12ab12-ce", *SHELL, "-c", "id"]
    assert enter(machine, str(red.path), "ce") == ["itb-ab12ab12-ce", *SHELL]


def test_several_runs_with_hosts_have_to_be_told_apart(enter: Any, red: RunDir, make_run: MakeRun) -> None:
    with pytest.raises(UsageError, match="several runs have hosts: 4-x, 2-red"):
        enter(Machine(red, make_run("4-x", short_id="cd34cd34")))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("2-red", "factry"), "run 2-red has no host 'factry'; did you mean 'factory'"),
        (("factry",), "run 2-red has no host 'factry'; did you mean 'factory'"),
        (("2-red", "x"), "run 2-red has no host 'x'; it has: ce, factory, frontend, services"),
        (("1-gone",), "run 1-gone has no hosts any more"),
        (("1-gone", "ce"), "run 1-gone has no hosts any more"),
    ],
)
def test_hosts_that_are_not_there(
    enter: Any, red: RunDir, make_run: MakeRun, words: tuple[str, ...], message: str
) -> None:
    make_run("1-gone")
    with pytest.raises(UsageError) as caught:
        enter(Machine(red), *words)
    assert message in caught.value.message


def test_without_any_host_it_says_how_to_have_some(enter: Any, make_run: MakeRun) -> None:
    make_run("1-gone")
    with pytest.raises(UsageError, match="no run here has hosts") as caught:
        enter(Machine())
    assert "--keep failed" in caught.value.hint

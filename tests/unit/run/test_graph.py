"""The executor of phases: order, parallelism, errors, and what a single command does."""

from __future__ import annotations

import threading
from graphlib import CycleError

import pytest

from itb.errors import InterruptedRunError, TestbedError
from itb.run.graph import Graph, Phase


def start(cell: object) -> None: ...


def serve(build: object, key: object) -> None: ...


def install(repo: object) -> None: ...


def test_a_phase_gets_the_values_it_names() -> None:
    graph = Graph(
        [
            Phase("sum", lambda left, right: left + right),
            Phase("left", lambda seed: seed * 2),
            Phase("right", lambda left: left + 1),
        ],
        given=["seed"],
    )
    assert graph.execute(graph.phases, {"seed": 2}) == {"seed": 2, "left": 4, "right": 5, "sum": 9}


def test_phases_that_do_not_need_each_other_run_at_once() -> None:
    meeting = threading.Barrier(2, timeout=60)
    graph = Graph([Phase("one", meeting.wait), Phase("two", meeting.wait)], given=["timeout"])
    graph.execute(graph.phases, {"timeout": 60})


def test_a_phase_waits_for_what_it_comes_after() -> None:
    seen: list[str] = []
    graph = Graph(
        [Phase("last", lambda: seen.append("last"), after=("first",)), Phase("first", lambda: seen.append("first"))],
        given=[],
    )
    graph.execute(graph.phases, {})
    assert seen == ["first", "last"]


def test_after_an_error_nothing_begins_and_what_runs_ends() -> None:
    failed, ended = threading.Event(), threading.Event()

    def fail() -> None:
        failed.set()
        raise TestbedError("broken")

    def go_on() -> None:
        assert failed.wait(60)
        ended.set()

    graph = Graph(
        [Phase("bad", fail), Phase("slow", go_on), Phase("later", pytest.fail, after=("bad", "slow"))],
        given=["reason", "pytrace"],
    )
    with pytest.raises(TestbedError, match="broken"):
        graph.execute(graph.phases, {"reason": "", "pytrace": False})
    assert ended.is_set()


def test_an_interruption_is_the_cause_of_other_errors() -> None:
    both = threading.Barrier(2, timeout=60)

    def fail() -> None:
        both.wait()
        raise TestbedError("consequence")

    def stop() -> None:
        both.wait()
        raise InterruptedRunError("interrupted")

    graph = Graph([Phase("bad", fail), Phase("stopped", stop)], given=[])
    with pytest.raises(InterruptedRunError):
        graph.execute(graph.phases, {})


def test_a_command_does_its_own_phases_and_what_belongs_to_none() -> None:
    graph = Graph(
        [
            Phase("build", start, command="build"),
            Phase("key", start),
            Phase("repo", serve, command="serve"),
            Phase("hosts", start, command="run"),
            Phase("installed", install, command="install", after=("hosts",)),
        ],
        given=["cell"],
    )
    assert graph.of_command("serve") == {"repo", "key"}
    assert [phase.name for phase in graph.left_by_others({"repo", "key"})] == ["build"]
    assert graph.of_command("install") == {"installed"}


def test_a_need_that_nobody_meets_is_refused() -> None:
    with pytest.raises(ValueError, match="phase repo needs build"):
        Graph([Phase("repo", serve)], given=["key"])
    with pytest.raises(CycleError):
        Graph([Phase("a", start, after=("b",)), Phase("b", start, after=("a",))], given=["cell"])

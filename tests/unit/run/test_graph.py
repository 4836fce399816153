"""The executor of a graph: order, parallelism, errors, and what a single command does."""

from __future__ import annotations

import threading
from graphlib import CycleError
from pathlib import Path
from typing import get_type_hints

import pytest

import itb
from itb.errors import InterruptedRunError, TestbedError, UsageError
from itb.process.stop import AbandonedError
from itb.run.cell import Cell
from itb.run.graph import Graph, Node
from itb.run.nodes import RUN_GRAPH


def start(cell: object) -> None: ...


def serve(build: object, key: object) -> None: ...


def install(repo: object) -> None: ...


def test_a_node_gets_the_values_it_names() -> None:
    graph = Graph(
        [
            Node("sum", lambda left, right: left + right),
            Node("left", lambda seed: seed * 2),
            Node("right", lambda left: left + 1),
        ],
        initial=["seed"],
    )
    assert graph.execute(graph.nodes, {"seed": 2}) == {"seed": 2, "left": 4, "right": 5, "sum": 9}


def test_nodes_that_do_not_need_each_other_run_at_once() -> None:
    meeting = threading.Barrier(2, timeout=60)
    graph = Graph([Node("one", meeting.wait), Node("two", meeting.wait)], initial=["timeout"])
    graph.execute(graph.nodes, {"timeout": 60})


def test_a_node_waits_for_what_it_comes_after() -> None:
    ended: list[str] = []
    graph = Graph(
        [
            Node("last", lambda: ended.append("last"), after=("first",)),
            Node("first", lambda: ended.append("first")),
        ],
        initial=[],
    )
    graph.execute(graph.nodes, {})
    assert ended == ["first", "last"]


def test_after_an_error_nothing_begins_and_what_runs_ends() -> None:
    failed, ended = threading.Event(), threading.Event()

    def fail() -> None:
        failed.set()
        raise TestbedError("broken")

    def go_on() -> None:
        assert failed.wait(60)
        ended.set()

    graph = Graph(
        [Node("bad", fail), Node("slow", go_on), Node("later", pytest.fail, after=("bad", "slow"))],
        initial=["reason", "pytrace"],
    )
    with pytest.raises(TestbedError, match="broken"):
        graph.execute(graph.nodes, {"reason": "", "pytrace": False})
    assert ended.is_set()


def test_an_interruption_is_the_cause_of_other_errors() -> None:
    both = threading.Barrier(2, timeout=60)

    def fail() -> None:
        both.wait()
        raise TestbedError("consequence")

    def stop() -> None:
        both.wait()
        raise InterruptedRunError("interrupted")

    graph = Graph([Node("bad", fail), Node("stopped", stop)], initial=[])
    with pytest.raises(InterruptedRunError):
        graph.execute(graph.nodes, {})


def ending_graph(prepares: list[str], ended: threading.Event) -> Graph:
    """A node that fails once two others have begun, which end when ``ended`` is set."""
    begun = threading.Barrier(3, timeout=60)

    def fail() -> None:
        begun.wait()
        raise TestbedError("broken")

    def prepare() -> None:
        begun.wait()
        assert ended.wait(60)
        raise AbandonedError("ended")

    others = [Node(name, prepare, prepares=name in prepares) for name in ("boot", "ce")]
    return Graph([Node("bad", fail), *others], initial=[])


def test_what_only_prepares_is_ended_after_an_error() -> None:
    """A failed build, and the CE went on being installed for seconds."""
    ended, causes = threading.Event(), list[BaseException]()
    graph = ending_graph(["boot", "ce"], ended)
    with pytest.raises(TestbedError, match="broken"):
        graph.execute(graph.nodes, {}, abandon=lambda cause: (causes.append(cause), ended.set()))
    assert [str(cause) for cause in causes] == ["broken"], "once"


def test_what_says_something_of_the_candidate_goes_to_its_end() -> None:
    ended = threading.Event()
    graph = ending_graph(["boot"], ended)
    threading.Timer(0.2, ended.set).start()
    too_early = list[BaseException]()

    def abandon(cause: BaseException) -> None:
        if not ended.is_set():  # once it has ended, the other may be
            too_early.append(cause)

    with pytest.raises(TestbedError, match="broken"):
        graph.execute(graph.nodes, {}, abandon=abandon)
    assert not too_early


def test_an_interruption_has_ended_everything_already() -> None:
    both, ended = threading.Barrier(2, timeout=60), threading.Event()

    def stop() -> None:
        both.wait()
        threading.Timer(0.2, ended.set).start()
        raise InterruptedRunError("interrupted")

    def prepare() -> None:
        both.wait()
        assert ended.wait(60)

    graph = Graph([Node("stopped", stop), Node("ce", prepare, prepares=True)], initial=[])
    with pytest.raises(InterruptedRunError, match="interrupted"):
        graph.execute(graph.nodes, {}, abandon=pytest.fail)


def test_only_nodes_that_judge_the_candidate_outlive_an_error() -> None:
    assert {name for name, node in RUN_GRAPH.nodes.items() if node.prepares} == {
        "hosts", "signing_key", "workspace", "clone", "testbed_hosts", "ce", "previous_build", "previous_repo",
        "ready_scenarios",
    }  # fmt: skip


STEPS = Graph(
    [
        Node("build", start, command="build", load=dict[str, str].copy),
        Node("key", start),
        Node("repo", serve, command="serve"),
        Node("hosts", start, command="run"),
        Node("installed", install, command="install", after=("hosts",)),
    ],
    initial=["cell"],
)


def test_a_command_does_its_own_nodes_and_those_of_no_command_that_they_name() -> None:
    assert STEPS.of_command("serve") == {"repo", "key"}
    assert STEPS.of_command("install") == {"installed"}


def test_what_earlier_commands_have_left_is_loaded() -> None:
    assert STEPS.load({"repo", "key"}, {"left": "by build"}, where="r") == {"build": {"left": "by build"}}


def test_the_command_that_has_to_come_first_is_named() -> None:
    with pytest.raises(UsageError, match="run r: serve has to come first") as error:
        STEPS.load({"installed"}, {}, where="r")
    assert error.value.hint == "itb serve --run r"


def test_a_build_that_is_missing_is_made_by_going_on() -> None:
    graph = Graph([Node("build", start, command="build"), Node("repo", serve)], initial=["cell", "key"])
    with pytest.raises(UsageError, match="run r: build has to come first") as error:
        graph.load({"repo"}, {}, where="r")
    assert error.value.hint == "itb run --resume r"


def test_a_need_that_nobody_meets_is_refused() -> None:
    with pytest.raises(ValueError, match="node repo needs build"):
        Graph([Node("repo", serve)], initial=["key"])
    with pytest.raises(CycleError):
        Graph([Node("a", start, after=("b",)), Node("b", start, after=("a",))], initial=["cell"])


def test_a_value_has_the_type_its_node_returns() -> None:
    """A parameter of a node has the type that the node of that name returns."""
    kinds = {name: get_type_hints(node.work).get("return") for name, node in RUN_GRAPH.nodes.items()}
    kinds["initial_cell"] = Cell
    for node in RUN_GRAPH.nodes.values():
        hints = get_type_hints(node.work)
        for name in node.takes:
            assert hints[name] == kinds[name], f"node {node.name} takes {name}"


def test_the_documentation_shows_the_graph() -> None:
    assert f"```\n{RUN_GRAPH.picture()}\n```" in (Path(itb.__file__).parent / "README.md").read_text()


@pytest.mark.parametrize("command", ["build", "serve", "up", "install", "token", "test"])
def test_every_command_can_begin_where_the_one_before_ended(command: str) -> None:
    names = RUN_GRAPH.of_command(command)
    needed = {need for name in names for need in RUN_GRAPH.nodes[name].needs} - names - RUN_GRAPH.initial
    assert all(RUN_GRAPH.nodes[name].load for name in needed)

"""The graph of a run: its nodes, what each needs, and which command does it.

``initial_cell`` is the cell that the run begins with; ``cell`` is the same with its
candidate, which for published packages is chosen in their repository.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from itb.build import build_cases
from itb.model import PlannedCases, Record
from itb.phase import Phase
from itb.roles import WORKSPACE
from itb.run import lock_yaml
from itb.run.cell import Cell
from itb.run.graph import Graph, Node
from itb.run.phases import build, down, install, previous, published, test, token, up
from itb.rundir import values
from itb.rundir.case_history import RUN_END
from itb.rundir.values import ValueKey

R = TypeVar("R", bound=Record)


def _saved(key: ValueKey[R]) -> Callable[[Cell], object]:
    return lambda cell: cell.rundir.load(key)


def _unchanged(cell: Cell) -> Cell:
    return cell


RUN_GRAPH = Graph(
    [
        # First: a hook that is missing or wrong, or a token that is refused, ends the run in seconds.
        Node("checked_token", token.acquire_token, Phase.TOKEN, cases=token.acquired_cases),
        Node(
            "images",
            up.prepare_platform,
            Phase.BUILD,
            after=("checked_token",),
            load=_saved(values.IMAGES),
            cases=(up.IMAGES,),
        ),
        Node("cell", published.choose_published, Phase.BUILD, load=_unchanged, cases=(published.CANDIDATE,)),
        Node("cached_build", build.cached_candidate, Phase.BUILD),
        Node("previous_is_built", previous.is_built, Phase.BUILD),
        # All at once: in a whole run, nodes that start their own hosts find them running.
        Node("hosts", up.start_all, Phase.RUN, prepares=True, cases=(up.STARTED,)),
        Node("signing_key", up.prepare_services, after=("hosts",), prepares=True, cases=up.SERVICES_CASES),
        Node(
            "workspace",
            up.boot_workspace,
            Phase.BUILD,
            after=("hosts",),
            prepares=True,
            cases=(up.boots(WORKSPACE),),
        ),
        Node("clone", build.clone_candidate, Phase.BUILD, prepares=True),
        Node(
            "build",
            build.build_candidate,
            Phase.BUILD,
            after=("workspace",),
            load=_saved(values.BUILD),
            cases=build_cases.CASES,
        ),
        # The workspace builds one version at a time, the candidate first.
        Node(
            "previous_build",
            previous.build,
            Phase.BUILD,
            # after testbed_hosts, which records the workspace of the candidate: this node may replace it
            after=("workspace", "build", "testbed_hosts"),
            load=previous.saved_build,
            optional=True,
            prepares=True,
            cases=previous.built_cases,
        ),
        Node("repo", build.serve, Phase.SERVE, load=_saved(values.REPO), cases=(published.SERVED,)),
        Node(
            "previous_repo",
            previous.serve,
            Phase.SERVE,
            load=previous.saved_repo,
            optional=True,
            prepares=True,
            cases=previous.served_cases,
        ),
        Node(
            "testbed_hosts",
            up.boot_testbed,
            Phase.UP,
            after=("hosts",),
            load=_saved(values.TESTBED),
            prepares=True,
            cases=up.testbed_cases,
        ),
        Node(
            "ce",
            up.prepare_ce,
            Phase.UP,
            after=("signing_key", "testbed_hosts"),
            prepares=True,
            cases=up.ce_cases,
        ),
        Node("installed_roles", install.install_roles, Phase.INSTALL, cases=install.installed_cases),
        Node("installed", install.complete, Phase.INSTALL, after=("ce",), load=_saved(values.INSTALLED)),
        Node("lock_yaml", lock_yaml.write, Phase.INSTALL),
        Node("condor", install.start_condor, Phase.INSTALL, after=("lock_yaml",)),
        Node(
            "token",
            token.deliver_token,
            Phase.TOKEN,
            requires=("installed",),
            after=("lock_yaml",),
            load=_saved(values.TOKEN),
            optional=True,
            cases=token.delivered_cases,
        ),
        Node(
            "started_services",
            install.start_rest,
            Phase.TOKEN,
            after=("condor", "token"),
            cases=install.start_cases,
        ),
        # Hosts are inspected while the watch waits: the machine is idle then.
        Node(
            "watched_services",
            install.watch_services,
            Phase.TOKEN,
            after=("started_services",),
            cases=install.watch_cases,
        ),
        Node(
            "inspected_hosts",
            install.inspect_hosts,
            Phase.INSTALL,
            after=("lock_yaml", "started_services"),
            cases=install.inspection_cases,
        ),
        Node(
            "lint_results",
            build.lint_packages,
            Phase.SERVE,
            requires=("repo",),
            after=("condor", "token"),
            cases=(build.LINT,),
        ),
        Node(
            "ready_scenarios",
            test.prepare_scenarios,
            Phase.TEST,
            after=("started_services",),
            prepares=True,
        ),
        Node(
            "test_results",
            test.run_scenarios,
            Phase.TEST,
            after=("watched_services", "inspected_hosts", "lint_results"),
            cases=test.scenario_cases,
        ),
        Node("checked_hosts", test.check_hosts, Phase.TEST, after=("test_results",), cases=test.check_cases),
        # Of whole runs only.  Its case is reported when the run ends, however it does.
        Node("collected_logs", down.collect_logs, Phase.EVIDENCE, after=("test_results",)),
    ],
    initial=["initial_cell"],
)


def plan_again(cell: Cell) -> None:
    """Save the planned cases of a run that goes on, which may have other scenarios now.

    A run that an earlier version of itb began has no planned cases: its cases had other names.
    """
    if cell.rundir.load_if_readable(values.PLANNED_CASES):
        cell.rundir.save(values.PLANNED_CASES, planned_cases(cell))


def planned_cases(cell: Cell) -> PlannedCases:
    """Return the cases of a run that gets to its end, whether it builds or takes published packages.

    Results that a step's script lists itself are not among them: their names
    are not known before it has run.
    """
    return PlannedCases(cases=(*RUN_GRAPH.cases(cell), down.EVIDENCE, down.REMOVED, RUN_END))

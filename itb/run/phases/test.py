"""The phase test: the scenarios run, then services and platform are checked again."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from itb.config import step_library
from itb.config.scenario import Scenario
from itb.containers.host import Host
from itb.errors import InstallError, LogLine, ScenarioError, TestbedError, UsageError
from itb.install import configure
from itb.model import Build, CaseKey, Installed, Outcome, Repo, Token
from itb.process.parallel import in_parallel, side_by_side
from itb.repository import server as repository_server
from itb.roles import SERVICES
from itb.run.cell import Cell
from itb.run.phases import held, install, listening, logged_errors, own_tests, token_renewal
from itb.run.phases import token as phases_token
from itb.rundir.checkpoints import CheckpointKey, CheckpointKind
from itb.rundir.values import LoggedError
from itb.scenario import execution, host_files, step_cases
from itb.scenario.script_context import ScriptContext
from itb.testbed import logs
from itb.testbed.growth import Growth, Sample
from itb.testbed.ports import Socket


def scenario_cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the cases of the scenarios."""
    for scenario in cell.scenarios:
        yield from step_cases.planned_cases(scenario, cell.services)
    yield from phases_token.validity_cases(cell)


def check_cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the cases of the checks that follow the scenarios."""
    yield from install.final_cases(cell)
    yield from listening.cases(cell)
    yield from held.cases(cell)
    yield from logged_errors.cases(cell)


def tested_key(cell: Cell) -> CheckpointKey:
    """Return the key of the checkpoint after which only evidence, removal and reports are left.

    It depends on the content of the scenarios.
    """
    checksums = [step_library.checksum(scenario.folder, scenario.scripts) for scenario in cell.scenarios]
    return CheckpointKey(CheckpointKind.TESTS, hashlib.sha256(" ".join(checksums).encode()).hexdigest())


@dataclass(frozen=True)
class ReadyScenarios:
    """The values that steps get, and the roles whose hosts have a scenario's files, by its name."""

    context: ScriptContext
    hosts_with_files: Mapping[str, Iterable[str]]


def prepare_scenarios(cell: Cell, installed: Installed, previous_repo: Repo | None) -> ReadyScenarios:
    """Make the hosts ready for the scenarios, while services are watched."""
    if previous_repo:
        for role in {*cell.roles, *cell.topology.optional} & set(cell.testbed_roles):
            repository_server.add_disabled(cell.host(role), previous_repo)
    own_tests.put(cell)
    return ReadyScenarios(_scenario_context(cell, installed, previous_repo), _put_first_files(cell))


def _put_first_files(cell: Cell) -> dict[str, set[str]]:
    """Put the files of the scenario that runs first on its hosts; return the roles of those by its name.

    For the others the scenario's own steps try again, and report why it fails.
    """
    scenario = next((item for item in cell.scenarios if not cell.checkpoints.is_done(_scenario_key(item))), None)
    if scenario is None:
        return {}
    ready = set[str]()

    def put(role: str) -> None:
        with suppress(TestbedError, UsageError):
            host_files.put(scenario, cell.host(role))
            ready.add(role)

    used = {step.role for step in (*scenario.steps, *scenario.always) if not step.action}
    in_parallel(used & {SERVICES, *cell.testbed_roles}, put)
    return {scenario.name: ready}


def _scenario_key(scenario: Scenario) -> CheckpointKey:
    checksum = step_library.checksum(scenario.folder, scenario.scripts)
    return CheckpointKey(CheckpointKind.SCENARIO, f"{scenario.name}.{checksum}")


def _scenario_context(cell: Cell, installed: Installed, previous_repo: Repo | None) -> ScriptContext:
    """Return the values that scenario steps get in their environment (scenarios/README.md)."""
    return dataclasses.replace(
        cell.script_context,
        product_environment=cell.product.env,
        pilot_logs=cell.product.pilot_logs,
        pages=cell.product.pages,
        own_tests=cell.product.own_tests,
        has_source=not cell.settings.from_repo,
        duration=cell.settings.duration,
        unchecked_files=tuple(cell.product.unchecked_files),
        candidate_repo=repository_server.REPO_ID,
        packages={
            role: [package.nevra.rsplit("-", 2)[0] for package in packages if package.candidate]
            for role, packages in installed.packages.items()
        },
        requested_packages={role: definition.packages for role, definition in cell.roles.items()},
        configure_scripts={
            role: f"{configure.FOLDER}/{definition.configure}"
            for role, definition in cell.roles.items()
            if definition.configure
        },
        previous_repo=previous_repo.id if previous_repo else "",
        previous_version=cell.previous_commit.version if cell.previous_commit else "",
        bad_tokens=token_renewal.BAD_TOKENS if token_renewal.has_bad_tokens(cell) else "",
    )


def run_scenarios(cell: Cell, ready_scenarios: ReadyScenarios, token: Token | None) -> None:
    """Run the scenarios that are not done and keep the token valid; those with no host in common side by side."""
    ready = ready_scenarios
    hosts = {role: cell.host(role) for role in [SERVICES, *cell.testbed_roles]}
    with token_renewal.keep_fresh(cell, token) as renewer:

        def run(scenario: Scenario) -> None:
            key = _scenario_key(scenario)
            if cell.checkpoints.is_done(key) or (renewer and not renewer.may_start(scenario)):
                return
            taints = sorted(cell.topology.optional & set(scenario.roles))
            # On a host of its own nothing is caused by what others do elsewhere meanwhile.
            looked_at = hosts if set(scenario.roles) - cell.topology.optional else {}
            with cell.checkpoint(key, taints=taints) as checkpoint, logged_errors.left_out_of(cell, scenario):
                outcome = execution.run_scenario(
                    scenario,
                    hosts,
                    journal=cell.journal,
                    context=ready.context,
                    factor=cell.settings.timeout_factor * cell.product.patience,
                    actions=token_renewal.token_action(cell),
                    find_token_refusal=renewer.find_refusal if renewer else None,
                    find_log_cause=lambda: _find_log_cause(cell, looked_at),
                    hosts_with_files=ready.hosts_with_files.get(scenario.name, ()),
                )
                checkpoint.must_repeat = outcome is not Outcome.PASSED

        side_by_side(cell.scenarios, lambda scenario: set(scenario.roles), run)


def _find_log_cause(cell: Cell, hosts: Mapping[str, Host]) -> tuple[str, Sequence[LogLine]]:
    """Return the cause that the hosts' logs name, or the last lines of pilots that ended, and its log lines."""
    findings = logs.find_causes(
        hosts, cell.logs, cell.product.ignored_errors, pilot_logs=cell.product.pilot_logs
    )
    return "; ".join(item.message for item in findings), [item.line for item in findings]


def _end_of_service(cell: Cell, role: str) -> type[InstallError | ScenarioError]:
    """Return what has failed where a service is down at the end: a scenario that disturbed it, or its start."""
    return ScenarioError if _is_disturbed(cell, role) else InstallError


def _is_disturbed(cell: Cell, role: str) -> bool:
    """Return whether a scenario stops, breaks or replaces something, or reboots the host of a role."""
    return any(
        scenario.disturbs or any(step.action == "reboot" and step.role == role for step in scenario.steps)
        for scenario in cell.scenarios
    )


def check_hosts(cell: Cell, build: Build, installed: Installed) -> None:
    """Check, at the same time, that all services are still up and that the platform is unchanged; look at logs."""
    with cell.checkpoint(tested_key(cell)) as checkpoint:
        _check_hosts(cell, build, installed)
        checkpoint.must_repeat = any(case.is_bad for case in cell.journal.cases)


def _check_hosts(cell: Cell, build: Build, installed: Installed) -> None:
    errors: dict[str, list[LoggedError] | str] = {}
    grown: dict[str, tuple[list[Sample], list[Growth]]] = {}
    listeners: dict[str, list[Socket] | str] = {}
    checks: list[Callable[[], object]] = [
        lambda: in_parallel(
            cell.services,
            lambda role: install.watch(
                cell, role, cell.services[role], case=install.still_up, settle=0,
                never_ended=not _is_disturbed(cell, role), error_class=_end_of_service(cell, role),
            ),
        ),
        lambda: install.inspect_after_tests(cell, build, installed),
        lambda: errors.update(logged_errors.find(cell)),
        lambda: grown.update(held.find(cell)),
        lambda: listeners.update(listening.find(cell)),
    ]
    in_parallel(checks, lambda check: check())
    is_red = any(case.is_bad for case in cell.journal.cases)
    listening.report(cell, listeners, is_red=is_red)
    held.report(cell, grown, is_red=is_red)
    logged_errors.report(cell, errors, is_red=is_red)

"""The scenarios of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from itb.config import step_library
from itb.containers.host import Host
from itb.model import Outcome, Phase
from itb.run.cell import SERVICES, Cell
from itb.run.parallel import in_parallel
from itb.run.phases import previous, token_renewal
from itb.run.phases.install import inspect_after_tests, watch
from itb.rundir.checkpoints import CheckpointKey, Kind
from itb.scenario import execution
from itb.testbed import logs


def tested_key(cell: Cell) -> CheckpointKey:
    """Return the key of the checkpoint after which only evidence, removal and reports are left.

    It depends on the content of the scenarios.
    """
    checksums = [step_library.checksum(scenario.folder, scenario.scripts) for scenario in cell.scenarios]
    return CheckpointKey(Kind.TESTED, hashlib.sha256(" ".join(checksums).encode()).hexdigest())


def test(cell: Cell) -> None:
    """Run every scenario, then check once more that all services are up and the platform is unchanged."""
    with cell.checkpoint(tested_key(cell)) as checkpoint:
        _test(cell)
        bad = (Outcome.FAILED, Outcome.ERROR)
        checkpoint.undone = any(case.outcome in bad for case in cell.journal.cases)


def _test(cell: Cell) -> None:
    for role in cell.topology.optional & set(cell.testbed_roles):
        previous.offer(cell, role)
    hosts = {role: cell.host(role) for role in [SERVICES, *cell.testbed_roles]}
    with token_renewal.keep_fresh(cell) as may_start:
        for scenario in cell.scenarios:
            checksum = step_library.checksum(scenario.folder, scenario.scripts)
            key = CheckpointKey(Kind.SCENARIO, f"{scenario.name}.{checksum}")
            if cell.checkpoints.is_done(key) or not may_start(scenario):
                continue
            with cell.checkpoint(key, taints=sorted(cell.topology.optional & set(scenario.roles))) as checkpoint:
                outcome = execution.run_scenario(
                    scenario,
                    hosts,
                    journal=cell.journal,
                    facts=cell.scenario_facts(),
                    factor=cell.timeout_factor * cell.product.patience,
                    find_token_refusal=lambda since: token_renewal.why_refused(cell, since),
                    find_log_cause=lambda: _likeliest_cause(cell, hosts),
                )
                checkpoint.undone = outcome is not Outcome.PASSED
    last: list[Callable[[], object]] = [
        lambda: in_parallel(
            cell.services, lambda role: watch(cell, role, cell.services[role], phase=Phase.TEST, settle=0)
        ),
        lambda: inspect_after_tests(cell),
    ]
    in_parallel(last, lambda work: work())


def _likeliest_cause(cell: Cell, hosts: Mapping[str, Host]) -> str:
    """Return the cause the logs of the hosts name, or else the last lines of pilots that ended."""
    return logs.across(hosts, cell.logs, cell.product.ignored_errors, ended=cell.product.pilot_logs)

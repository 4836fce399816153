"""Names the cases of a scenario: of its steps, and of the results that they declare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from itb.config.scenario import Scenario, Step
from itb.model import CaseKey
from itb.phase import Phase
from itb.scenario.check_results import CheckResults


def step_case(scenario: Scenario, step: Step) -> CaseKey:
    """Return the case of a step."""
    return CaseKey(Phase.TEST, step.role, f"{scenario.name}: {step.name}")


def result_case(scenario: Scenario, step: Step, name: str) -> CaseKey:
    """Return the case of a result that a step's script lists."""
    key = step_case(scenario, step)
    return key._replace(name=f"{key.name}: {name}")


def cases_of_step(scenario: Scenario, step: Step, services: Mapping[str, Sequence[str]]) -> list[CaseKey]:
    """Return the case of a step, then the cases of the results it declares; ``services`` are units by role."""
    results = [result_case(scenario, step, name) for name in step.result_names(services)]
    return [step_case(scenario, step), *results]


def planned_cases(scenario: Scenario, services: Mapping[str, Sequence[str]]) -> list[CaseKey]:
    """Return the cases of all steps; undeclared results are known only after their step has run."""
    steps = (*scenario.steps, *scenario.always)
    return [key for step in steps for key in cases_of_step(scenario, step, services)]


def missing_results(step: Step, checks: CheckResults, services: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names of the results that a step declares and its script has not listed."""
    listed = {result.name for result in checks.items}
    return [name for name in step.result_names(services) if name not in listed]

"""The cases of a scenario that are known before it runs."""

from __future__ import annotations

from itb.config.scenario import Scenario, Step
from itb.scenario.check_results import CheckResults, parse_tap
from itb.scenario.step_cases import missing_results, planned_cases

SERVICES = {"ce": ["condor", "httpd"], "factory": ["other"]}


def test_a_result_of_each_service_is_declared_once() -> None:
    step = Step(name="a", role="ce", run="x", results=("{service} restarts", "all are up"))
    scenario = Scenario(title="t", name="s", steps=(step,), always=(Step(name="b", role="factory", run="x"),))
    assert [(key.role, key.name) for key in planned_cases(scenario, SERVICES)] == [
        ("ce", "s: a"), ("ce", "s: a: condor restarts"), ("ce", "s: a: httpd restarts"),
        ("ce", "s: a: all are up"), ("factory", "s: b"),
    ]  # fmt: skip
    assert step.result_names({}) == ["all are up"]


def test_a_result_is_missing_until_it_is_listed() -> None:
    step = Step(name="a", role="ce", run="x", results=("{service} restarts",))
    results = parse_tap("1..1\nnot ok 1 - condor restarts\n")
    assert results is not None
    assert missing_results(step, results, SERVICES) == ["httpd restarts"]
    assert missing_results(step, CheckResults(), SERVICES) == ["condor restarts", "httpd restarts"]

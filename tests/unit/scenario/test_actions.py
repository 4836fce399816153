"""Actions of steps: what no program inside a host can do, and what later steps get of it."""

from __future__ import annotations

import pytest

from itb.config import scenario
from itb.containers.host import Host
from itb.errors import UsageError
from itb.model import Outcome
from itb.scenario import execution
from tests.unit.scenario.test_execution import ScenarioBench, bench, steps

__all__ = ["bench"]

TOKENS = (
    "name: first, role: ce, action: token, token: {lifetime: 60}, preparation: true",
    "name: second, role: ce, run: look",
)


def test_steps_after_an_action_get_the_variables_that_it_brings(bench: ScenarioBench) -> None:
    def issue(host: Host, step: scenario.Step) -> execution.Done:
        assert (host.role, step.token) == ("ce", scenario.IssuedToken(lifetime=60))
        return execution.Done("a token that ends soon", {"ITB_TOKEN_ENDS": "1 2"})

    first, second = bench.perform(steps(*TOKENS), actions={"token": issue})
    assert (first.message, second.outcome) == ("a token that ends soon", Outcome.PASSED)
    [call] = bench.runner.steps
    assert "ITB_TOKEN_ENDS" in " ".join(call)


def test_an_action_that_there_is_none_for_is_skipped_with_what_it_prepares(bench: ScenarioBench) -> None:
    cases = bench.perform(steps(*TOKENS))
    assert [case.outcome for case in cases] == [Outcome.SKIPPED, Outcome.SKIPPED]
    assert "only the run's own issuer" in cases[1].message


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("action: rebot", "reboot"),
        ("action: reboot, eventually: {within: 3}", "not repeated"),
        ("action: reboot, token: {lifetime: 3}", "goes with action: token"),
    ],
)
def test_a_wrong_action_is_refused(bench: ScenarioBench, step: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bench.load(steps(f"name: a, role: ce, {step}"))

"""The message of a failed step: what it says itself, then what logs say, then how long it was polled."""

from __future__ import annotations

import pytest

from itb.model import Outcome
from itb.scenario.step_result import FailureExplanation, StepResult
from tests.unit.scenario.test_execution import ScenarioBench, bench, steps

__all__ = ["bench"]


def test_limit_comes_after_the_cause_that_logs_name() -> None:
    gave_up = "not within 30 s (31 tries)"
    result = StepResult(Outcome.FAILED, "no worker", gave_up=gave_up, note=" (failed 2 times)")
    explained = FailureExplanation(after="; ce: no token").explain(result.message)
    assert result.add_remarks(explained) == "no worker; ce: no token; not within 30 s (31 tries) (failed 2 times)"
    assert result.full_message == "no worker; not within 30 s (31 tries) (failed 2 times)"


def test_a_program_that_ended_with_an_exception_is_its_own_cause() -> None:
    upgrade = "gwms-factory upgrade: exit status 6: OSError: [Errno 9] Bad file descriptor"
    assert StepResult(Outcome.FAILED, upgrade).names_cause
    assert not StepResult(Outcome.FAILED, "gwms-frontend is failed").names_cause


@pytest.mark.parametrize(
    "message",
    [
        "x.service is failed (exit-code): no such user",
        "x restarts: x.service is activating: no such user",
        "condor-ce@1 is inactive: Dependency failed for x",
    ],
)
def test_last_words_of_a_unit_are_its_cause(message: str) -> None:
    """As scenarios/lib/units.sh prints them: what logs of other daemons say is not why this one is down."""
    assert StepResult(Outcome.FAILED, message).names_cause


def test_a_script_that_ends_before_its_checks_is_blamed_with_its_last_words(bench: ScenarioBench) -> None:
    printed = (1, "1..2\nok 1 - one\n", "+ find /x\nfind: /x: No such file\n")
    cases = bench.perform(steps("name: a, role: ce, run: x"), {"x": printed})
    assert cases[-1].message == "2 checks were planned, 1 were made: find: /x: No such file"

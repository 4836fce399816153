"""Known failures of a product's own tests: a list with dates, after which they count."""

from __future__ import annotations

from datetime import date

from itb.config.scenario import KnownFailure
from itb.model import Outcome
from itb.scenario.check_results import CheckResult, CheckResults
from itb.scenario.step_result import apply_known_failures

KNOWN = {
    "test_fork.T.test_signal": KnownFailure(until=date(2027, 3, 31), reason="PR 620"),
    "test_proxy.*": KnownFailure(until=date(2027, 3, 31), reason="wants voms"),
}


def after(name: str, outcome: Outcome, today: str) -> tuple[Outcome, str]:
    checks = CheckResults([CheckResult(name, outcome, "1 != 2")])
    apply_known_failures(checks, KNOWN, today=today)
    return checks.items[0].outcome, checks.items[0].message


def test_until_its_day_it_is_skipped() -> None:
    expected = Outcome.SKIPPED, "known failure until 2027-03-31: PR 620; this time: 1 != 2"
    assert after("test_fork.T.test_signal", Outcome.FAILED, "2027-03-31") == expected
    assert after("test_proxy.T.test_a", Outcome.FAILED, "2027-03-30")[0] is Outcome.SKIPPED


def test_after_it_it_fails() -> None:
    outcome, message = after("test_fork.T.test_signal", Outcome.FAILED, "2027-04-01")
    assert outcome is Outcome.FAILED
    assert message == "1 != 2 (known failure, but the exception expired on 2027-03-31: PR 620)"


def test_one_that_passes_says_so() -> None:
    outcome, message = after("test_fork.T.test_signal", Outcome.PASSED, "2027-01-01")
    assert (outcome, message[-9:]) == (Outcome.PASSED, "remove it")


def test_others_stay_as_they_are() -> None:
    assert after("test_fork.T.test_other", Outcome.FAILED, "2027-01-01") == (Outcome.FAILED, "1 != 2")
    assert after("test_proxy.T.test_a", Outcome.SKIPPED, "2027-01-01") == (Outcome.SKIPPED, "1 != 2")

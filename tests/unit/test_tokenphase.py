"""When a scenario may start while its token cannot be renewed, and hooks looked up before anything starts."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from itb import tokenphase
from itb.config import Settings
from itb.definitions import Eventually, Needs, Scenario, Step, TokenDelivery
from itb.errors import TestbedError, TokenError, UsageError
from itb.journal import Journal
from itb.model import Outcome, Token
from itb.rundir import RunDir
from itb.tokens.renewal import Renewal

WANTED = TokenDelivery(role="frontend", path="/t")


def token(left: float) -> Token:
    now = int(time.time())
    return Token(
        provider="p", issuer="https://i/x", subject="s", audience=("a:1",), scopes=("condor:/READ",),
        issued=now - 60, expires=int(now + left), jti="", verified=True,
    )  # fmt: skip


@pytest.fixture
def cell(tmp_path: Path) -> Any:
    """As much of a cell as renewals look at."""
    rundir = RunDir.create(tmp_path, "x")
    settings = Settings(token_hook="file")
    return SimpleNamespace(journal=Journal(rundir), rundir=rundir, factor=1.0, settings=settings)


def play(*, needs_token: bool = True) -> Scenario:
    patient = Step(name="b", role="ce", run="x", eventually=Eventually(within=300))
    steps = (Step(name="a", role="ce", run="x", timeout=10), patient)
    return Scenario(title="t", name="play", needs=Needs(token=needs_token), steps=steps)


def test_the_most_patient_step_is_what_a_token_has_to_outlive() -> None:
    assert tokenphase.longest_wait(play()) == 300


@pytest.mark.parametrize(
    ("left", "problem", "needs_token", "starts"),
    [
        (3000, "", True, True),
        (10, "", True, True),  # it will be renewed
        (3000, "no answer", True, True),
        (200, "no answer", True, False),
        (200, "no answer", False, True),
        (-5, "no answer", True, False),
    ],
)
def test_a_scenario_that_would_outlive_its_token_does_not_start(
    cell: Any, left: float, problem: str, needs_token: bool, starts: bool
) -> None:
    renewals = tokenphase._Renewals(cell, WANTED, token(left))
    renewals.report(Renewal(problem=problem, left=left))
    assert renewals.may_start(play(needs_token=needs_token)) is starts
    cases = cell.journal.cases
    if starts:
        assert not cases  # its steps are the cases
    else:
        assert [(case.phase, case.outcome, case.exit_code) for case in cases] == [("test", Outcome.ERROR, 6)]
        assert "may take 300 s" in cases[0].message


def test_a_failed_renewal_is_a_case_and_the_old_token_stays(cell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    old = token(100)
    renewals = tokenphase._Renewals(cell, WANTED, old)

    def fail(*_: object, **__: object) -> None:
        raise TestbedError("host frontend: gone", hint="look")

    monkeypatch.setattr(tokenphase, "_acquire", fail)
    with pytest.raises(TokenError, match=r"gone; the old token serves until \d\d:\d\d:\d\d UTC"):
        renewals.renew()
    (case,) = cell.journal.cases
    assert (case.phase, case.role, case.outcome, case.exit_code) == ("token", "frontend", Outcome.ERROR, 6)
    assert "the old token serves until" in case.message
    assert renewals.token == old


def test_without_a_token_nothing_is_renewed(cell: Any) -> None:
    cell.product = SimpleNamespace(token=WANTED)
    with tokenphase.kept_fresh(cell) as may_start:
        assert may_start(play())
    assert tokenphase.why_refused(cell, 0) == ""


def test_a_token_that_has_ended_is_why(cell: Any) -> None:
    cell.rundir.save("token", token(-5))
    with pytest.raises(TokenError, match=r"expired at .* and could not be renewed"):
        tokenphase.why_refused(cell, 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"token_hook": "lokal"}, "unknown token hook 'lokal'; did you mean 'local'"),
        ({"token_hook": "vault"}, "key 'server' is missing"),
        ({"token": {"local": {"lifetme": 90}}}, "unknown key 'lifetme'; did you mean 'lifetime'"),
        ({"token": {"local": {"fault": "expierd"}}}, "fault"),
        ({"token": {"local": {"lifetime": 0}}}, "lifetime"),
    ],
)
def test_a_hook_that_cannot_be_is_refused_before_anything_starts(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tokenphase.check_hook(Settings.model_validate(values))


def test_a_hook_that_can_be_is_not_called_for_that() -> None:
    tokenphase.check_hook(Settings())
    tokenphase.check_hook(Settings(token={"local": {"lifetime": 90, "fault": "expired"}}))
    tokenphase.check_hook(Settings(token_hook="/no/such/hook"))


def test_tokens_to_be_refused_that_cannot_be_put_there_are_no_failure_of_the_product(
    cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell.settings = Settings()

    def gone(*_: object) -> None:
        raise TestbedError("host frontend: gone")

    monkeypatch.setattr(tokenphase, "_deliver_choice", gone)
    assert not tokenphase._Renewals(cell, WANTED, token(3000)).may_start(play())
    (case,) = cell.journal.cases
    assert (case.outcome, case.exit_code, case.message) == (Outcome.ERROR, 5, "not started: host frontend: gone")


def test_a_run_that_goes_on_after_a_pause_renews_before_it_begins(
    cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell.product = SimpleNamespace(token=WANTED)
    cell.host = str
    cell.rundir.save("token", token(-5))
    fresh = token(3600)
    monkeypatch.setattr(tokenphase, "_acquire", lambda *_, **__: (fresh, None))
    monkeypatch.setattr(tokenphase, "deliver", lambda *given, **_: given[2])
    with tokenphase.kept_fresh(cell) as may_start:
        assert may_start(play())
    (case,) = cell.journal.cases
    assert (case.name, case.message) == ("SciToken renewal 1", "renewed after the old one had expired")
    assert cell.rundir.saved("token", Token) == fresh

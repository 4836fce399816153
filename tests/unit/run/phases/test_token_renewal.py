"""A token kept fresh while scenarios run: what a failed renewal means, and whose token is on its path."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import pytest

from itb.config.product import TokenDelivery, TokenPlace
from itb.config.scenario import Eventually, IssuedToken, Needs, Scenario, Step
from itb.config.settings import Settings
from itb.containers.host import Host
from itb.errors import UNDECIDED, InstallError, ItbError, TestbedError, TokenError
from itb.model import Outcome, Token
from itb.run.cell import Cell
from itb.run.phases import token as phases_token
from itb.run.phases import token_renewal
from itb.run.phases.token import CheckedToken
from itb.rundir import values
from itb.tokens.parse import decode_token
from itb.tokens.renewal import Renewal
from itb.tokens.request import AcquireCause, AcquireError, Secret

DELIVERY = TokenDelivery(role="frontend", path="/t", also=(TokenPlace(role="factory", path="/u"),))


class Hosts:
    """Stand-ins for hosts: what is at their paths; roles that are ``unreachable`` raise TestbedError."""

    def __init__(self) -> None:
        self.holds: dict[str, str] = {"/t": "old", "/u": "old"}
        self.delivered = dict(self.holds)
        self.unreachable: set[str] = set()

    def deliver(self, host: Host, secret: Secret, *, path: str, owner: str, force: bool = True) -> bool:
        assert owner == "root:root"
        if host.role in self.unreachable:
            raise TestbedError(f"host {host.role}: gone")
        if not force and not self.is_ours(host, path):
            return False
        self.holds[path] = self.delivered[path] = secret.reveal()
        return True

    def deliver_instead(self, _host: Host, secret: Secret, *, path: str, owner: str) -> None:
        assert owner == "root:root"
        self.holds[path] = secret.reveal()

    def is_ours(self, host: Host, path: str) -> bool:
        if host.role in self.unreachable:
            raise TestbedError(f"host {host.role}: gone")
        return self.holds[path] == self.delivered[path]


def token(left: float) -> Token:
    now = int(time.time())
    return Token(
        provider="p", issuer="https://i/x", subject="s", audience=("a:1",), scopes=("condor:/READ",),
        issued=now - 60, expires=int(now + left), jti="", verified=True,
    )  # fmt: skip


@pytest.fixture
def cell(new_cell: Callable[..., Cell]) -> Cell:
    """A cell whose token comes from somewhere else, and goes to two places."""
    return new_cell(Settings(token_hook="file"), token=DELIVERY)


@pytest.fixture(autouse=True)
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """Hosts in place of containers."""
    stand_ins = Hosts()
    monkeypatch.setattr(phases_token, "deliver", stand_ins.deliver)
    monkeypatch.setattr(token_renewal, "is_ours", stand_ins.is_ours)
    monkeypatch.setattr(token_renewal, "deliver_instead", stand_ins.deliver_instead)
    return stand_ins


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[ItbError | Token]:
    """What the hook answers, one after the other."""
    pending: list[ItbError | Token] = []

    def request_token(*_: object, **__: object) -> CheckedToken:
        answer = pending.pop(0)
        if isinstance(answer, ItbError):
            raise answer
        return CheckedToken(answer, Secret(f"new{len(pending)}"))

    monkeypatch.setattr(token_renewal, "request_token", request_token)
    return pending


def scenario(*, needs_token: bool = True) -> Scenario:
    patient = Step(name="b", role="ce", run="x", eventually=Eventually(within=300))
    steps = (Step(name="a", role="ce", run="x", timeout=10), patient)
    return Scenario(title="t", name="pilots", needs=Needs(token=needs_token), steps=steps)


def test_the_most_patient_step_is_what_a_token_has_to_outlive() -> None:
    assert token_renewal.longest_wait(scenario()) == 300


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
    cell: Cell, left: float, problem: str, needs_token: bool, starts: bool
) -> None:
    renewer = token_renewal.TokenRenewer(cell, DELIVERY, token(left))
    renewer.report(Renewal(problem=problem, left=left))
    assert renewer.may_start(scenario(needs_token=needs_token)) is starts
    cases = cell.journal.cases
    if starts:
        assert not cases  # its steps are the cases
    else:
        outcomes = [(case.phase, case.outcome, case.exit_code) for case in cases]
        assert outcomes == [("test", Outcome.ERROR, 6), ("test", Outcome.SKIPPED, 0)]
        assert "may take 300 s" in cases[0].message


def test_host_that_does_not_take_test_tokens_is_no_acquittal(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The candidate is root there: a folder in a token's place kept all scenarios from being started."""
    error = TestbedError("host frontend: put /var/lib/itb/tokens/valid: tar: Cannot open: File exists")
    error.role = "frontend"

    def deliver(*_: object) -> None:
        raise error

    monkeypatch.setattr(token_renewal, "has_bad_tokens", lambda _: True)
    monkeypatch.setattr(token_renewal, "_deliver_test_tokens", deliver)
    cell.journal.may_have_candidate = lambda role: role == "frontend"
    assert not token_renewal.TokenRenewer(cell, DELIVERY, token(3000)).may_start(scenario())
    assert cell.journal.cases[0].message.startswith(f"{UNDECIDED}: not started: host frontend: put")


def test_a_failed_renewal_is_an_error_at_once_and_none_if_a_later_try_is_in_time(
    cell: Cell, hosts: Hosts, answers: list[ItbError | Token]
) -> None:
    old, fresh = token(100), token(3600)
    answers += [TokenError("hook x: no answer", hint="look"), TestbedError("no network"), fresh]
    renewer = token_renewal.TokenRenewer(cell, DELIVERY, old)
    for number in (1, 2):
        with pytest.raises(TokenError, match=r"the old token serves until \d\d:\d\d:\d\d UTC"):
            renewer.renew()
        (case,) = cell.rundir.cases()
        assert (case.key, case.exit_code) == (phases_token.stays_valid(DELIVERY), 6)
        assert case.outcome is Outcome.ERROR
        assert ("hook x: no answer" if number == 1 else "no network") in case.message
        assert renewer.token == old
    assert hosts.holds == {"/t": "old", "/u": "old"}
    assert renewer.renew().expires == fresh.expires
    assert cell.journal.cases == cell.rundir.cases()
    (case,) = cell.journal.cases
    assert (case.outcome, case.exit_code) == (Outcome.PASSED, 0)
    assert "left on the old one, at try 3: before, no network" in case.message
    assert hosts.holds == {"/t": "new0", "/u": "new0"}
    answers.append(token(7200))
    renewer.renew()
    assert [len(case.tries) for case in cell.journal.cases] == [2, 0]
    assert {case.key for case in cell.journal.cases} == {phases_token.stays_valid(DELIVERY)}


def test_a_renewal_that_came_too_late_stays_an_error(cell: Cell, answers: list[ItbError | Token]) -> None:
    answers += [TokenError("hook x: no answer"), token(3600)]
    renewer = token_renewal.TokenRenewer(cell, DELIVERY, token(-5))
    with pytest.raises(TokenError, match="the old token has expired"):
        renewer.renew()
    renewer.renew()
    (case,) = cell.journal.cases
    assert (case.outcome, case.exit_code) == (Outcome.ERROR, 6)
    assert "renewed after the old one had expired, at try 2" in case.message


def test_a_role_that_a_new_token_does_not_reach_is_named(
    cell: Cell, hosts: Hosts, answers: list[ItbError | Token]
) -> None:
    answers += [token(3600), token(3600)]
    hosts.unreachable = {"factory"}
    old = token(100)
    renewer = token_renewal.TokenRenewer(cell, DELIVERY, old)
    with pytest.raises(TestbedError, match=r"role factory did not get it .*gone\); delivered to frontend"):
        renewer.renew()
    assert renewer.token == old  # it is tried again while the old one lives
    assert hosts.holds == {"/t": "new1", "/u": "old"}
    hosts.unreachable = set()
    renewer.renew()
    assert hosts.holds == {"/t": "new0", "/u": "new0"}
    assert cell.journal.cases[-1].outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("error", "outcome", "message"),
    [
        (
            InstallError("host frontend: deliver the token to /t: /t is a folder"),
            (Outcome.FAILED, 7),
            "not started: a new token was acquired, but role frontend did not get it (",
        ),
        (
            TestbedError("host frontend: deliver the token to /t: exit status 1, no output"),
            (Outcome.ERROR, 5),
            f"{UNDECIDED}: not started: a new token was acquired, but role frontend did not get it (",
        ),
    ],
)
def test_candidate_that_does_not_let_its_token_in_is_no_lack_of_a_token(
    cell: Cell,
    hosts: Hosts,
    answers: list[ItbError | Token],
    monkeypatch: pytest.MonkeyPatch,
    error: ItbError,
    outcome: tuple[Outcome, int],
    message: str,
) -> None:
    """Its service made a folder of it: exit code 6, which says nothing about the candidate."""

    def refuse(host: Host, *_: object, **__: object) -> bool:
        if host.role == "frontend":
            raise error
        return True

    monkeypatch.setattr(phases_token, "deliver", refuse)
    cell.journal.may_have_candidate = lambda role: role == "frontend"
    hosts.holds["/t"] = "a folder"
    answers.append(token(3600))
    assert not token_renewal.TokenRenewer(cell, DELIVERY, token(3600)).may_start(scenario())
    restored, not_started = cell.journal.cases[:2]
    assert (restored.outcome, restored.exit_code) == (not_started.outcome, not_started.exit_code) == outcome
    assert not_started.message.startswith(message)


def test_a_renewal_leaves_what_a_scenario_put_there_and_the_next_scenario_finds_the_runs_own(
    cell: Cell, hosts: Hosts, answers: list[ItbError | Token]
) -> None:
    renewer = token_renewal.TokenRenewer(cell, DELIVERY, token(100))
    hosts.holds["/t"] = "expired"
    answers.append(token(3600))
    renewer.renew()
    assert hosts.holds == {"/t": "expired", "/u": "new0"}
    assert "/t on frontend holds what a scenario put there" in cell.journal.cases[0].message
    assert renewer.may_start(scenario())
    assert hosts.holds == {"/t": "new0", "/u": "new0"}
    assert cell.journal.cases[1].message == "put back where a scenario left another: /t on frontend"
    assert renewer.may_start(scenario())
    assert len(cell.journal.cases) == 2


def test_what_a_scenario_left_is_replaced_by_a_new_token_where_the_old_one_is_not_at_hand(
    cell: Cell, hosts: Hosts, answers: list[ItbError | Token]
) -> None:
    hosts.holds["/u"] = "expired"
    answers.append(token(3600))
    assert token_renewal.TokenRenewer(cell, DELIVERY, token(3000)).may_start(scenario())
    assert hosts.holds == {"/t": "new0", "/u": "new0"}


def test_without_a_token_nothing_is_renewed(cell: Cell) -> None:
    with token_renewal.keep_fresh(cell, None) as renewer:
        assert renewer is None


def test_a_token_that_has_ended_is_why(cell: Cell) -> None:
    with pytest.raises(TokenError, match=r"expired at .* and could not be renewed"):
        token_renewal.TokenRenewer(cell, DELIVERY, token(-5)).find_refusal(0)


def test_tokens_to_be_refused_that_cannot_be_put_there_are_no_failure_of_the_product(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = dataclasses.replace(cell, settings=Settings())

    def fail(*_: object) -> None:
        raise TestbedError("host frontend: gone")

    monkeypatch.setattr(token_renewal, "_deliver_test_tokens", fail)
    assert not token_renewal.TokenRenewer(cell, DELIVERY, token(3000)).may_start(scenario())
    case, left_out = cell.journal.cases
    assert (case.outcome, case.exit_code, case.message) == (Outcome.ERROR, 5, "not started: host frontend: gone")
    assert left_out.outcome is Outcome.SKIPPED


def test_a_run_that_goes_on_after_a_pause_renews_before_it_begins(
    cell: Cell, answers: list[ItbError | Token]
) -> None:
    fresh = token(3600)
    answers.append(fresh)
    with token_renewal.keep_fresh(cell, token(-5)) as renewer:
        assert renewer
        assert renewer.may_start(scenario())
    (case,) = cell.journal.cases
    assert (case.key, case.message) == (
        phases_token.stays_valid(DELIVERY),
        "renewed after the old one had expired",
    )
    assert cell.rundir.load(values.TOKEN) == fresh.model_copy(update={"role": "frontend", "path": "/t"})


def test_a_host_that_is_gone_does_not_end_a_run_that_goes_on_after_a_pause(
    cell: Cell, hosts: Hosts, answers: list[ItbError | Token]
) -> None:
    """A look at the testbed makes another error of a renewal that failed for it."""
    cell.journal.find_testbed_fault = lambda _role, _seen: "the disk is full"
    hosts.unreachable = {"factory"}
    answers += [token(3600), token(3600)]  # one more is asked for in the background
    with token_renewal.keep_fresh(cell, token(-5)) as renewer:
        assert renewer
        assert not renewer.may_start(scenario())
        assert renewer.may_start(scenario(needs_token=False))
    assert (cell.journal.cases[0].key, cell.journal.cases[0].exit_code) == (phases_token.stays_valid(DELIVERY), 5)
    assert any(case.message.startswith("not started: ") for case in cell.journal.cases)


def test_a_hook_that_fails_is_never_the_testbeds_fault(cell: Cell, answers: list[ItbError | Token]) -> None:
    cell.journal.find_testbed_fault = lambda _role, _seen: "host factory: gone"
    answers.append(AcquireError("hook x: no", cause=AcquireCause.HOOK))
    with pytest.raises(TokenError):
        token_renewal.TokenRenewer(cell, DELIVERY, token(100)).renew()
    assert [case.exit_code for case in cell.journal.cases] == [6]


def test_a_scenario_has_the_token_replaced_by_others_with_other_times(
    cell: Cell, hosts: Hosts, answers: list[ItbError | Token]
) -> None:
    """Limits of time are three times as long on a slow machine; the run's own token comes back in the end."""
    ours = dataclasses.replace(cell, settings=Settings(timeout_factor=3))
    action = token_renewal.token_action(ours)["token"]
    host = ours.host("frontend")
    step = Step(name="a", role="frontend", action="token", token=IssuedToken(lifetime=20, valid_in=10))
    first = action(host, step)
    begins, ends = (decode_token(hosts.holds["/u"]).claims[name] - time.time() for name in ("nbf", "exp"))
    assert (round(begins, -1), round(ends, -1)) == (30, 60)
    assert "will be from" in first.message
    second = action(host, Step(name="b", role="frontend", action="token"))
    assert second.env["ITB_TOKEN_ENDS"].split()[0] == first.env["ITB_TOKEN_ENDS"]
    assert len(second.env["ITB_TOKEN_ENDS"].split()) == 2
    assert hosts.holds["/t"] == hosts.holds["/u"] != "old"
    answers.append(token(3600))
    assert token_renewal.TokenRenewer(cell, DELIVERY, token(3000)).may_start(scenario())
    assert hosts.holds == {"/t": "new0", "/u": "new0"}


def test_another_issuer_gives_scenarios_no_tokens_with_other_times(cell: Cell) -> None:
    assert token_renewal.token_action(cell) == {}

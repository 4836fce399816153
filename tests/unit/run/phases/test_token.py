"""Hooks checked, and tokens acquired, before anything starts; tokens delivered to every role."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import pytest

from itb.config.product import TokenDelivery, TokenPlace
from itb.config.settings import Settings
from itb.containers.host import Host
from itb.errors import TestbedError, TokenError, UsageError
from itb.model import Outcome
from itb.run.cell import Cell
from itb.run.phases import token as phases_token
from itb.run.phases.token import CheckedToken
from itb.rundir.checkpoints import Checkpoints
from itb.tokens.request import Secret

PLACES = (TokenPlace(role="factory", path="/u", owner="a:b"), TokenPlace(role="factory", path="/v"))
WANTED = TokenDelivery(role="frontend", path="/t", also=PLACES)


FAULTY = Settings(token={"local": {"fault": "expired"}})


@pytest.fixture
def cell(new_cell: Callable[..., Cell]) -> Cell:
    """A cell whose product wants a token at three places."""
    return new_cell(Settings(token_min_lifetime=60), token=WANTED)


def refused(cell: Cell) -> Cell:
    """A cell of the same run, in a process that has done nothing yet, whose hook gives a token that is refused."""
    other = dataclasses.replace(cell, settings=FAULTY, checkpoints=Checkpoints(cell.rundir))
    vars(other)["testbed"] = cell.testbed
    return other


@pytest.fixture
def delivered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What went where; ``role gone`` cannot be reached."""
    deliveries: list[tuple[object, ...]] = []

    def deliver(host: Host, secret: Secret, *, path: str, owner: str) -> bool:
        if path == "/u" and owner == "gone":
            raise TestbedError("host factory: gone")
        deliveries.append((host.role, path, owner, secret.reveal()))
        return True

    monkeypatch.setattr(phases_token, "deliver", deliver)
    monkeypatch.setattr(phases_token, "_map_issuer", lambda *_: None)
    return deliveries


def test_a_token_asked_for_before_there_is_a_host_goes_to_every_role(
    cell: Cell, delivered: list[tuple[object, ...]]
) -> None:
    checked = phases_token.acquire_token(cell)
    assert checked is not None
    (case,) = cell.journal.cases
    assert case.message.startswith(f"hook local, for {cell.ce_address}: https://tokens.glideinwms.org/itb, ")
    text = checked.secret.reveal()
    token = phases_token.deliver_token(cell, checked)
    assert token is not None
    assert (token.role, token.path) == ("frontend", "/t")
    where = [("frontend", "/t", "root:root"), ("factory", "/u", "a:b"), ("factory", "/v", "root:root")]
    assert set(delivered) == {(*place, text) for place in where}
    assert [case.name for case in cell.journal.cases[1:]].count("token delivered to /u") == 1


def test_a_product_without_a_token_is_asked_for_none(new_cell: Callable[..., Cell]) -> None:
    assert phases_token.acquire_token(new_cell(FAULTY)) is None


def test_a_role_a_token_does_not_reach_is_a_case_of_its_own(
    new_cell: Callable[..., Cell], delivered: list[tuple[object, ...]]
) -> None:
    unreachable = TokenPlace(role="factory", path="/u", owner="gone")
    cell = new_cell(token=TokenDelivery(role="frontend", path="/t", also=(unreachable,)))
    with pytest.raises(TestbedError, match="host factory: gone"):
        phases_token.deliver_token(cell, None)
    assert len(delivered) == 1
    kinds = {case.role: case.outcome for case in cell.journal.cases if "delivered" in case.name}
    assert kinds == {"frontend": Outcome.PASSED, "factory": Outcome.ERROR}


def test_a_refused_token_is_known_before_anything_starts(cell: Cell) -> None:
    with pytest.raises(TokenError, match="expired at"):
        phases_token.acquire_token(refused(cell))
    assert [(case.phase, case.exit_code) for case in cell.journal.cases] == [("token", 6)]


def test_a_token_that_became_old_meanwhile_is_renewed_before_it_is_handed_out(
    cell: Cell, delivered: list[tuple[object, ...]]
) -> None:
    old = phases_token.acquire_token(cell)
    assert old is not None
    now = int(time.time())
    aged = CheckedToken(old.token.model_copy(update={"issued": now - 3600, "expires": now + 9}), old.secret)
    token = phases_token.deliver_token(cell, aged)
    assert token is not None
    assert token.expires > now + 3000
    assert cell.journal.cases[1].key == phases_token.stays_valid(WANTED)
    assert {delivery[3] for delivery in delivered} != {old.secret.reveal()}
    # If that cannot be done the old one does, and the report says so.
    delivered.clear()
    phases_token.deliver_token(refused(cell), aged)
    assert {delivery[3] for delivery in delivered} == {old.secret.reveal()}
    failed = [case for case in cell.journal.cases if case.exit_code]
    assert [(case.key, case.exit_code) for case in failed] == [(phases_token.stays_valid(WANTED), 6)]
    assert "the old token serves until" in failed[0].message
    expired = CheckedToken(aged.token.model_copy(update={"expires": now - 9}), aged.secret)
    with pytest.raises(TokenError, match="the old token has expired"):
        phases_token.deliver_token(refused(cell), expired)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"token_hook": "lokal"}, "unknown token hook 'lokal'; did you mean 'local'"),
        ({"token_hook": "vault"}, "key 'server' is missing"),
        ({"token_hook": "/no/such/hook"}, "token hook '/no/such/hook': /no/such/hook does not exist"),
        ({"token_hook": "/dev/null"}, "token hook /dev/null: is not a file"),
        ({"token_hook": "/"}, "token hook /: is not a file"),
        ({"token_hook": __file__}, "is not executable"),
        ({"token_hook": "command", "token": {"command": {"command": ["no-such-hook"]}}}, "does not exist"),
        ({"token": {"local": {"lifetme": 90}}}, "unknown key 'lifetme'; did you mean 'lifetime'"),
        ({"token": {"local": {"fault": "expierd"}}}, "fault"),
        ({"token": {"local": {"lifetime": 0}}}, "lifetime"),
    ],
)
def test_a_hook_that_cannot_be_is_refused_before_anything_starts(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        phases_token.check_hook(Settings.model_validate(values))


def test_a_hook_that_can_be_is_not_called_for_that() -> None:
    phases_token.check_hook(Settings())
    phases_token.check_hook(Settings(token={"local": {"lifetime": 90, "fault": "expired"}}))
    phases_token.check_hook(Settings(token_hook="/bin/false"))


def test_a_refused_token_is_never_the_testbeds_fault(cell: Cell) -> None:
    """There is no testbed yet: a look at it would find that all its hosts are missing."""
    cell.journal.find_testbed_fault = lambda _role, _seen: "host frontend: gone"
    with pytest.raises(TokenError, match="expired at"):
        phases_token.acquire_token(refused(cell))
    assert [case.exit_code for case in cell.journal.cases] == [6]

"""Keeps the token valid while scenarios run: it is renewed, and delivered again after a scenario replaced it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from itb.config.product import TokenDelivery
from itb.config.scenario import IssuedToken, Scenario, Step
from itb.containers.host import FileSpec, Host
from itb.errors import UNDECIDED, InstallError, InterruptedRunError, ItbError, TestbedError, TokenError
from itb.model import Token
from itb.roles import CE
from itb.run.cell import Cell
from itb.run.phases.token import (
    LOCAL,
    deliver_renewed,
    request_token,
    save_claims,
    stays_valid,
    token_request,
)
from itb.run.phases.up import load_issuer
from itb.scenario.execution import Action, Done
from itb.scenario.step_cases import planned_cases
from itb.tokens import renewal
from itb.tokens.ce import find_refusal
from itb.tokens.delivery import deliver_instead, is_ours
from itb.tokens.issuer import FAULTS, SKEW
from itb.tokens.parse import decode_token
from itb.tokens.request import Secret
from itb.util import when

BAD_TOKENS = "/var/lib/itb/tokens"  # folder on the token's role: a good token, and some a CE must refuse


class TokenRenewer:
    """Renews the token, each time as a case; after a failure, decides which scenarios may still start."""

    def __init__(self, cell: Cell, delivery: TokenDelivery, token: Token) -> None:
        self.token = token
        self.problem = ""
        self._cell, self._delivery = cell, delivery
        self._secret: Secret | None = None
        self._case = stays_valid(delivery)
        # The last try of an earlier attempt may have failed after this token was issued: go on with its case.
        last = next((case for case in reversed(cell.journal.cases) if case.key == self._case), None)
        begun = last if last and last.is_bad and int(last.started) > token.issued else None
        self._failed, self._last_problem = (len(begun.bad_tries), begun.message) if begun else (0, "")
        self._lock = threading.Lock()

    def renew(self) -> Token:
        """Acquire and deliver a new token; if that fails, the case says how long the old one is still valid.

        Further tries are tries of the same case, until one succeeds; the case
        passes then if the old token had not expired by that time.
        """
        left = self.token.expires - time.time()
        is_next_try = self._failed > 0
        with self._lock, self._cell.journal.case(*self._case, supersedes=is_next_try) as case:
            try:
                token, note = self._replace(case.note, force=False)
            except InterruptedRunError:
                raise
            except ItbError as error:
                self._failed += 1
                left = self.token.expires - time.time()
                result = renewal.Renewal(problem=error.message, left=left, failed=self._failed)
                self._last_problem = error.message
                # Only where no token was acquired it says nothing of the candidate.
                kind = type(error) if isinstance(error, InstallError | TestbedError) else TokenError
                raise error.turned_into(kind, result.message) from None
            result = renewal.Renewal(token=token, left=left, failed=self._failed, problem=self._last_problem)
            self._failed = 0
            if result.gap:
                case.error(result.message, exit_code=TokenError.exit_code)
            else:
                case.passed("; ".join(text for text in (result.message, note) if text))
        return token

    def renew_first(self) -> None:
        """Renew before any scenario starts; if that fails, go on with the old token."""
        try:
            self.renew()
        except (TokenError, InstallError, TestbedError) as error:
            self.problem = error.message

    def _replace(self, note: Callable[[str], None], *, force: bool) -> tuple[Token, str]:
        try:
            checked = request_token(self._cell, self._delivery, note=note)
        except InterruptedRunError:
            raise
        except ItbError as error:
            raise error.turned_into(TokenError, error.message) from None
        note_on_places = deliver_renewed(self._cell, self._delivery.places, checked.secret, force=force)
        self.token = save_claims(self._cell, self._delivery, checked.token)
        self._secret = checked.secret
        return self.token, note_on_places

    def report(self, result: renewal.Renewal) -> None:
        """Remember whether the last renewal failed."""
        self.problem = result.problem if result.token is None else ""

    def may_start(self, scenario: Scenario) -> bool:
        """Return whether a scenario may start; report why not if the token would expire during one of its steps.

        Every scenario gets new tokens that a CE must refuse: the one that expires soon must not have expired.
        """
        if not scenario.needs.token:
            return True
        factor = self._cell.settings.timeout_factor
        try:
            if self.problem:
                renewal.require_lifetime(self.token, longest_wait(scenario) * factor, "one step of it")
            self._restore()
            if has_bad_tokens(self._cell):
                _deliver_test_tokens(self._cell, self._delivery)
        except (TokenError, InstallError, TestbedError) as caught:
            # What fails on a host outside of a case is told by this one, but happened where it did.
            error = self._cell.journal.diagnose(caught.role, caught) if caught.role else caught
            first, *others = planned_cases(scenario, self._cell.services)
            begin = f"{UNDECIDED}: " if error.message.startswith(UNDECIDED) else ""
            message = f"{begin}not started: {error.message.removeprefix(begin)}"
            with self._cell.journal.case(*first) as case:
                case.set_from_error(error.turned_into(type(error), message))
            for key in others:
                with self._cell.journal.case(*key) as case:
                    case.skip(f"scenario {scenario.name} was not started")
            return False
        return True

    def find_refusal(self, since: float) -> str:
        """Return a line on what the CE has refused since a time, for a failed step that needs the token.

        Raises TokenError if the token has expired, which a run only lets happen when it cannot be renewed.
        """
        if self.token.expires <= time.time():
            raise TokenError(f"the token expired at {when.clock(self.token.expires)} and could not be renewed")
        try:
            return find_refusal(self._cell.host(CE), self.token.issuer, since=since)
        except InterruptedRunError:
            raise
        except TestbedError:
            return ""  # the CE cannot be asked; the step's own evidence counts

    def conclude(self) -> None:
        """Report that no renewal was due, unless a renewal was reported."""
        if not self._cell.journal.has(self._case):
            with self._cell.journal.case(*self._case) as case:
                minutes = (self.token.expires - time.time()) / 60
                case.passed(f"no renewal was due: {minutes:.0f} minutes left")

    def _restore(self) -> None:
        """Deliver the run's own token again where an earlier scenario replaced or removed it."""
        places = [place for place in self._delivery.places if not is_ours(self._cell.host(place.role), place.path)]
        if not places:
            return
        with self._lock, self._cell.journal.case(*self._case) as case:
            if self._secret is None:
                self._replace(case.note, force=True)
            else:
                deliver_renewed(self._cell, places, self._secret, force=True)
            where = ", ".join(f"{place.path} on {place.role}" for place in places)
            case.passed(f"put back where a scenario left another: {where}")


def has_bad_tokens(cell: Cell) -> bool:
    """Return whether scenarios get tokens that a CE must refuse: only the run's own issuer makes them."""
    return cell.settings.token_hook == LOCAL and cell.product.token is not None


def _deliver_test_tokens(cell: Cell, delivery: TokenDelivery) -> None:
    """Deliver a good token and some that a CE must refuse to where scenarios find them."""
    host, issuer, request = cell.host(delivery.role), load_issuer(cell), token_request(cell, delivery)
    tokens = {fault: issuer.mint_faulty(request, fault) for fault in FAULTS}
    tokens["valid"] = issuer.mint_for(request)
    # Anew: a folder in a token's place would not be replaced.
    script = 'rm --recursive --force -- "$1"; install --directory --mode=700 -- "$1"'
    host.call("sh", "-c", script, "-", BAD_TOKENS)
    host.put(
        *(FileSpec(f"{BAD_TOKENS}/{name}", secret.encode() + b"\n", mode=0o600) for name, secret in tokens.items())
    )


def token_action(cell: Cell) -> dict[str, Action]:
    """Return the action of scenarios that replaces the product's token by one with other times.

    There is none where the tokens are another issuer's.
    """
    delivery = cell.product.token
    if delivery is None or not has_bad_tokens(cell):
        return {}
    factor, ends = cell.settings.timeout_factor * cell.product.patience, list[str]()

    def issue(_host: Host, step: Step) -> Done:
        times = step.token or IssuedToken()
        lifetime = None if times.lifetime is None else round(times.lifetime * factor)
        begin = -SKEW if times.valid_in is None else times.valid_in * (factor if times.valid_in > 0 else 1)
        request = token_request(cell, delivery)
        secret = Secret(load_issuer(cell).mint_for(request, lifetime=lifetime, valid_in=begin))
        end = int(decode_token(secret.reveal()).claims["exp"])
        for place in delivery.places:
            deliver_instead(cell.host(place.role), secret, path=place.path, owner=place.owner)
        ends.append(str(end))
        since = "is" if begin <= 0 else f"will be from {when.clock(time.time() + begin)} on"
        message = f"a token that {since} valid, and ends at {when.clock(end)}"
        return Done(message, {"ITB_TOKEN_ENDS": " ".join(ends)})

    return {"token": issue}


def longest_wait(scenario: Scenario) -> float:
    """Return the longest time limit of a step in seconds: a token must not expire during a step."""
    return max(step.eventually.within if step.eventually else step.timeout for step in scenario.steps)


@contextmanager
def keep_fresh(cell: Cell, token: Token | None) -> Iterator[TokenRenewer | None]:
    """Renew the run's token before it expires while the block runs; yields None for a run without a token."""
    delivery = cell.product.token
    if token is None or delivery is None:
        yield None
        return
    renewer = TokenRenewer(cell, delivery, token)
    if renewal.renewal_time(token) <= time.time():  # after a pause, the token may have expired
        renewer.renew_first()
    with renewal.keep_renewed(renewer.token, renewer.renew, renewer.report):
        yield renewer
    renewer.conclude()

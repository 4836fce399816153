"""The token of a run: acquired, mapped by the CE, delivered, and kept fresh while scenarios run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from itb import configuration, data
from itb.cell import BAD_TOKENS, CE, Cell
from itb.config import Settings
from itb.definitions import Scenario, TokenDelivery
from itb.errors import InterruptedRunError, ItbError, TestbedError, TokenError
from itb.hosts import FileSpec
from itb.model import Token
from itb.phases import load_issuer, testbeds_fault
from itb.redact import remember
from itb.runners import Runner
from itb.tokens import renewal
from itb.tokens.acquire import acquire
from itb.tokens.ce import issuer_problem, refusal
from itb.tokens.delivery import deliver
from itb.tokens.hooks import find_provider
from itb.tokens.issuer import FAULTS, URL
from itb.tokens.providers.base import Context
from itb.tokens.request import Secret, TokenRequest

LOCAL = "local"


def check_hook(chosen: Settings) -> None:
    """Refuse a hook that does not exist or is not configured, before anything starts; UsageError."""
    find_provider(chosen.token_hook, hook_context(chosen, Runner()))


def hook_context(chosen: Settings, runner: Runner) -> Context:
    """What hooks may use outside of a run: there is no issuer of our own."""
    folders = tuple(Path(folder).expanduser() for folder in chosen.hooks)
    return Context(runner=runner, options=chosen.token, hook_dirs=folders)


def acquire_token(cell: Cell) -> Token | None:
    """Get the SciToken through the managed-token hook and put it where the product wants it."""
    wanted = cell.product.token
    if wanted is None:
        return None
    name = f"SciToken from hook {cell.settings.token_hook!r} is good for {cell.ce_address}"
    with cell.journal.case("token", wanted.role, name) as trial:
        token, secret = _acquire(cell, wanted, note=trial.note)
        trial.passed(_describe(token))
    _introduce(cell, token.issuer)
    with cell.journal.case("token", wanted.role, f"token delivered to {wanted.path}"):
        token = deliver(cell.host(wanted.role), secret, token, path=wanted.path, owner=wanted.owner)
    cell.rundir.save("token", token)
    return token


def _acquire(cell: Cell, wanted: TokenDelivery, *, note: Callable[[str], None]) -> tuple[Token, Secret]:
    folders = tuple(Path(folder).expanduser() for folder in cell.settings.hooks)
    context = Context(
        runner=cell.engine.runner,
        options=cell.settings.token,
        hook_dirs=folders,
        issuer=load_issuer(cell),
        ca=cell.rundir.tokens / "ca.pem",
    )
    return acquire(cell.settings.token_hook, _request(cell, wanted), context, note=note)


def _request(cell: Cell, wanted: TokenDelivery) -> TokenRequest:
    least = cell.settings.token_min_lifetime
    return TokenRequest(
        run_id=cell.rundir.id,
        ce=cell.ce_address,
        audience=cell.ce_address,
        issuer=URL if cell.settings.token_hook == LOCAL else "",
        scopes=wanted.scopes,
        profile=wanted.profile,
        min_lifetime_s=wanted.min_lifetime if least is None else least,
    )


def _introduce(cell: Cell, issuer: str) -> None:
    """Have the CE map the issuer's tokens and look that it can read the issuer's keys.

    Which issuer it is, is known from the token only.  The CE's script knows
    the run's own by itself, and is run again for another.
    """
    host, script = cell.host(CE), cell.platform.ce.configure
    if issuer != URL:
        with cell.journal.case("token", CE, f"CE maps tokens of {issuer}"), testbeds_fault():
            configuration.configure(
                host,
                data.folder("build_ws") / "ce" / script,
                {**cell.environment(CE), "ITB_TOKEN_ISSUERS": f"{URL} {issuer}"},
                log=cell.rundir.host(CE) / "configure-issuer.log",
                timeout=cell.limits("configure"),
            )
    with cell.journal.case("token", CE, f"CE can read the keys of {issuer}"):
        if problem := issuer_problem(host, issuer):
            raise TestbedError(problem)


def _deliver_choice(cell: Cell, wanted: TokenDelivery) -> None:
    """Put a good token and some a CE must refuse where a scenario finds them: only our own issuer makes such."""
    host, issuer, request = cell.host(wanted.role), load_issuer(cell), _request(cell, wanted)
    tokens = {fault: issuer.mint_faulty(request, fault) for fault in FAULTS}
    tokens["valid"] = issuer.mint_for(request)
    for secret in tokens.values():
        remember(secret)
    host.run(["install", "--directory", "--mode=700", BAD_TOKENS])
    host.put(
        *(
            FileSpec(f"{BAD_TOKENS}/{name}", secret.encode() + b"\n", mode=0o600)
            for name, secret in tokens.items()
        )
    )


def _describe(token: Token) -> str:
    checked = "signature verified" if token.verified else "signature unverified"
    minutes = (token.expires - time.time()) / 60
    return f"{token.issuer}, {' '.join(token.scopes)}, {minutes:.0f} minutes left, {checked}"


class _Renewals:
    """Every renewal is a case; the last one's problem decides what may still start."""

    def __init__(self, cell: Cell, wanted: TokenDelivery, token: Token) -> None:
        self.token = token
        self.problem = ""
        self._cell, self._wanted = cell, wanted
        self._count = 0

    def renew(self) -> Token:
        """Get and deliver a new token; if that fails, the case says how long the old one serves."""
        self._count += 1
        left = self.token.expires - time.time()
        name = f"SciToken renewal {self._count}"
        with self._cell.journal.case("token", self._wanted.role, name) as trial:
            try:
                self.token = self._replace(trial.note)
            except InterruptedRunError:
                raise
            except ItbError as error:
                said = renewal.Renewal(problem=error.message, left=self.token.expires - time.time()).message
                raise TokenError(said, hint=error.hint, evidence=error.evidence, log=error.log) from None
            trial.passed(renewal.Renewal(token=self.token, left=left).message)
        return self.token

    def renew_first(self) -> None:
        """Renew before anything starts; if that fails, the old one has to do."""
        try:
            self.renew()
        except TokenError as error:
            self.problem = error.message

    def _replace(self, note: Callable[[str], None]) -> Token:
        token, secret = _acquire(self._cell, self._wanted, note=note)
        host = self._cell.host(self._wanted.role)
        token = deliver(host, secret, token, path=self._wanted.path, owner=self._wanted.owner)
        self._cell.rundir.save("token", token)
        return token

    def report(self, seen: renewal.Renewal) -> None:
        """Remember whether the last renewal failed."""
        self.problem = seen.problem

    def may_start(self, scenario: Scenario) -> bool:
        """Say no, as a case, to a scenario that would outlive a token that cannot be renewed.

        Every scenario gets its own tokens to be refused: one that soon expires must not have expired.
        """
        if not scenario.needs.token:
            return True
        try:
            if self.problem:
                renewal.require(self.token, longest_wait(scenario) * self._cell.factor, "one step of it")
            if self._cell.settings.token_hook == LOCAL:
                _deliver_choice(self._cell, self._wanted)
        except (TokenError, TestbedError) as error:
            with self._cell.journal.case("test", "", f"{scenario.name}: {scenario.title}") as trial:
                trial.error(f"not started: {error.message}", exit_code=error.exit_code, evidence=error.evidence)
            return False
        return True


def longest_wait(scenario: Scenario) -> float:
    """Seconds the scenario's most patient step may take: a step is what a token has to outlive."""
    return max(step.eventually.within if step.eventually else step.timeout for step in scenario.steps)


@contextmanager
def kept_fresh(cell: Cell) -> Iterator[Callable[[Scenario], bool]]:
    """Renew the run's token before it is needed while the block runs; yields whether a scenario may start."""
    token, wanted = cell.rundir.saved("token", Token), cell.product.token
    if token is None or wanted is None:
        yield lambda _scenario: True
        return
    renewals = _Renewals(cell, wanted, token)
    if renewal.due(token) <= time.time():  # a run that goes on after a pause must not begin without
        renewals.renew_first()
    with renewal.kept_fresh(renewals.token, renewals.renew, renewals.report):
        yield renewals.may_start


def why_refused(cell: Cell, since: float) -> str:
    """One line from the CE for a failed step that needs the token: what it refused since then, or ``""``.

    TokenError if the token has expired, which a run only lets happen when it cannot be renewed.
    """
    token = cell.rundir.saved("token", Token)
    if token is None:
        return ""
    if token.expires <= time.time():
        ended = time.strftime("%H:%M:%S UTC", time.gmtime(token.expires))
        raise TokenError(f"the token expired at {ended} and could not be renewed")
    try:
        return refusal(cell.host(CE), token.issuer, since=since)
    except InterruptedRunError:
        raise
    except TestbedError:
        return ""  # a CE that is gone says nothing; the step's own evidence stands

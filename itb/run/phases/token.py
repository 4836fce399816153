"""The token of a run: asked for before anything starts, mapped by the CE, delivered to who needs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from itb.config.product import TokenDelivery, TokenPlace
from itb.config.settings import Settings
from itb.data import shipped
from itb.errors import InterruptedRunError, ItbError, TestbedError, TokenError
from itb.install import configure
from itb.model import Phase, Token
from itb.process.runner import Runner
from itb.run.cell import CE, Cell
from itb.run.parallel import in_parallel
from itb.run.phases.up import load_issuer, testbeds_fault
from itb.rundir import checkpoints, values
from itb.tokens import renewal
from itb.tokens.acquire import acquire
from itb.tokens.ce import issuer_problem
from itb.tokens.delivery import deliver
from itb.tokens.issuer import URL
from itb.tokens.lookup import find_provider
from itb.tokens.providers.base import Context
from itb.tokens.request import Secret, TokenRequest
from itb.util.files import expand

LOCAL = "local"
RENEWAL = "SciToken renewal "  # and a number: every try of one renewal is the same case


@dataclass(frozen=True)
class CheckedToken:
    """A checked token: what may be said of it, and itself, which is in memory only."""

    token: Token
    secret: Secret


def check_hook(chosen: Settings) -> None:
    """Refuse a hook that does not exist or is not configured, before anything starts; UsageError."""
    find_provider(chosen.token_hook, hook_context(chosen, Runner()))


def hook_context(chosen: Settings, runner: Runner) -> Context:
    """What hooks may use outside of a run: there is no issuer of our own."""
    folders = tuple(expand(folder) for folder in chosen.hooks)
    return Context(runner=runner, options=chosen.token, hook_dirs=folders)


def ask(opened: Cell) -> CheckedToken | None:
    """Get the SciToken through the managed-token hook and check it; None for a product without one.

    It takes no host for that, so a whole run asks first: a hook that is
    missing or wrong and a token that is refused are known in seconds.
    """
    wanted = opened.product.token
    if wanted is None or _stands(opened):
        return None
    name = f"SciToken from hook {opened.settings.token_hook!r} is good for {opened.ce_address}"
    with opened.journal.case(Phase.TOKEN, wanted.role, name) as trial:
        checked = request(opened, wanted, note=trial.note)
        trial.passed(_describe(checked.token))
    return checked


def hand_out(cell: Cell, checked_token: CheckedToken | None) -> Token | None:
    """Put the token that :func:`ask` has got where the product wants it, on every role."""
    wanted = cell.product.token
    if wanted is None:
        return None
    roles = [CE, *(place.role for place in wanted.places)]
    return cell.value_once(
        checkpoints.TOKEN,
        values.TOKEN,
        lambda: _hand_out(cell, wanted, checked_token),
        on=roles,
        holds=lambda _token: _stands(cell),
    )


def _stands(cell: Cell) -> bool:
    """True if a resumed run has delivered a token that need not be renewed yet."""
    token = cell.rundir.readable(values.TOKEN) if cell.checkpoints.is_done(checkpoints.TOKEN) else None
    return token is not None and renewal.due(token) > time.time()


def _hand_out(cell: Cell, wanted: TokenDelivery, checked: CheckedToken | None) -> Token:
    checked = ask(cell) if checked is None else _fresh(cell, wanted, checked)
    assert checked is not None
    _introduce(cell, checked.token.issuer)

    def one(place: TokenPlace) -> None:
        with cell.journal.case(Phase.TOKEN, place.role, f"token delivered to {place.path}"):
            deliver(cell.host(place.role), checked.secret, path=place.path, owner=place.owner)

    in_parallel(wanted.places, one)
    return keep_record(cell, wanted, checked.token)


def keep_record(cell: Cell, wanted: TokenDelivery, token: Token) -> Token:
    """Write down what may be said of a token that has been delivered."""
    token = token.model_copy(update={"role": wanted.role, "path": wanted.path})
    cell.rundir.save(values.TOKEN, token)
    return token


def request(cell: Cell, wanted: TokenDelivery, *, note: Callable[[str], None]) -> CheckedToken:
    """Ask the run's hook for a token and check what it gives."""
    folders = tuple(expand(folder) for folder in cell.settings.hooks)
    context = Context(
        runner=cell.engine.runner,
        options=cell.settings.token,
        hook_dirs=folders,
        issuer=load_issuer(cell),
        ca=cell.rundir.tokens / "ca.pem",
    )
    return CheckedToken(*acquire(cell.settings.token_hook, asked(cell, wanted), context, note=note))


def asked(cell: Cell, wanted: TokenDelivery) -> TokenRequest:
    """What the run asks a hook for."""
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


def _fresh(cell: Cell, wanted: TokenDelivery, checked: CheckedToken) -> CheckedToken:
    """Renew a token that has become old while the hosts were made; while it lives it does, if that fails."""
    if renewal.due(checked.token) > time.time():
        return checked
    with cell.journal.case(Phase.TOKEN, wanted.role, next_renewal(cell), supersedes=True) as trial:
        left = checked.token.expires - time.time()
        try:
            newer = request(cell, wanted, note=trial.note)
        except InterruptedRunError:
            raise
        except ItbError as error:
            left = checked.token.expires - time.time()
            said = renewal.Renewal(problem=error.message, left=left).message
            if left <= 0:
                raise as_token_error(said, error) from None
            trial.error(said, exit_code=TokenError.exit_code, evidence=error.evidence, log=error.log)
            return checked
        trial.passed(renewal.Renewal(token=newer.token, left=left).message)
    return newer


def as_token_error(message: str, error: ItbError) -> TokenError:
    """Return an error of the token with more to say than the one that caused it."""
    made = TokenError(message, hint=error.hint, evidence=error.evidence, log=error.log)
    made.sure = error.sure
    return made


def next_renewal(cell: Cell) -> str:
    """Name of the case of the renewal that is due: its number follows that of the last one that came about."""
    done = [case for case in cell.journal.cases if case.name.startswith(RENEWAL) and not case.exit_code]
    return f"{RENEWAL}{len(done) + 1}"


def _introduce(cell: Cell, issuer: str) -> None:
    """Have the CE map the issuer's tokens and look that it can read the issuer's keys.

    Which issuer it is, is known from the token only.  The CE's script knows
    the run's own by itself, and is run again for another.
    """
    host, script = cell.host(CE), cell.platform.ce.configure
    if issuer != URL:
        with cell.journal.case(Phase.TOKEN, CE, f"CE maps tokens of {issuer}"), testbeds_fault():
            configure.configure(
                host,
                shipped.folder("build_ws") / "ce" / script,
                {**cell.facts.environment(CE), "ITB_TOKEN_ISSUERS": f"{URL} {issuer}"},
                log=cell.rundir.host(CE) / "configure-issuer.log",
                timeout=cell.limits("configure"),
            )
    with cell.journal.case(Phase.TOKEN, CE, f"CE can read the keys of {issuer}"):
        if problem := issuer_problem(host, issuer):
            raise TestbedError(problem)


def _describe(token: Token) -> str:
    checked = "signature verified" if token.verified else "signature unverified"
    minutes = (token.expires - time.time()) / 60
    return f"{token.issuer}, {' '.join(token.scopes)}, {minutes:.0f} minutes left, {checked}"


def deliver_renewed(cell: Cell, places: Sequence[TokenPlace], secret: Secret, *, force: bool) -> str:
    """Put a newer token on all these places at once; TokenError naming every role it did not reach.

    Returns what is to be said of places where somebody else's token stays.
    """

    def one(place: TokenPlace) -> tuple[str, str]:
        try:
            host = cell.host(place.role)
            put = deliver(host, secret, path=place.path, owner=place.owner, force=force)
        except InterruptedRunError:
            raise
        except ItbError as error:
            return f"role {place.role} did not get it ({error.message})", ""
        return "", "" if put else f"{place.path} on {place.role} holds what a scenario put there, which stays"

    said = in_parallel(places, one)
    problems = [problem for problem, _ in said.values() if problem]
    if problems:
        reached = [place.role for place, (problem, _) in said.items() if not problem]
        more = f"; delivered to {', '.join(reached)}" if reached else ""
        raise TokenError(f"a new token was acquired, but {'; '.join(problems)}{more}")
    return "; ".join(left for _, left in said.values() if left)

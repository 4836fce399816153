"""The phase token: a token is acquired before anything starts, and delivered where the product needs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from itb.config.product import TokenDelivery, TokenPlace
from itb.config.settings import Settings
from itb.containers import firewall
from itb.data import shipped
from itb.errors import InstallError, InterruptedRunError, ItbError, TestbedError, TokenError
from itb.install import configure
from itb.isolation import REMEDY, OutsideIssuer
from itb.model import CaseKey, Token
from itb.phase import Phase
from itb.process.parallel import in_parallel
from itb.process.runner import Runner
from itb.roles import CE
from itb.run.cell import Cell
from itb.run.phases.up import as_testbed_error, load_issuer
from itb.rundir import checkpoints, values
from itb.tokens import lookup, renewal
from itb.tokens.acquire import acquire
from itb.tokens.ce import issuer_problem
from itb.tokens.delivery import deliver
from itb.tokens.issuer import URL
from itb.tokens.providers.base import ProviderContext
from itb.tokens.request import Secret, TokenRequest

LOCAL = "local"
_ISSUER_KNOWN = CaseKey(Phase.TOKEN, CE, "the CE knows the issuer of the token")


def _acquired(delivery: TokenDelivery) -> CaseKey:
    return CaseKey(Phase.TOKEN, delivery.role, "a SciToken is acquired and good for the CE")


def _delivered(place: TokenPlace) -> CaseKey:
    return CaseKey(Phase.TOKEN, place.role, f"token delivered to {place.path}")


def stays_valid(delivery: TokenDelivery) -> CaseKey:
    """Return the case that the token is renewed in time, and delivered again after a scenario replaced it."""
    return CaseKey(Phase.TOKEN, delivery.role, "the SciToken stays valid while scenarios run")


def acquired_cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the case that a token is acquired; none for a product without one."""
    return (_acquired(cell.product.token),) if cell.product.token else ()


def delivered_cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the cases that the token is delivered; none for a product without one."""
    if cell.product.token:
        yield _ISSUER_KNOWN
        yield from map(_delivered, cell.product.token.places)


def validity_cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the case that the token stays valid; none for a product without one."""
    return (stays_valid(cell.product.token),) if cell.product.token else ()


@dataclass(frozen=True)
class CheckedToken:
    """A token that was checked: its claims, which reports may show, and its value, which is only in memory."""

    token: Token
    secret: Secret


def check_hook(settings: Settings) -> None:
    """Raise UsageError for a hook that does not exist, cannot be executed or lacks settings."""
    lookup.check_hook(settings.token_hook, provider_context(settings, Runner()))


def provider_context(settings: Settings, runner: Runner) -> ProviderContext:
    """Return what providers may use outside of a run, where there is no issuer of our own."""
    folders = settings.folders("hooks")
    return ProviderContext(runner=runner, options=settings.token, hook_dirs=folders)


def acquire_token(initial_cell: Cell) -> CheckedToken | None:
    """Return the SciToken that the managed-token hook gives, checked; None for a product without one.

    A whole run begins with it, since it needs no host: a hook that is missing
    or wrong, or a token that is refused, ends the run in seconds.
    """
    delivery = initial_cell.product.token
    if delivery is None or _has_fresh_token(initial_cell):
        return None
    with initial_cell.journal.case(*_acquired(delivery)) as case:
        checked = request_token(initial_cell, delivery, note=case.note)
        if checked.token.issuer != URL:
            initial_cell.rundir.save(values.OUTSIDE_ISSUER, OutsideIssuer(url=checked.token.issuer))
        hook, address = initial_cell.settings.token_hook, initial_cell.ce_address
        case.passed(f"hook {hook}, for {address}: {_describe(checked.token)}")
    return checked


def deliver_token(cell: Cell, checked_token: CheckedToken | None) -> Token | None:
    """Deliver the token of :func:`acquire_token` to every role where the product wants it; return its claims."""
    delivery = cell.product.token
    if delivery is None:
        return None
    roles = [CE, *(place.role for place in delivery.places)]
    return cell.value_once(
        checkpoints.TOKEN_DELIVERED,
        values.TOKEN,
        lambda: _deliver_to_places(cell, delivery, checked_token),
        on=roles,
        is_current=lambda _token: _has_fresh_token(cell),
    )


def _has_fresh_token(cell: Cell) -> bool:
    """Return whether an earlier attempt has delivered a token that need not be renewed yet."""
    if not cell.checkpoints.is_done(checkpoints.TOKEN_DELIVERED):
        return False
    token = cell.rundir.load_if_readable(values.TOKEN)
    return token is not None and renewal.renewal_time(token) > time.time()


def _deliver_to_places(cell: Cell, delivery: TokenDelivery, checked_token: CheckedToken | None) -> Token:
    checked_token = acquire_token(cell) if checked_token is None else _renew_if_due(cell, delivery, checked_token)
    assert checked_token is not None
    if cell.settings.token_hook != LOCAL and not cell.testbed.is_isolated():
        raise _open_network(cell, "the packet filter of their network is not set")
    _map_issuer(cell, checked_token.token.issuer)

    def deliver_to(place: TokenPlace) -> None:
        with cell.journal.case(*_delivered(place)):
            deliver(cell.host(place.role), checked_token.secret, path=place.path, owner=place.owner)

    in_parallel(delivery.places, deliver_to)
    return save_claims(cell, delivery, checked_token.token)


def save_claims(cell: Cell, delivery: TokenDelivery, token: Token) -> Token:
    """Save the claims of a token that has been delivered, with its role and path; return them."""
    token = token.model_copy(update={"role": delivery.role, "path": delivery.path})
    cell.rundir.save(values.TOKEN, token)
    return token


def request_token(cell: Cell, delivery: TokenDelivery, *, note: Callable[[str], None]) -> CheckedToken:
    """Ask the run's hook for a token and check the token; TokenError if hosts could send it anywhere."""
    if cell.settings.token_hook != LOCAL and (problem := firewall.why_impossible(cell.engine)):
        raise _open_network(cell, problem)
    folders = cell.settings.folders("hooks")
    context = ProviderContext(
        runner=cell.engine.runner,
        options=cell.settings.token,
        hook_dirs=folders,
        issuer=load_issuer(cell),
        ca=cell.rundir.tokens / "ca.pem",
    )
    return CheckedToken(*acquire(cell.settings.token_hook, token_request(cell, delivery), context, note=note))


def _open_network(cell: Cell, problem: str) -> TokenError:
    return TokenError(
        f"no token of hook {cell.settings.token_hook} for hosts that are not kept from other networks: {problem}",
        hint=f"{REMEDY}; or --token-hook {LOCAL}, whose tokens are good for this run only",
    )


def token_request(cell: Cell, delivery: TokenDelivery) -> TokenRequest:
    """Return the request that the run makes to its hook."""
    min_lifetime = cell.settings.token_min_lifetime
    return TokenRequest(
        run_id=cell.rundir.id,
        ce=cell.ce_address,
        audience=cell.ce_address,
        issuer=URL if cell.settings.token_hook == LOCAL else "",
        scopes=delivery.scopes,
        profile=delivery.profile,
        min_lifetime_s=delivery.min_lifetime if min_lifetime is None else min_lifetime,
    )


def _renew_if_due(cell: Cell, delivery: TokenDelivery, checked: CheckedToken) -> CheckedToken:
    """Renew a token that became old while the hosts were made; if that fails, return it while it is valid."""
    if renewal.renewal_time(checked.token) > time.time():
        return checked
    with cell.journal.case(*stays_valid(delivery)) as case:
        left = checked.token.expires - time.time()
        try:
            newer = request_token(cell, delivery, note=case.note)
        except InterruptedRunError:
            raise
        except ItbError as error:
            left = checked.token.expires - time.time()
            message = renewal.Renewal(problem=error.message, left=left).message
            if left <= 0:
                raise error.turned_into(TokenError, message) from None
            case.set_from_error(error.turned_into(TokenError, message))
            return checked
        case.passed(renewal.Renewal(token=newer.token, left=left).message)
    return newer




def _map_issuer(cell: Cell, issuer: str) -> None:
    """Configure the CE to map the issuer's tokens, and check that it can read the issuer's keys.

    The issuer is known from the token only.  The CE's script has mapped the
    run's own issuer already; it runs again for another one.
    """
    host, script = cell.host(CE), cell.platform.ce.configure
    with cell.journal.case(*_ISSUER_KNOWN) as case:
        if issuer != URL:
            with as_testbed_error():
                configure.configure(
                    host,
                    shipped.folder("build_ws") / "ce" / script,
                    {**cell.script_context.environment(CE), "ITB_TOKEN_ISSUERS": f"{URL} {issuer}"},
                    log=cell.rundir.setup_logs(CE) / "configure-issuer.log",
                    timeout=cell.limits("configure"),
                )
        if problem := issuer_problem(host, issuer):
            raise TestbedError(problem)
        case.passed(f"maps tokens of {issuer}, and can read its keys")


def _describe(token: Token) -> str:
    signature = "signature verified" if token.verified else "signature unverified"
    minutes = (token.expires - time.time()) / 60
    return f"{token.issuer}, {' '.join(token.scopes)}, {minutes:.0f} minutes left, {signature}"


def deliver_renewed(cell: Cell, places: Sequence[TokenPlace], secret: Secret, *, force: bool) -> str:
    """Deliver a newer token to all these places at once; return a note on those that keep a scenario's token.

    Raises InstallError or TestbedError naming every role that did not get it: there is a token, and hosts with
    the candidate are the ones that do not take it.
    """
    errors: list[ItbError] = []

    def deliver_to(place: TokenPlace) -> tuple[str, str]:
        try:
            host = cell.host(place.role)
            is_delivered = deliver(host, secret, path=place.path, owner=place.owner, force=force)
        except InterruptedRunError:
            raise
        except ItbError as error:
            errors.append(error)
            return f"role {place.role} did not get it ({error.message})", ""
        if is_delivered:
            return "", ""
        return "", f"{place.path} on {place.role} holds what a scenario put there, which stays"

    answers = in_parallel(places, deliver_to)
    problems = [problem for problem, _ in answers.values() if problem]
    if problems:
        reached = [place.role for place, (problem, _) in answers.items() if not problem]
        more = f"; delivered to {', '.join(reached)}" if reached else ""
        kind = InstallError if all(isinstance(error, InstallError) for error in errors) else TestbedError
        raise kind(f"a new token was acquired, but {'; '.join(problems)}{more}")
    return "; ".join(note for _, note in answers.values() if note)

"""``itb token try``: runs a provider or hook as a real run does, and reports what it did, without the token."""

from __future__ import annotations

import json
import time
from pathlib import Path

from itb.errors import TokenError
from itb.model import Record
from itb.tokens.check import ClaimCheck, explain, unverified_issuer
from itb.tokens.hook import call_hook, hook_environment
from itb.tokens.lookup import find_provider
from itb.tokens.providers.base import ProviderContext
from itb.tokens.providers.command import HookProvider
from itb.tokens.request import Secret, TokenRequest


class HookReport(Record):
    """The report of one try of a provider or hook; nothing of it is secret.

    ``asked`` is the JSON object that the hook got, ``environment`` the names
    of its variables; ``exit_code`` and ``output_bytes`` are -1 for a provider
    that starts no hook.
    """

    name: str
    asked: str = ""
    environment: tuple[str, ...] = ()
    exit_code: int = -1
    output_bytes: int = -1
    seconds: float
    diagnostics: str = ""
    problem: str = ""
    hint: str = ""
    verdicts: tuple[ClaimCheck, ...] = ()

    @property
    def good(self) -> bool:
        """Return whether a run could use the token."""
        return not self.problem and all(verdict.ok for verdict in self.verdicts)


def try_hook(name: str, request: TokenRequest, context: ProviderContext) -> HookReport:
    """Ask a provider or hook once for a token, without the second and third try of a run.

    Raises UsageError for a name or option that does not exist.
    """
    provider = find_provider(name, context)
    if isinstance(provider, HookProvider):
        return _try_program(provider, request, context)
    started = time.monotonic()
    try:
        secret = provider.obtain(request, timeout=request.deadline_s)
    except TokenError as error:
        return HookReport(
            name=name,
            seconds=time.monotonic() - started,
            problem=error.message,
            hint=error.hint,
            diagnostics=error.evidence,
        )
    seconds = time.monotonic() - started
    keys = provider.jwks(unverified_issuer(secret.reveal()))
    return HookReport(name=name, seconds=seconds, verdicts=tuple(explain(secret.reveal(), request, keys)))


def _try_program(hook: HookProvider, request: TokenRequest, context: ProviderContext) -> HookReport:
    call = call_hook(
        hook.name,
        hook.argv,
        request,
        runner=context.runner,
        timeout=request.deadline_s,
        pass_env=hook.pass_env,
    )
    return HookReport(
        name=hook.name,
        asked=json.dumps(request.model_dump(), indent=1),
        environment=tuple(sorted(hook_environment(request, Path(), hook.pass_env))),
        exit_code=call.returncode,
        output_bytes=call.output_bytes,
        seconds=call.seconds,
        diagnostics=call.diagnostics,
        problem=call.error.message if call.error else "",
        hint=call.error.hint if call.error else "",
        verdicts=_check_secret(hook, call.secret, request),
    )


def _check_secret(hook: HookProvider, secret: Secret | None, request: TokenRequest) -> tuple[ClaimCheck, ...]:
    if secret is None:
        return ()
    keys = hook.jwks(unverified_issuer(secret.reveal()))
    return tuple(explain(secret.reveal(), request, keys))

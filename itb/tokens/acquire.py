"""Acquiring a token: a provider gets it, then it is checked."""

from __future__ import annotations

import time
from collections.abc import Callable

from itb.errors import InterruptedRunError
from itb.model import Token
from itb.tokens.check import preflight, unverified_issuer
from itb.tokens.lookup import find_provider
from itb.tokens.providers.base import Provider, ProviderContext
from itb.tokens.request import AcquireCause, AcquireError, Secret, TokenRequest

TRIES = 3
BACKOFF = (1.0, 4.0)  # seconds before the second and the third try


def acquire(
    name: str,
    request: TokenRequest,
    context: ProviderContext,
    *,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[Token, Secret]:
    """Get a token from the provider or hook ``name`` and check it as a CE would.

    After a temporary failure it tries again, three times in all within
    ``request.deadline_s``; it reports its progress to ``note``.  Raises
    AcquireError (exit code 6) with the cause, UsageError for a name or option
    that does not exist.
    """
    provider = find_provider(name, context)
    secret = _obtain(name, provider, request, context, note)
    issuer = unverified_issuer(secret.reveal())
    note(f"{name}: checking the token")
    keys = provider.jwks(issuer) if issuer.startswith("https://") else None
    return preflight(secret.reveal(), request, keys, provider=name), secret


def _obtain(
    name: str, provider: Provider, request: TokenRequest, context: ProviderContext, note: Callable[[str], None]
) -> Secret:
    deadline = time.monotonic() + request.deadline_s
    for try_number in range(1, TRIES + 1):
        note(f"{name}: asking for a token" + (f", try {try_number} of {TRIES}" if try_number > 1 else ""))
        remaining = deadline - time.monotonic()
        try:
            limited = request.model_copy(update={"deadline_s": max(1, int(remaining))})
            return provider.obtain(limited, timeout=remaining)
        except AcquireError as error:
            pause = BACKOFF[try_number - 1] if try_number < TRIES else 0.0
            remaining = deadline - time.monotonic() - pause
            if error.cause is not AcquireCause.TEMPORARY or try_number == TRIES or remaining < 1:
                if error.cause is AcquireCause.TEMPORARY and try_number > 1:
                    error.message += f" (tried {try_number} times)"
                    error.args = (error.message,)
                raise
            note(f"{error.message}; trying again in {pause:.0f} s")
        if context.runner.stop.event.wait(pause):
            raise InterruptedRunError("interrupted")
    raise AssertionError("the last try returns or raises")

"""What a provider is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from itb.process.runner import Runner
from itb.tokens.https import fetch_jwks
from itb.tokens.issuer import Issuer
from itb.tokens.request import Secret, TokenRequest


@dataclass(frozen=True)
class Context:
    """What providers may use.

    ``options`` are the sections below ``token:`` in the configuration, by
    provider; ``where`` names the configuration in errors; ``hook_dirs`` hold
    a user's own hooks; ``issuer`` is the run's own, for ``local``; ``ca`` a
    file of certificates to believe besides the machine's.
    """

    runner: Runner
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    where: str = "configuration: token"
    hook_dirs: tuple[Path, ...] = ()
    issuer: Issuer | None = None
    ca: Path | None = None


class Provider(Protocol):
    """Gives a token for a request or raises AcquireError naming the cause."""

    def obtain(self, request: TokenRequest, *, timeout: float) -> Secret:
        """Return a token within ``timeout`` seconds; it is not checked yet."""

    def lacks(self) -> str:
        """Say what can be seen to be missing without asking anybody; empty if nothing is."""

    def jwks(self, issuer: str) -> Mapping[str, Any] | None:
        """Return the published keys of an issuer, None where they cannot be had."""


def published_keys(issuer: str, context: Context) -> Mapping[str, Any] | None:
    """Return the keys of the run's own issuer, else what the issuer publishes, None where that cannot be had."""
    own = context.issuer
    if own is not None and issuer == own.url:
        return own.jwks()
    return fetch_jwks(issuer, ca=context.ca)

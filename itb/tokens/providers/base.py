"""The interface of token providers."""

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
    """What a provider may use beside the request.

    ``options`` are the sections below ``token:`` in the configuration, by
    provider; ``where`` names the configuration in errors; ``hook_dirs`` hold
    a user's own hooks; ``issuer`` is the run's own, for ``local``; ``ca`` is a
    file of certificates to trust besides the machine's.
    """

    runner: Runner
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    where: str = "configuration: token"
    hook_dirs: tuple[Path, ...] = ()
    issuer: Issuer | None = None
    ca: Path | None = None


class Provider(Protocol):
    """Returns a token for a request, or raises AcquireError naming the cause."""

    def obtain(self, request: TokenRequest, *, timeout: float) -> Secret:
        """Return an unchecked token within ``timeout`` seconds."""

    def setup_problem(self) -> str:
        """Return what is missing on this machine, without asking a server; empty if nothing is."""

    def jwks(self, issuer: str) -> Mapping[str, Any] | None:
        """Return the published keys of an issuer, None if they are not available."""


def published_keys(issuer: str, context: Context) -> Mapping[str, Any] | None:
    """Return the keys of the run's own issuer, or those another publishes, None if they are not available."""
    own = context.issuer
    if own is not None and issuer == own.url:
        return own.jwks()
    return fetch_jwks(issuer, ca=context.ca)

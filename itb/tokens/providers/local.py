"""The provider ``local``: the run's own issuer makes the token; all is tested but the path to a real issuer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from itb.model import Record
from itb.tokens.issuer import FAULTS
from itb.tokens.providers.base import Provider
from itb.tokens.request import AcquireCause, AcquireError, Secret, TokenRequest


class Options(Record):
    """``token: {local: {...}}`` of the configuration; ``lifetime`` in seconds, an hour by default."""

    subject: str = "itb"
    lifetime: int | None = Field(default=None, gt=0)
    fault: str = Field(default="", pattern=f"^({'|'.join(FAULTS)}|)$")


class LocalProvider(Provider):
    """Mints tokens with the run's own keys, faulty ones if ``fault`` is set."""

    about = "the run's own issuer; proves everything but the path to a real one"
    options_type = Options
    _options: Options

    def obtain(self, request: TokenRequest, *, timeout: float) -> Secret:  # noqa: ARG002 - it takes no time
        """Mint a token."""
        issuer = self._context.issuer
        if issuer is None:
            raise AcquireError(
                "provider local: this run has no issuer",
                cause=AcquireCause.CONFIGURATION,
                hint="the provider local works inside a run only: itb token acquire --run ID",
            )
        if request.issuer and request.issuer != issuer.url:
            raise AcquireError(
                f"provider local: its issuer is {issuer.url}, not {request.issuer}",
                cause=AcquireCause.CONFIGURATION,
            )
        if self._options.fault:
            return Secret(issuer.mint_faulty(request, self._options.fault))
        options = self._options
        return Secret(issuer.mint_for(request, subject=options.subject, lifetime=options.lifetime))

    def setup_problem(self) -> str:
        """Return that it works inside a run only; empty inside one."""
        return "" if self._context.issuer else "inside a run only"

    def jwks(self, issuer: str) -> Mapping[str, Any] | None:  # noqa: ARG002 - there is one issuer only
        """Return the run's own keys."""
        return self._context.issuer.jwks() if self._context.issuer else None

"""The base of token providers: classes in this folder that get a token from one kind of place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from itb.model import Record
from itb.process.runner import Runner
from itb.tokens.https import fetch_jwks
from itb.tokens.issuer import Issuer
from itb.tokens.request import Secret, TokenRequest


@dataclass(frozen=True)
class ProviderContext:
    """What a provider may use beside the request.

    ``options`` are the sections below ``token:`` in the configuration, by
    provider; ``where`` names the configuration in errors; ``hook_dirs`` hold
    the user's hooks; ``issuer`` is the run's own, for ``local``; ``ca`` is a
    file of certificates to trust besides the machine's.
    """

    runner: Runner
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    where: str = "configuration: token"
    hook_dirs: tuple[Path, ...] = ()
    issuer: Issuer | None = None
    ca: Path | None = None


class Provider(ABC):
    """Gets a token for a request.

    ``about`` describes the provider in ``itb token hooks``; ``options_type``
    is the record of its section below ``token:``, which the constructor gets.
    """

    about: ClassVar[str]
    options_type: ClassVar[type[Record]]

    def __init__(self, options: Any, context: ProviderContext) -> None:
        self._options = options
        self._context = context

    @abstractmethod
    def obtain(self, request: TokenRequest, *, timeout: float) -> Secret:
        """Return an unchecked token within ``timeout`` seconds; AcquireError without one."""

    @abstractmethod
    def setup_problem(self) -> str:
        """Return what is missing on this machine, without asking a server; empty if nothing is."""

    def jwks(self, issuer: str) -> Mapping[str, Any] | None:
        """Return the keys of the run's own issuer, or those another publishes; None if they are not available."""
        own = self._context.issuer
        if own is not None and issuer == own.url:
            return own.jwks()
        return fetch_jwks(issuer, ca=self._context.ca)

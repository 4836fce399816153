"""The request to a token provider, the secret that it returns, and the causes of a failure."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from itb.errors import TokenError
from itb.model import Record
from itb.util.known_secrets import remember_token
from itb.util.redact import MARK

PROTOCOL_VERSION: Literal[1] = 1
SIZE_LIMIT = 16384  # bytes; WLCG Bearer Token Discovery: a token is shorter than this

Profile = Literal["scitoken", "wlcg"]
SCOPES: dict[str, tuple[str, ...]] = {
    "scitoken": ("condor:/READ", "condor:/WRITE"),
    "wlcg": ("compute.read", "compute.create", "compute.modify", "compute.cancel"),
}


class TokenRequest(Record):
    """The request for a token; a hook reads it from its standard input as a JSON object.

    ``ce`` and ``audience`` are ``host:port``; an empty ``issuer`` or
    ``subject`` means any; times are in seconds; ``deadline_s`` is for all
    tries together.
    """

    version: Literal[1] = PROTOCOL_VERSION
    run_id: str
    ce: str
    audience: str
    issuer: str = ""
    subject: str = ""
    scopes: tuple[str, ...] = SCOPES["scitoken"]
    profile: Profile = "scitoken"
    min_lifetime_s: int = 1200
    deadline_s: int = 60


class AcquireCause(StrEnum):
    """The cause of a missing token; the first four stand for a hook's exit codes 2 to 5."""

    CONFIGURATION = "configuration"
    PERSON = "a person must act"
    TEMPORARY = "temporary"
    REFUSED = "refused by the issuer"
    HOOK = "the hook itself"  # it broke the protocol
    TOKEN = "the token itself"  # it came, and a CE would refuse it


class AcquireError(TokenError):
    """A provider gave no usable token, for this ``cause``."""

    conclusive = True

    def __init__(self, message: str, *, cause: AcquireCause, hint: str = "", evidence: str = "") -> None:
        super().__init__(message, hint=hint, evidence=evidence)
        self.cause = cause


class Secret:
    """The text of a token, which redaction hides everywhere; only :meth:`reveal` returns it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        remember_token(value)

    def reveal(self) -> str:
        """Return the text, for delivery and for checking; never write it to any output."""
        return self._value

    def __repr__(self) -> str:
        return MARK

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a token is not written anywhere")

"""The permissions that HTCondor derives from a token's profile and scopes.

Sources: experiments (tests/integration/test_tokens_ce.py), scitokens-cpp 1.1
(Enforcer::scope_validator) and HTCondor 23.9.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

COMPUTE = frozenset({"compute.read", "compute.create", "compute.modify", "compute.cancel"})
SUBMIT = COMPUTE - {"compute.read"}
_ACCESS_TOKEN_TYPES = ("at+jwt", "application/at+jwt")
_IMPLIED = {
    "ADMINISTRATOR": ("WRITE", "READ"),
    "DAEMON": ("WRITE", "READ"),
    "WRITE": ("READ",),
    "CONFIG": ("READ",),
    "NEGOTIATOR": ("READ",),
    "ADVERTISE_STARTD": ("READ",),
}
# Without a profile, a CE refuses a token with a claim that it does not know.
_KNOWN_CLAIMS = frozenset({"iss", "sub", "aud", "scope", "jti", "iat", "nbf", "exp", "ver"})


def profile_of(claims: Mapping[str, Any]) -> str:
    """Return the profile by which a CE reads a token, ``wlcg`` or ``scitoken``; ``ver`` means the latter."""
    return "wlcg" if "wlcg.ver" in claims and "ver" not in claims else "scitoken"


def any_audience(claims: Mapping[str, Any]) -> str:
    """Return the audience that means every CE in the token's profile, empty if there is none."""
    if claims.get("ver") in ("scitoken:2.0", "scitokens:2.0"):
        return "ANY"
    return "https://wlcg.cern.ch/jwt/v1/any" if profile_of(claims) == "wlcg" else ""


def unknown_claims(header: Mapping[str, Any], claims: Mapping[str, Any]) -> list[str]:
    """Return the claims that a CE does not know and would refuse the token for."""
    lenient = claims.get("ver") in ("scitoken:2.0", "scitokens:2.0") or profile_of(claims) == "wlcg"
    if lenient or ("ver" not in claims and header.get("typ") in _ACCESS_TOKEN_TYPES):
        return []
    return sorted(set(claims) - _KNOWN_CLAIMS)


def needed_permissions(scopes: Sequence[str]) -> set[str]:
    """Return the HTCondor permissions that scopes mean; a scope that means none is returned itself."""
    permissions = set()
    for scope in scopes:
        if scope in COMPUTE:
            permissions.add("READ" if scope == "compute.read" else "WRITE")
        elif scope.startswith("condor:"):
            permissions.add(_permission(scope))
        else:
            permissions.add(scope)
    return permissions


def effective_permissions(scope: str, profile: str) -> set[str]:
    """Return the permissions that a token's scope claim gives, and the scopes themselves."""
    scopes = [item for item in scope.split(" ") if item]  # a tab is not a separator
    permissions = {_permission(item) for item in scopes if item.startswith("condor:")}
    if profile == "wlcg":
        granted = {item.partition(":")[0] for item in scopes}  # HTCondor ignores the path of compute.*
        if "compute.read" in granted:
            permissions.add("READ")
        if granted >= SUBMIT:
            permissions.add("WRITE")
    implied = {name for item in permissions for name in _IMPLIED.get(item, ())}
    return permissions | implied | set(scopes)


def _permission(scope: str) -> str:
    path = scope.partition(":")[2]
    return posixpath.normpath(f"/{path}").strip("/").upper()

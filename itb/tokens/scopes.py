"""What HTCondor makes of a token's profile and scopes.

Found by trying (tests/integration/test_tokens_ce.py) and by reading
scitokens-cpp 1.1 (Enforcer::scope_validator) and HTCondor 23.9.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

COMPUTE = frozenset({"compute.read", "compute.create", "compute.modify", "compute.cancel"})
SUBMIT = COMPUTE - {"compute.read"}
_AT_JWT = ("at+jwt", "application/at+jwt")
_IMPLIED = {
    "ADMINISTRATOR": ("WRITE", "READ"),
    "DAEMON": ("WRITE", "READ"),
    "WRITE": ("READ",),
    "CONFIG": ("READ",),
    "NEGOTIATOR": ("READ",),
    "ADVERTISE_STARTD": ("READ",),
}
# A CE that is told no profile insists on understanding every claim.
_UNDERSTOOD = frozenset({"iss", "sub", "aud", "scope", "jti", "iat", "nbf", "exp", "ver"})


def kind(claims: Mapping[str, Any]) -> str:
    """Return the profile a CE reads a token by, ``scitoken`` or ``wlcg``: ``ver`` counts before ``wlcg.ver``."""
    return "wlcg" if "wlcg.ver" in claims and "ver" not in claims else "scitoken"


def any_audience(claims: Mapping[str, Any]) -> str:
    """Return the audience that stands for every CE in this profile, the empty string if none does."""
    if claims.get("ver") in ("scitoken:2.0", "scitokens:2.0"):
        return "ANY"
    return "https://wlcg.cern.ch/jwt/v1/any" if kind(claims) == "wlcg" else ""


def misunderstood(header: Mapping[str, Any], claims: Mapping[str, Any]) -> list[str]:
    """Return the claims for which a CE would refuse the token because it does not know them."""
    lenient = claims.get("ver") in ("scitoken:2.0", "scitokens:2.0") or kind(claims) == "wlcg"
    if lenient or ("ver" not in claims and header.get("typ") in _AT_JWT):
        return []
    return sorted(set(claims) - _UNDERSTOOD)


def needed(scopes: Sequence[str]) -> set[str]:
    """Return the HTCondor permissions requested scopes stand for; a scope of no CE stands for itself."""
    found = set()
    for scope in scopes:
        if scope in COMPUTE:
            found.add("READ" if scope == "compute.read" else "WRITE")
        elif scope.startswith("condor:"):
            found.add(_permission(scope))
        else:
            found.add(scope)
    return found


def effective(scope: str, profile: str) -> set[str]:
    """Return the permissions of a token's scope claim, and its scopes as they stand."""
    held = [item for item in scope.split(" ") if item]  # a tab separates nothing
    found = {_permission(item) for item in held if item.startswith("condor:")}
    if profile == "wlcg":
        granted = {item.partition(":")[0] for item in held}  # the path of compute.* is not looked at
        if "compute.read" in granted:
            found.add("READ")
        if granted >= SUBMIT:
            found.add("WRITE")
    implied = {name for item in found for name in _IMPLIED.get(item, ())}
    return found | implied | set(held)


def _permission(scope: str) -> str:
    path = scope.partition(":")[2]
    return posixpath.normpath(f"/{path}").strip("/").upper()

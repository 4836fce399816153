"""What a CE would say of a token, claim by claim, before it is asked.

Strict on everything HTCondor 23 with scitokens-cpp 1.1 is strict on (tried:
tests/integration/test_tokens_ce.py holds the table of both verdicts), and on
the few things besides that only work by luck.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import jwt

from itb.model import Record, Token
from itb.tokens.request import SCOPES, SIZE_LIMIT, AcquireError, Cause, TokenRequest

ALGORITHMS = ("ES256", "RS256")
ANY_AUDIENCE = {"scitoken": "ANY", "wlcg": "https://wlcg.cern.ch/jwt/v1/any"}
_LATEST = 9_223_372_036  # seconds: beyond, jwt-cpp's nanoseconds overflow 64 bits
_PART = re.compile(r"[A-Za-z0-9_-]+")
_COMPUTE = {"compute.read", "compute.create", "compute.modify", "compute.cancel"}


class Verdict(Record):
    """What is to be said of one claim.

    ``value`` is what the token has, ``reason`` why it is not accepted (empty
    if it is); ``stricter`` marks a refusal a CE might not pronounce.
    """

    claim: str
    ok: bool
    value: str = ""
    reason: str = ""
    hint: str = ""
    stricter: bool = False


class _Opened(Record):
    """A token taken apart; nothing in it is believed yet."""

    header: dict[str, Any]
    claims: dict[str, Any]


class _Form(Exception):
    """It is not a JSON Web Token at all."""


def preflight(
    token: str,
    request: TokenRequest,
    jwks: Mapping[str, Any] | None = None,
    *,
    provider: str = "",
    now: float | None = None,
) -> Token:
    """Return what may be said of a token that a CE would accept.

    ``jwks`` is the issuer's key set as published, None where it cannot be
    had: the record then says ``verified=False``.  Raises AcquireError with
    the first reason a CE would refuse it for.
    """
    verdicts = explain(token, request, jwks, now=now)
    for verdict in verdicts:
        if not verdict.ok:
            who = f"token from {provider}" if provider else "token"
            more = [f"{item.claim}: {item.reason}" for item in verdicts if not item.ok]
            raise AcquireError(
                f"{who}: {verdict.reason}", cause=Cause.TOKEN, hint=verdict.hint, evidence="\n".join(more)
            )
    return describe(_open(token), provider=provider, verified=jwks is not None)


def explain(
    token: str,
    request: TokenRequest,
    jwks: Mapping[str, Any] | None = None,
    *,
    now: float | None = None,
) -> list[Verdict]:
    """Return one verdict for each claim, in the order a CE looks at them."""
    moment = time.time() if now is None else now
    try:
        opened = _open(token)
    except _Form as error:
        return [Verdict(claim="form", ok=False, reason=str(error))]
    found = [Verdict(claim="form", ok=True, value=f"one line of {len(token)} bytes, three parts")]
    found += [_algorithm(opened), _key_id(opened, jwks), _signature(token, opened, jwks)]
    found += _times(opened, request, moment)
    found += [_issuer(opened, request), _subject(opened, request), _audience(opened, request)]
    found += [_profile(opened), _scopes(opened, request)]
    return found


def unverified_issuer(token: str) -> str:
    """Return the issuer a token claims, the empty string if it claims none; for finding its keys only."""
    try:
        issuer = _open(token).claims.get("iss")
    except _Form:
        return ""
    return issuer if isinstance(issuer, str) else ""


def describe(opened: _Opened, *, provider: str, verified: bool) -> Token:
    """Return the record of a checked token."""
    claims = opened.claims
    jti = claims.get("jti")
    return Token(
        provider=provider,
        issuer=claims["iss"],
        subject=claims["sub"],
        audience=tuple(_strings(claims["aud"])),
        scopes=tuple(claims["scope"].split()),
        issued=claims["iat"],
        expires=claims["exp"],
        jti=hashlib.sha256(str(jti).encode()).hexdigest()[:12] if jti else "",
        verified=verified,
    )


def _open(token: str) -> _Opened:
    if not token.strip():
        raise _Form("is empty")
    if not token.isascii():
        raise _Form("not a JSON Web Token: it has characters other than ASCII")
    if len(token) >= SIZE_LIMIT:
        raise _Form(f"is {len(token)} bytes long; the limit is {SIZE_LIMIT - 1}")
    if token[:7].lower() == "bearer ":
        raise _Form("begins with the word 'Bearer': only the token itself is expected")
    if token[0] in "\"'" or token[-1] in "\"'":
        raise _Form("stands in quotes")
    if len(token.strip().split("\n")) > 1:
        raise _Form(f"has {len(token.strip().split(chr(10)))} lines; one is expected")
    if re.search(r"\s", token):
        raise _Form("has blanks or a line end in it")
    parts = token.split(".")
    if len(parts) == 5:
        raise _Form("is encrypted (JWE, five parts); a CE reads signed tokens only")
    if len(parts) != 3:
        raise _Form(f"not a JSON Web Token: {len(parts)} part(s) where three are expected")
    header, claims = (_object(part, what) for part, what in zip(parts, ("header", "payload"), strict=False))
    if parts[2] and not _PART.fullmatch(parts[2]):
        raise _Form("not a JSON Web Token: its signature is not base64url")
    return _Opened(header=header, claims=claims)


def _object(part: str, what: str) -> dict[str, Any]:
    if not _PART.fullmatch(part):
        raise _Form(f"not a JSON Web Token: its {what} is not base64url")
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise _Form(f"not a JSON Web Token: its {what} is not JSON") from None
    if not isinstance(value, dict):
        raise _Form(f"not a JSON Web Token: its {what} is not a JSON object")
    return value


def _algorithm(opened: _Opened) -> Verdict:
    value = opened.header.get("alg")
    if value in ALGORITHMS:
        return Verdict(claim="alg", ok=True, value=str(value))
    reason = f"signed with algorithm {_show(value)}; a CE accepts {' and '.join(ALGORITHMS)}"
    if isinstance(value, str) and value.lower() == "none":
        reason = f"not signed at all (alg {value})"
    return Verdict(claim="alg", ok=False, value=_show(value), reason=reason)


def _key_id(opened: _Opened, jwks: Mapping[str, Any] | None) -> Verdict:
    value = opened.header.get("kid")
    if "crit" in opened.header:
        reason = "its header has critical extensions (crit), which no CE understands"
        return Verdict(claim="kid", ok=False, value=_show(value), reason=reason, stricter=True)
    if not isinstance(value, str) or not value:
        reason = "no key id (kid) in its header: a CE could not tell the issuer's keys apart"
        return Verdict(claim="kid", ok=False, reason=reason, stricter=True)
    published = [str(key.get("kid")) for key in _keys(jwks)]
    if jwks is not None and value not in published:
        reason = (
            f"key id {_show(value)} is not published by the issuer (it has {', '.join(published) or 'none'})"
        )
        hint = "the issuer has changed its keys, or the token is not from it"
        return Verdict(claim="kid", ok=False, value=value, reason=reason, hint=hint)
    return Verdict(claim="kid", ok=True, value=_show(value))


def _signature(token: str, opened: _Opened, jwks: Mapping[str, Any] | None) -> Verdict:
    if jwks is None:
        return Verdict(claim="signature", ok=True, value="unverified: the issuer's keys were not to be had")
    kid, algorithm = opened.header.get("kid"), opened.header.get("alg")
    matching = [key for key in _keys(jwks) if key.get("kid") == kid]
    if not matching or algorithm not in ALGORITHMS:
        return Verdict(claim="signature", ok=False, reason="no published key to check the signature with")
    try:
        key = jwt.PyJWK(dict(matching[0]), algorithm=str(algorithm))
        # The claims are judged one by one below; here it is the signature alone.
        jwt.api_jws.decode(token, key, algorithms=[str(algorithm)])
    except jwt.InvalidSignatureError:
        reason = "the signature does not fit: signed with another key, or changed since"
        return Verdict(claim="signature", ok=False, reason=reason)
    except jwt.PyJWTError as error:
        return Verdict(claim="signature", ok=False, reason=f"the signature cannot be checked: {error}")
    return Verdict(claim="signature", ok=True, value="verified with the issuer's published key")


def _times(opened: _Opened, request: TokenRequest, now: float) -> list[Verdict]:
    checks: dict[str, Callable[[int], Verdict]] = {
        "iat": lambda value: _begun("iat", value, now, "issued"),
        "nbf": lambda value: _begun("nbf", value, now, "valid only"),
        "exp": lambda value: _expiry(value, request, now),
    }
    found = []
    for claim, check in checks.items():
        value = opened.claims.get(claim)
        if value is None:
            reason = f"no {claim} claim; a CE wants exp, iat and nbf"
            found.append(Verdict(claim=claim, ok=False, reason=reason, stricter=claim == "nbf"))
        elif not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _LATEST:
            reason = f"{claim} is {_show(value)}; a whole number of seconds is expected"
            found.append(Verdict(claim=claim, ok=False, value=_show(value), reason=reason))
        else:
            found.append(check(value))
    return found


def _begun(claim: str, value: int, now: float, verb: str) -> Verdict:
    if value <= now:
        return Verdict(claim=claim, ok=True, value=_when(value))
    reason = f"{verb} from {_when(value)} on ({claim}), {_span(value - now)} in the future"
    hint = "compare this machine's clock with the issuer's: a CE allows no difference at all"
    return Verdict(claim=claim, ok=False, value=_when(value), reason=reason, hint=hint)


def _expiry(value: int, request: TokenRequest, now: float) -> Verdict:
    left = value - now
    shown = _when(value)
    if left <= 0:
        return Verdict(claim="exp", ok=False, value=shown, reason=f"expired at {shown}, {_span(-left)} ago")
    if left < request.min_lifetime_s:
        reason = f"lives {_span(left)} more (until {shown}); {_span(request.min_lifetime_s)} are needed"
        return Verdict(claim="exp", ok=False, value=shown, reason=reason, stricter=True)
    return Verdict(claim="exp", ok=True, value=f"{shown}, {_span(left)} left")


def _issuer(opened: _Opened, request: TokenRequest) -> Verdict:
    value = opened.claims.get("iss")
    if not isinstance(value, str) or not value:
        return Verdict(claim="iss", ok=False, value=_show(value), reason="no issuer (iss)")
    reason = _issuer_shape(value)
    if not reason and request.issuer and value != request.issuer:
        reason = f"comes from issuer {_show(value)}; {request.issuer} was asked for"
    return Verdict(claim="iss", ok=not reason, value=_show(value), reason=reason)


def _issuer_shape(value: str) -> str:
    try:
        url = urlsplit(value)
        host = url.hostname
    except ValueError:
        return f"issuer {_show(value)} is not a URL"
    if url.scheme != "https" or not host:
        return f"issuer {_show(value)} is not an https URL"
    if url.query or url.fragment or url.username is not None or value.endswith(("?", "#")):
        return f"issuer {_show(value)} has more than scheme, host and path"
    if value.endswith("/"):
        return f"issuer {_show(value)} ends with a slash"
    if not url.path:
        return f"issuer {_show(value)} has no path"
    return ""


def _subject(opened: _Opened, request: TokenRequest) -> Verdict:
    value = opened.claims.get("sub")
    if not isinstance(value, str) or not value:
        return Verdict(claim="sub", ok=False, value=_show(value), reason="no subject (sub) a CE could map")
    if request.subject and value != request.subject:
        reason = f"subject is {_show(value)}; {request.subject} was asked for"
        return Verdict(claim="sub", ok=False, value=_show(value), reason=reason, stricter=True)
    return Verdict(claim="sub", ok=True, value=_show(value))


def _audience(opened: _Opened, request: TokenRequest) -> Verdict:
    value = opened.claims.get("aud")
    wanted = request.audience
    audiences = _strings(value)
    shown = _show(value)
    if not audiences:
        reason = f"no audience (aud); {wanted} is expected"
        return Verdict(claim="aud", ok=False, value=shown, reason=reason)
    if wanted in audiences:
        return Verdict(claim="aud", ok=True, value=shown)
    if ANY_AUDIENCE[_kind(opened.claims)] in audiences:
        return Verdict(claim="aud", ok=True, value=f"{shown}, which stands for any")
    host = wanted.rpartition(":")[0]
    if host and host in audiences:
        reason = f"audience {_show(host)} lacks the port; {wanted} is expected"
    else:
        reason = f"meant for audience {shown}; {wanted} is expected"
    return Verdict(claim="aud", ok=False, value=shown, reason=reason)


def _profile(opened: _Opened) -> Verdict:
    ver, wlcg = opened.claims.get("ver"), opened.claims.get("wlcg.ver")
    shown = ", ".join(f"{key} {_show(value)}" for key, value in (("ver", ver), ("wlcg.ver", wlcg)) if value)
    if ver is not None and ver not in ("scitoken:2.0", "scitokens:2.0"):
        reason = f"ver is {_show(ver)}; scitoken:2.0 or none is expected"
        return Verdict(claim="profile", ok=False, value=shown, reason=reason)
    if ver is None and wlcg is not None and wlcg != "1.0":
        reason = f"wlcg.ver is {_show(wlcg)}; the text 1.0 is expected"
        return Verdict(claim="profile", ok=False, value=shown, reason=reason)
    return Verdict(claim="profile", ok=True, value=shown or "neither ver nor wlcg.ver: a SciToken")


def _scopes(opened: _Opened, request: TokenRequest) -> Verdict:
    value = opened.claims.get("scope")
    if not isinstance(value, str) or not value.strip():
        return Verdict(claim="scope", ok=False, value=_show(value), reason="no scope")
    held = value.split()
    kind = _kind(opened.claims)
    missing = sorted(_needed(request.scopes) - _effective(held, kind))
    if not missing:
        return Verdict(claim="scope", ok=True, value=_show(value))
    reason = f"scope {_show(value)} does not allow {' and '.join(missing)}"
    hint = ""
    if kind == "scitoken" and _COMPUTE & set(held):
        about = "beside a ver claim" if "ver" in opened.claims else "without wlcg.ver"
        reason = (
            f"scope has compute.* {about}: a CE reads condor:/READ and condor:/WRITE there, and denies this"
        )
        hint = "compute.* belongs to the WLCG profile: wlcg.ver 1.0 and no ver"
    elif kind == "wlcg" and "WRITE" in missing:
        lacking = sorted(_COMPUTE - {"compute.read"} - set(held))
        reason = (
            f"scope lacks {', '.join(lacking)}: a CE lets submit only with create, modify and cancel together"
        )
    return Verdict(claim="scope", ok=False, value=_show(value), reason=reason, hint=hint)


def _needed(scopes: Sequence[str]) -> set[str]:
    """Permissions that requested scopes stand for; a scope of no CE stands for itself."""
    names = {
        "compute.read": "READ",
        "compute.create": "WRITE",
        "compute.modify": "WRITE",
        "compute.cancel": "WRITE",
        **{f"condor:/{name}": name for name in ("READ", "WRITE")},
    }
    return {names.get(scope, scope) for scope in scopes}


def _effective(held: Sequence[str], kind: str) -> set[str]:
    """What HTCondor makes of a token's scopes (scitokens-cpp, Enforcer::scope_validator)."""
    found = {scope.removeprefix("condor:/") for scope in held if scope.startswith("condor:/")}
    if kind == "wlcg":
        if "compute.read" in held:
            found.add("READ")
        if _COMPUTE - {"compute.read"} <= set(held):
            found.add("WRITE")
    return found | set(held)


def _kind(claims: Mapping[str, Any]) -> str:
    """Which profile a CE reads the token by: ``ver`` counts before ``wlcg.ver``."""
    return "wlcg" if "wlcg.ver" in claims and "ver" not in claims else "scitoken"


def _keys(jwks: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    keys = (jwks or {}).get("keys")
    return [key for key in keys if isinstance(key, Mapping)] if isinstance(keys, list) else []


def _strings(value: object) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str) and item]


def _show(value: object) -> str:
    """A claim's value on one line, not longer than a line; a token inside a claim stays unseen."""
    text = value if isinstance(value, str) else json.dumps(value)
    clean = "".join(char if char.isprintable() else "?" for char in text)
    return clean if len(clean) <= 120 else f"{clean[:117]}..."


def _when(value: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value))


def _span(seconds: float) -> str:
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    return f"{whole // 3600} h" if whole < 172800 else f"{whole // 86400} days"


def request_for(
    audience: str, *, profile: str = "scitoken", issuer: str = "", min_lifetime_s: int = 0
) -> TokenRequest:
    """Return a request that only a check needs: any token a CE of this audience accepts for submission."""
    return TokenRequest(
        run_id="check",
        ce=audience,
        audience=audience,
        issuer=issuer,
        scopes=SCOPES[profile],
        min_lifetime_s=min_lifetime_s,
    )

"""What a CE would say of a token, claim by claim, before it is asked.

Strict on everything HTCondor 23 with scitokens-cpp 1.1 is strict on (tried:
tests/integration/test_tokens_ce.py holds the table of both verdicts), and on
the few things besides that only work by luck.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import jwt

from itb.model import Record, Token
from itb.tokens import scopes
from itb.tokens.parse import FormError, Opened, open_token
from itb.tokens.request import SCOPES, AcquireError, Cause, Profile, TokenRequest

ALGORITHMS = ("ES256", "RS256")
VERSIONS = ("scitoken:2.0", "scitokens:2.0", "scitokens:1.0")
_RSA_BITS = 2048
_LARGEST = 2**53  # seconds: a CE takes 1e15 and refuses 2^62, and JSON promises no larger whole number


class ClaimCheck(Record):
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
    return describe(open_token(token), provider=provider, verified=jwks is not None)


def explain(
    token: str,
    request: TokenRequest,
    jwks: Mapping[str, Any] | None = None,
    *,
    now: float | None = None,
) -> list[ClaimCheck]:
    """Return one verdict for each claim, in the order a CE looks at them."""
    moment = time.time() if now is None else now
    try:
        opened = open_token(token)
    except FormError as error:
        return [ClaimCheck(claim="form", ok=False, reason=error.reason, stricter=error.stricter)]
    found = [ClaimCheck(claim="form", ok=True, value=f"one line of {len(token)} bytes, three parts")]
    found += [_algorithm(opened), _key_id(opened, jwks), _signature(token, opened, jwks)]
    found += _times(opened, request, moment)
    found += [_issuer(opened, request), _subject(opened, request), _audience(opened, request)]
    found += [_token_id(opened), _profile(opened), _scopes(opened, request)]
    return found


def unverified_issuer(token: str) -> str:
    """Return the issuer a token claims, the empty string if it claims none; for finding its keys only."""
    try:
        issuer = open_token(token).claims.get("iss")
    except FormError:
        return ""
    return issuer if isinstance(issuer, str) else ""


def describe(opened: Opened, *, provider: str, verified: bool) -> Token:
    """Return the record of a checked token."""
    claims = opened.claims
    return Token(
        provider=provider,
        issuer=claims["iss"],
        subject=claims["sub"],
        audience=tuple(_strings(claims["aud"])),
        scopes=tuple(claims["scope"].split()),
        issued=claims["iat"],
        expires=claims["exp"],
        jti=_fingerprint(claims["jti"]) if claims.get("jti") else "",
        verified=verified,
    )


def _algorithm(opened: Opened) -> ClaimCheck:
    value = opened.header.get("alg")
    if value in ALGORITHMS:
        return ClaimCheck(claim="alg", ok=True, value=str(value))
    reason = f"signed with algorithm {_show(value)}; a CE accepts {' and '.join(ALGORITHMS)}"
    if isinstance(value, str) and value.lower() == "none":
        reason = f"not signed at all (alg {value})"
    return ClaimCheck(claim="alg", ok=False, value=_show(value), reason=reason)


def _key_id(opened: Opened, jwks: Mapping[str, Any] | None) -> ClaimCheck:
    value = opened.header.get("kid")
    if "crit" in opened.header:
        reason = "its header has critical extensions (crit), which no CE understands"
        return ClaimCheck(claim="kid", ok=False, value=_show(value), reason=reason, stricter=True)
    if not isinstance(value, str) or not value:
        reason = "no key id (kid) in its header: a CE could not tell the issuer's keys apart"
        return ClaimCheck(claim="kid", ok=False, reason=reason, stricter=True)
    published = [str(key.get("kid")) for key in _keys(jwks)]
    if jwks is not None and value not in published:
        reason = (
            f"key id {_show(value)} is not published by the issuer (it has {', '.join(published) or 'none'})"
        )
        hint = "the issuer has changed its keys, or the token is not from it"
        return ClaimCheck(claim="kid", ok=False, value=value, reason=reason, hint=hint)
    return ClaimCheck(claim="kid", ok=True, value=_show(value))


def _signature(token: str, opened: Opened, jwks: Mapping[str, Any] | None) -> ClaimCheck:
    if jwks is None:
        return ClaimCheck(claim="signature", ok=True, value="unverified: the issuer's keys were not to be had")
    kid, algorithm = opened.header.get("kid"), opened.header.get("alg")
    matching = [key for key in _keys(jwks) if key.get("kid") == kid]
    if not matching or algorithm not in ALGORITHMS:
        return ClaimCheck(claim="signature", ok=False, reason="no published key to check the signature with")
    if problem := _weakness(matching[0], str(algorithm)):
        return ClaimCheck(claim="signature", ok=False, reason=problem, stricter=algorithm == "RS256")
    try:
        key = jwt.PyJWK(dict(matching[0]), algorithm=str(algorithm))
        # The claims are judged one by one below; here it is the signature alone.
        jwt.api_jws.decode(token, key, algorithms=[str(algorithm)])
    except jwt.InvalidSignatureError:
        reason = "the signature does not fit: signed with another key, or changed since"
        return ClaimCheck(claim="signature", ok=False, reason=reason)
    except jwt.PyJWTError as error:
        return ClaimCheck(claim="signature", ok=False, reason=f"the signature cannot be checked: {error}")
    return ClaimCheck(claim="signature", ok=True, value="verified with the issuer's published key")


def _weakness(key: Mapping[str, Any], algorithm: str) -> str:
    """Say what RFC 7518 (3.3, 3.4) has against a published key; a CE looks at the curve alone."""
    if algorithm == "ES256" and key.get("crv", "P-256") != "P-256":
        return f"signed with a key on curve {_show(key['crv'])}; ES256 is for P-256"
    modulus = str(key.get("n", "")) if algorithm == "RS256" else ""
    bits = len(modulus) * 6 // 8 * 8
    if modulus and bits < _RSA_BITS:
        return f"signed with an RSA key of some {bits} bits; {_RSA_BITS} are the least (RFC 7518)"
    return ""


def _times(opened: Opened, request: TokenRequest, now: float) -> list[ClaimCheck]:
    checks: dict[str, Callable[[int], ClaimCheck]] = {
        "iat": lambda value: _begun("iat", value, now, "issued"),
        "nbf": lambda value: _begun("nbf", value, now, "valid only"),
        "exp": lambda value: _expiry(value, request, now),
    }
    found = []
    for claim, check in checks.items():
        value = opened.claims.get(claim)
        if value is None:
            reason = f"no {claim} claim; a CE wants exp, iat and nbf"
            found.append(ClaimCheck(claim=claim, ok=False, reason=reason, stricter=claim == "nbf"))
        elif not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST:
            reason = f"{claim} is {_show(value)}; a whole number of seconds is expected"
            found.append(ClaimCheck(claim=claim, ok=False, value=_show(value), reason=reason))
        else:
            found.append(check(value))
    return found


def _begun(claim: str, value: int, now: float, verb: str) -> ClaimCheck:
    if value <= now:
        return ClaimCheck(claim=claim, ok=True, value=_when(value))
    reason = f"{verb} from {_when(value)} on ({claim}), {_span(value - now)} in the future"
    hint = "compare this machine's clock with the issuer's: a CE allows no difference at all"
    return ClaimCheck(claim=claim, ok=False, value=_when(value), reason=reason, hint=hint)


def _expiry(value: int, request: TokenRequest, now: float) -> ClaimCheck:
    left = value - now
    shown = _when(value)
    if left <= 0:
        return ClaimCheck(claim="exp", ok=False, value=shown, reason=f"expired at {shown}, {_span(-left)} ago")
    if left < request.min_lifetime_s:
        reason = f"lives {_span(left)} more (until {shown}); {_span(request.min_lifetime_s)} are needed"
        return ClaimCheck(claim="exp", ok=False, value=shown, reason=reason, stricter=True)
    return ClaimCheck(claim="exp", ok=True, value=f"{shown}, {_span(left)} left")


def _issuer(opened: Opened, request: TokenRequest) -> ClaimCheck:
    value = opened.claims.get("iss")
    if not isinstance(value, str) or not value:
        return ClaimCheck(claim="iss", ok=False, value=_show(value), reason="no issuer (iss)")
    reason = _issuer_shape(value)
    if not reason and request.issuer and value != request.issuer:
        reason = f"comes from issuer {_show(value)}; {request.issuer} was asked for"
    return ClaimCheck(claim="iss", ok=not reason, value=_show(value), reason=reason)


def _issuer_shape(value: str) -> str:
    try:
        url = urlsplit(value)
        host = url.hostname
    except ValueError:
        return f"issuer {_show(value)} is not a URL"
    if not value.startswith("https://") or not host:
        return f"issuer {_show(value)} is not an https URL"
    if url.query or url.fragment or url.username is not None or value.endswith(("?", "#")):
        return f"issuer {_show(value)} has more than scheme, host and path"
    if value.endswith("/"):
        return f"issuer {_show(value)} ends with a slash"
    if not url.path:
        return f"issuer {_show(value)} has no path"
    return ""


def _subject(opened: Opened, request: TokenRequest) -> ClaimCheck:
    value = opened.claims.get("sub")
    if not isinstance(value, str) or not value:
        reason = "no subject (sub) a CE could map"
        return ClaimCheck(claim="sub", ok=False, value=_show(value), reason=reason, stricter=value == "")
    if request.subject and value != request.subject:
        reason = f"subject is {_show(value)}; {request.subject} was asked for"
        return ClaimCheck(claim="sub", ok=False, value=_show(value), reason=reason, stricter=True)
    return ClaimCheck(claim="sub", ok=True, value=_show(value))


def _audience(opened: Opened, request: TokenRequest) -> ClaimCheck:
    value = opened.claims.get("aud")
    wanted = request.audience
    audiences = _strings(value)
    shown = _show(value)
    reason = ""
    if not audiences:
        reason = f"no audience (aud); {wanted} is expected"
    elif wanted in audiences:
        return ClaimCheck(claim="aud", ok=True, value=shown)
    elif scopes.any_audience(opened.claims) in audiences:
        return ClaimCheck(claim="aud", ok=True, value=f"{shown}, which stands for any CE")
    elif (host := wanted.rpartition(":")[0]) and host in audiences:
        reason = f"audience {_show(host)} lacks the port; {wanted} is expected"
    else:
        reason = f"meant for audience {shown}; {wanted} is expected"
    return ClaimCheck(claim="aud", ok=False, value=shown, reason=reason)


def _token_id(opened: Opened) -> ClaimCheck:
    if "jti" not in opened.claims:
        return ClaimCheck(claim="jti", ok=True, value="none")
    value = opened.claims["jti"]
    reason = "" if isinstance(value, str) else f"its id (jti) is {_show(value)}; a text is expected"
    return ClaimCheck(claim="jti", ok=not reason, value=f"SHA-256 {_fingerprint(value)}", reason=reason)


def _profile(opened: Opened) -> ClaimCheck:
    claims = opened.claims
    shown = ", ".join(f"{name} {_show(claims[name])}" for name in ("ver", "wlcg.ver") if name in claims)
    reason = hint = ""
    if "ver" in claims and claims["ver"] not in VERSIONS:
        reason = f"ver is {_show(claims['ver'])}; scitoken:2.0 or none is expected"
    elif scopes.kind(claims) == "wlcg" and claims["wlcg.ver"] != "1.0":
        reason = f"wlcg.ver is {_show(claims['wlcg.ver'])}; the text 1.0 is expected"
    elif unknown := scopes.misunderstood(opened.header, claims):
        names = _show(", ".join(unknown))
        reason = f"has claims a CE does not know ({names}) and no profile that allows them"
        hint = "ver scitoken:2.0 or wlcg.ver 1.0 allows further claims"
    value = shown or "neither ver nor wlcg.ver: a SciToken"
    return ClaimCheck(claim="profile", ok=not reason, value=value, reason=reason, hint=hint)


def _scopes(opened: Opened, request: TokenRequest) -> ClaimCheck:
    value = opened.claims.get("scope")
    if not isinstance(value, str) or not value.strip():
        return ClaimCheck(claim="scope", ok=False, value=_show(value), reason="no scope")
    profile = scopes.kind(opened.claims)
    missing = sorted(scopes.needed(request.scopes) - scopes.effective(value, profile))
    if not missing:
        return ClaimCheck(claim="scope", ok=True, value=_show(value))
    names = {item.partition(":")[0] for item in value.split(" ")}
    reason = f"scope {_show(value)} does not allow {' and '.join(missing)}"
    hint = ""
    if profile == "scitoken" and scopes.COMPUTE & names:
        about = "beside a ver claim" if "ver" in opened.claims else "without wlcg.ver"
        reason = (
            f"scope has compute.* {about}: a CE reads condor:/READ and condor:/WRITE there, and denies this"
        )
        hint = "compute.* belongs to the WLCG profile: wlcg.ver 1.0 and no ver"
    elif profile == "wlcg" and "WRITE" in missing and scopes.SUBMIT & names:
        lacking = ", ".join(sorted(scopes.SUBMIT - names))
        reason = f"scope lacks {lacking}: a CE lets submit only with create, modify and cancel together"
    return ClaimCheck(claim="scope", ok=False, value=_show(value), reason=reason, hint=hint)


def _keys(jwks: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    keys = (jwks or {}).get("keys")
    return [key for key in keys if isinstance(key, Mapping)] if isinstance(keys, list) else []


def _strings(value: object) -> list[str]:
    """The texts of a claim that is a text or a list of nothing but texts."""
    items: list[Any] = value if isinstance(value, list) else [value]
    return items if all(isinstance(item, str) and item for item in items) else []


def _fingerprint(value: object) -> str:
    """What may be written of a token's id."""
    return hashlib.sha256(str(value).encode("utf-8", "replace")).hexdigest()[:12]


def _show(value: object) -> str:
    """A claim's value on one line, not longer than a line; a token inside a claim stays unseen."""
    text = value if isinstance(value, str) else json.dumps(value)
    clean = "".join(char if char.isprintable() else "?" for char in text)
    return clean if len(clean) <= 120 else f"{clean[:117]}..."


def _when(value: int) -> str:
    if not 0 <= value < 253_402_300_800:  # the year 10000
        return f"{value} s since 1970"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value))


def _span(seconds: float) -> str:
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    return f"{whole // 3600} h" if whole < 172800 else f"{whole // 86400} days"


def request_for(
    audience: str, *, profile: Profile = "scitoken", issuer: str = "", min_lifetime_s: int = 0
) -> TokenRequest:
    """Return a request that only a check needs: any token a CE of this audience accepts for submission."""
    return TokenRequest(
        run_id="check",
        ce=audience,
        audience=audience,
        issuer=issuer,
        scopes=SCOPES[profile],
        profile=profile,
        min_lifetime_s=min_lifetime_s,
    )

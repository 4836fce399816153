"""Checking a token claim by claim as a CE would, before the CE gets it.

The checks refuse everything that HTCondor 23 with scitokens-cpp 1.1 refuses
(tests/integration/test_tokens_ce.py compares both in a table), and a few
things that a CE accepts only by accident.
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
from itb.tokens.parse import DecodedToken, MalformedTokenError, decode_token
from itb.tokens.request import SCOPES, AcquireCause, AcquireError, Profile, TokenRequest
from itb.util import when

ALGORITHMS = ("ES256", "RS256")
VERSIONS = ("scitoken:2.0", "scitokens:2.0", "scitokens:1.0")
_RSA_BITS = 2048
_LARGEST_TIME = 2**53  # seconds: a CE accepts 1e15 and refuses 2^62; above this, JSON numbers are not exact


class ClaimCheck(Record):
    """The result of checking one claim.

    ``value`` is what the token has, ``reason`` says why it is refused (empty
    if it is accepted); ``stricter`` marks a refusal where a CE might accept.
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
    """Return the record of a token that a CE would accept.

    ``jwks`` is the key set that the issuer publishes, None if it is not
    available: the record then has ``verified=False``.  Raises AcquireError
    with the first reason for which a CE would refuse the token.
    """
    checks = explain(token, request, jwks, now=now)
    for check in checks:
        if not check.ok:
            subject = f"token from {provider}" if provider else "token"
            reasons = [f"{check.claim}: {check.reason}" for check in checks if not check.ok]
            raise AcquireError(
                f"{subject}: {check.reason}",
                cause=AcquireCause.TOKEN,
                hint=check.hint,
                evidence="\n".join(reasons),
            )
    return describe(decode_token(token), provider=provider, verified=jwks is not None)


def explain(
    token: str,
    request: TokenRequest,
    jwks: Mapping[str, Any] | None = None,
    *,
    now: float | None = None,
) -> list[ClaimCheck]:
    """Return the check of each claim, in the order in which a CE checks them."""
    moment = time.time() if now is None else now
    try:
        decoded = decode_token(token)
    except MalformedTokenError as error:
        return [ClaimCheck(claim="form", ok=False, reason=error.reason, stricter=error.stricter)]
    checks = [ClaimCheck(claim="form", ok=True, value=f"one line of {len(token)} bytes, three parts")]
    checks += [_algorithm(decoded), _key_id(decoded, jwks), _signature(token, decoded, jwks)]
    checks += _times(decoded, request, moment)
    checks += [_issuer(decoded, request), _subject(decoded, request), _audience(decoded, request)]
    checks += [_token_id(decoded), _profile(decoded), _scopes(decoded, request)]
    return checks


def unverified_issuer(token: str) -> str:
    """Return the issuer that a token claims, empty if it claims none; use it only to find the keys."""
    try:
        issuer = decode_token(token).claims.get("iss")
    except MalformedTokenError:
        return ""
    return issuer if isinstance(issuer, str) else ""


def describe(decoded: DecodedToken, *, provider: str, verified: bool) -> Token:
    """Return the record of a checked token."""
    claims = decoded.claims
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


def _algorithm(decoded: DecodedToken) -> ClaimCheck:
    value = decoded.header.get("alg")
    if value in ALGORITHMS:
        return ClaimCheck(claim="alg", ok=True, value=str(value))
    reason = f"signed with algorithm {_one_line(value)}; a CE accepts {' and '.join(ALGORITHMS)}"
    if isinstance(value, str) and value.lower() == "none":
        reason = f"not signed at all (alg {value})"
    return ClaimCheck(claim="alg", ok=False, value=_one_line(value), reason=reason)


def _key_id(decoded: DecodedToken, jwks: Mapping[str, Any] | None) -> ClaimCheck:
    value = decoded.header.get("kid")
    if "crit" in decoded.header:
        reason = "its header has critical extensions (crit), which no CE understands"
        return ClaimCheck(claim="kid", ok=False, value=_one_line(value), reason=reason, stricter=True)
    if not isinstance(value, str) or not value:
        reason = "no key id (kid) in its header: a CE could not tell the issuer's keys apart"
        return ClaimCheck(claim="kid", ok=False, reason=reason, stricter=True)
    published = [str(key.get("kid")) for key in _keys(jwks)]
    if jwks is not None and value not in published:
        reason = (
            f"key id {_one_line(value)} is not published by the issuer (it has {', '.join(published) or 'none'})"
        )
        hint = "the issuer has changed its keys, or the token is not from it"
        return ClaimCheck(claim="kid", ok=False, value=value, reason=reason, hint=hint)
    return ClaimCheck(claim="kid", ok=True, value=_one_line(value))


def _signature(token: str, decoded: DecodedToken, jwks: Mapping[str, Any] | None) -> ClaimCheck:
    if jwks is None:
        return ClaimCheck(claim="signature", ok=True, value="unverified: the issuer's keys could not be read")
    kid, algorithm = decoded.header.get("kid"), decoded.header.get("alg")
    published = [key for key in _keys(jwks) if key.get("kid") == kid]
    if not published or algorithm not in ALGORITHMS:
        return ClaimCheck(claim="signature", ok=False, reason="no published key to check the signature with")
    if problem := _key_weakness(published[0], str(algorithm)):
        return ClaimCheck(claim="signature", ok=False, reason=problem, stricter=algorithm == "RS256")
    try:
        key = jwt.PyJWK(dict(published[0]), algorithm=str(algorithm))
        # Checks the signature alone: the claims are checked one by one, each with its own reason.
        jwt.api_jws.decode(token, key, algorithms=[str(algorithm)])
    except jwt.InvalidSignatureError:
        reason = "the signature does not fit: signed with another key, or changed since"
        return ClaimCheck(claim="signature", ok=False, reason=reason)
    except jwt.PyJWTError as error:
        return ClaimCheck(claim="signature", ok=False, reason=f"the signature cannot be checked: {error}")
    return ClaimCheck(claim="signature", ok=True, value="verified with the issuer's published key")


def _key_weakness(key: Mapping[str, Any], algorithm: str) -> str:
    """Return why a published key violates RFC 7518 (3.3, 3.4), empty if not; a CE checks the curve alone."""
    if algorithm == "ES256" and key.get("crv", "P-256") != "P-256":
        return f"signed with a key on curve {_one_line(key['crv'])}; ES256 is for P-256"
    modulus = str(key.get("n", "")) if algorithm == "RS256" else ""
    bits = len(modulus) * 6 // 8 * 8
    if modulus and bits < _RSA_BITS:
        return f"signed with an RSA key of some {bits} bits; {_RSA_BITS} are the least (RFC 7518)"
    return ""


def _times(decoded: DecodedToken, request: TokenRequest, now: float) -> list[ClaimCheck]:
    rules: dict[str, Callable[[int], ClaimCheck]] = {
        "iat": lambda value: _past_time("iat", value, now, "issued"),
        "nbf": lambda value: _past_time("nbf", value, now, "valid only"),
        "exp": lambda value: _expiry(value, request, now),
    }
    results = []
    for claim, rule in rules.items():
        value = decoded.claims.get(claim)
        if value is None:
            reason = f"no {claim} claim; a CE wants exp, iat and nbf"
            results.append(ClaimCheck(claim=claim, ok=False, reason=reason, stricter=claim == "nbf"))
        elif not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST_TIME:
            reason = f"{claim} is {_one_line(value)}; a whole number of seconds is expected"
            results.append(ClaimCheck(claim=claim, ok=False, value=_one_line(value), reason=reason))
        else:
            results.append(rule(value))
    return results


def _past_time(claim: str, value: int, now: float, verb: str) -> ClaimCheck:
    if value <= now:
        return ClaimCheck(claim=claim, ok=True, value=_utc(value))
    reason = f"{verb} from {_utc(value)} on ({claim}), {_duration(value - now)} in the future"
    hint = "compare this machine's clock with the issuer's: a CE allows no difference at all"
    return ClaimCheck(claim=claim, ok=False, value=_utc(value), reason=reason, hint=hint)


def _expiry(value: int, request: TokenRequest, now: float) -> ClaimCheck:
    left = value - now
    shown = _utc(value)
    if left <= 0:
        return ClaimCheck(claim="exp", ok=False, value=shown, reason=f"expired at {shown}, {_duration(-left)} ago")
    if left < request.min_lifetime_s:
        reason = f"lives {_duration(left)} more (until {shown}); {_duration(request.min_lifetime_s)} are needed"
        return ClaimCheck(claim="exp", ok=False, value=shown, reason=reason, stricter=True)
    return ClaimCheck(claim="exp", ok=True, value=f"{shown}, {_duration(left)} left")


def _issuer(decoded: DecodedToken, request: TokenRequest) -> ClaimCheck:
    value = decoded.claims.get("iss")
    if not isinstance(value, str) or not value:
        return ClaimCheck(claim="iss", ok=False, value=_one_line(value), reason="no issuer (iss)")
    reason = _issuer_problem(value)
    if not reason and request.issuer and value != request.issuer:
        reason = f"comes from issuer {_one_line(value)}; {request.issuer} was asked for"
    return ClaimCheck(claim="iss", ok=not reason, value=_one_line(value), reason=reason)


def _issuer_problem(value: str) -> str:
    try:
        url = urlsplit(value)
        host = url.hostname
    except ValueError:
        return f"issuer {_one_line(value)} is not a URL"
    if not value.startswith("https://") or not host:
        return f"issuer {_one_line(value)} is not an https URL"
    if url.query or url.fragment or url.username is not None or value.endswith(("?", "#")):
        return f"issuer {_one_line(value)} has more than scheme, host and path"
    if value.endswith("/"):
        return f"issuer {_one_line(value)} ends with a slash"
    if not url.path:
        return f"issuer {_one_line(value)} has no path"
    return ""


def _subject(decoded: DecodedToken, request: TokenRequest) -> ClaimCheck:
    value = decoded.claims.get("sub")
    if not isinstance(value, str) or not value:
        reason = "no subject (sub) a CE could map"
        return ClaimCheck(claim="sub", ok=False, value=_one_line(value), reason=reason, stricter=value == "")
    if request.subject and value != request.subject:
        reason = f"subject is {_one_line(value)}; {request.subject} was asked for"
        return ClaimCheck(claim="sub", ok=False, value=_one_line(value), reason=reason, stricter=True)
    return ClaimCheck(claim="sub", ok=True, value=_one_line(value))


def _audience(decoded: DecodedToken, request: TokenRequest) -> ClaimCheck:
    value = decoded.claims.get("aud")
    expected = request.audience
    audiences = _strings(value)
    shown = _one_line(value)
    reason = ""
    if not audiences:
        reason = f"no audience (aud); {expected} is expected"
    elif expected in audiences:
        return ClaimCheck(claim="aud", ok=True, value=shown)
    elif scopes.any_audience(decoded.claims) in audiences:
        return ClaimCheck(claim="aud", ok=True, value=f"{shown}, which stands for any CE")
    elif (host := expected.rpartition(":")[0]) and host in audiences:
        reason = f"audience {_one_line(host)} lacks the port; {expected} is expected"
    else:
        reason = f"meant for audience {shown}; {expected} is expected"
    return ClaimCheck(claim="aud", ok=False, value=shown, reason=reason)


def _token_id(decoded: DecodedToken) -> ClaimCheck:
    if "jti" not in decoded.claims:
        return ClaimCheck(claim="jti", ok=True, value="none")
    value = decoded.claims["jti"]
    reason = "" if isinstance(value, str) else f"its id (jti) is {_one_line(value)}; a text is expected"
    return ClaimCheck(claim="jti", ok=not reason, value=f"SHA-256 {_fingerprint(value)}", reason=reason)


def _profile(decoded: DecodedToken) -> ClaimCheck:
    claims = decoded.claims
    versions = ", ".join(f"{name} {_one_line(claims[name])}" for name in ("ver", "wlcg.ver") if name in claims)
    reason = hint = ""
    if "ver" in claims and claims["ver"] not in VERSIONS:
        reason = f"ver is {_one_line(claims['ver'])}; scitoken:2.0 or none is expected"
    elif scopes.profile_of(claims) == "wlcg" and claims["wlcg.ver"] != "1.0":
        reason = f"wlcg.ver is {_one_line(claims['wlcg.ver'])}; the text 1.0 is expected"
    elif unknown := scopes.unknown_claims(decoded.header, claims):
        names = _one_line(", ".join(unknown))
        reason = f"has claims a CE does not know ({names}) and no profile that allows them"
        hint = "ver scitoken:2.0 or wlcg.ver 1.0 allows further claims"
    value = versions or "neither ver nor wlcg.ver: a SciToken"
    return ClaimCheck(claim="profile", ok=not reason, value=value, reason=reason, hint=hint)


def _scopes(decoded: DecodedToken, request: TokenRequest) -> ClaimCheck:
    value = decoded.claims.get("scope")
    if not isinstance(value, str) or not value.strip():
        return ClaimCheck(claim="scope", ok=False, value=_one_line(value), reason="no scope")
    profile = scopes.profile_of(decoded.claims)
    missing = sorted(scopes.needed_permissions(request.scopes) - scopes.effective_permissions(value, profile))
    if not missing:
        return ClaimCheck(claim="scope", ok=True, value=_one_line(value))
    names = {scope.partition(":")[0] for scope in value.split(" ")}
    reason = f"scope {_one_line(value)} does not allow {' and '.join(missing)}"
    hint = ""
    if profile == "scitoken" and scopes.COMPUTE & names:
        about = "beside a ver claim" if "ver" in decoded.claims else "without wlcg.ver"
        reason = (
            f"scope has compute.* {about}: a CE reads condor:/READ and condor:/WRITE there, and denies this"
        )
        hint = "compute.* belongs to the WLCG profile: wlcg.ver 1.0 and no ver"
    elif profile == "wlcg" and "WRITE" in missing and scopes.SUBMIT & names:
        lacking = ", ".join(sorted(scopes.SUBMIT - names))
        reason = f"scope lacks {lacking}: a CE lets submit only with create, modify and cancel together"
    return ClaimCheck(claim="scope", ok=False, value=_one_line(value), reason=reason, hint=hint)


def _keys(jwks: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    keys = (jwks or {}).get("keys")
    return [key for key in keys if isinstance(key, Mapping)] if isinstance(keys, list) else []


def _strings(value: object) -> list[str]:
    """Return the texts of a claim that is a text or a list of texts only, nothing for any other."""
    items: list[Any] = value if isinstance(value, list) else [value]
    return items if all(isinstance(item, str) and item for item in items) else []


def _fingerprint(value: object) -> str:
    """Return the part of a token id's SHA-256 that logs and reports may show."""
    return hashlib.sha256(str(value).encode("utf-8", "replace")).hexdigest()[:12]


def _one_line(value: object) -> str:
    """Return a claim's value as one printable line of at most 120 characters."""
    text = value if isinstance(value, str) else json.dumps(value)
    clean = "".join(char if char.isprintable() else "?" for char in text)
    return clean if len(clean) <= 120 else f"{clean[:117]}..."


def _utc(value: int) -> str:
    if not 0 <= value < 253_402_300_800:  # the year 10000
        return f"{value} s since 1970"
    return when.utc(value)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    return f"{whole // 3600} h" if whole < 172800 else f"{whole // 86400} days"


def request_for(
    audience: str, *, profile: Profile = "scitoken", issuer: str = "", min_lifetime_s: int = 0
) -> TokenRequest:
    """Return a request for checking only: it allows any token that a CE of the audience accepts for jobs."""
    return TokenRequest(
        run_id="check",
        ce=audience,
        audience=audience,
        issuer=issuer,
        scopes=SCOPES[profile],
        profile=profile,
        min_lifetime_s=min_lifetime_s,
    )

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from itb.tokens.check import explain, preflight, request_for, unverified_issuer
from itb.tokens.issuer import FAULTS, Issuer
from itb.tokens.request import SCOPES, SIZE_LIMIT, AcquireCause, AcquireError, TokenRequest

CE = "ce-workspace.glideinwms.org:9619"
REQUEST = TokenRequest(run_id="r", ce=CE, audience=CE)
NOW = int(time.time())
TWICE = b'{"alg": 1, "alg": 2}'


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer.create(tmp_path_factory.mktemp("issuer"))


def refusal(token: str, issuer: Issuer, request: TokenRequest = REQUEST) -> str:
    with pytest.raises(AcquireError) as caught:
        preflight(token, request, issuer.jwks(), provider="test")
    assert caught.value.exit_code == 6
    assert caught.value.cause is AcquireCause.TOKEN
    assert "eyJ" not in caught.value.message + caught.value.evidence
    return caught.value.message


def encode(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def raw(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(header: object, claims: object, signature: str = "c2ln") -> str:
    return f"{encode(header)}.{encode(claims)}.{signature}"


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
@pytest.mark.parametrize("profile", ["scitoken", "wlcg"])
def test_what_our_issuer_mints_is_accepted(issuer: Issuer, algorithm: Any, profile: Any) -> None:
    request = REQUEST.model_copy(update={"profile": profile, "scopes": SCOPES[profile]})
    token = issuer.mint(CE, profile=profile, algorithm=algorithm)
    record = preflight(token, request, issuer.jwks(), provider="local")
    assert record.verified
    assert record.audience == (CE,)
    assert record.expires - record.issued >= 3600
    assert len(record.jti) == 12


def test_without_keys_it_is_unverified_and_never_called_valid(issuer: Issuer) -> None:
    token = issuer.mint(CE)
    assert not preflight(token, REQUEST, None).verified
    check = next(check for check in explain(token, REQUEST) if check.claim == "signature")
    assert check.value.startswith("unverified")


@pytest.mark.parametrize("fault", FAULTS)
def test_every_faulty_token_is_refused(issuer: Issuer, fault: str) -> None:
    refusal(issuer.mint_faulty(REQUEST, fault), issuer)


@pytest.mark.parametrize(
    ("claim", "offset", "expected"),
    [
        ("exp", -60, "expired at"),
        ("exp", 600, "20 min are needed"),
        ("nbf", 30, "in the future"),
        ("iat", 600, "in the future"),
    ],
)
def test_times_a_ce_refuses(issuer: Issuer, claim: str, offset: int, expected: str) -> None:
    now = int(time.time())  # not NOW: much time may pass between collection and this test
    assert expected in refusal(issuer.mint(CE, claims={claim: now + offset}), issuer)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": NOW + 3600.5}, "a whole number of seconds"),
        ({"exp": str(NOW + 3600)}, "a whole number of seconds"),
        ({"exp": True}, "a whole number of seconds"),
        ({"exp": 10**30}, "a whole number of seconds"),
        ({"exp": None}, "no exp"),
        ({"iat": None}, "no iat"),
        ({"nbf": None}, "no nbf"),
        ({"aud": "ce-workspace.glideinwms.org"}, "lacks the port"),
        ({"aud": "other.glideinwms.org:9619"}, "meant for audience other.glideinwms.org:9619"),
        ({"aud": None}, "no audience"),
        ({"aud": []}, "no audience"),
        ({"aud": "https://wlcg.cern.ch/jwt/v1/any"}, "meant for audience https://wlcg.cern.ch"),
        ({"iss": "http://tokens.glideinwms.org/itb"}, "not an https URL"),
        ({"iss": "https://tokens.glideinwms.org/itb/"}, "ends with a slash"),
        ({"iss": "https://tokens.glideinwms.org"}, "has no path"),
        ({"iss": None}, "no issuer"),
        ({"iss": "HTTPS://tokens.glideinwms.org/itb"}, "not an https URL"),
        ({"aud": [CE, 3]}, "no audience"),
        ({"aud": "ANY", "ver": None}, "meant for audience ANY"),
        ({"jti": 5}, "its id (jti) is 5"),
        ({"ver": None, "client_id": "x"}, "claims a CE does not know (client_id)"),
        ({"scope": "condor:/READ\tcondor:/WRITE"}, "does not allow"),
        ({"sub": None}, "no subject"),
        ({"sub": ""}, "no subject"),
        ({"scope": None}, "no scope"),
        ({"scope": ["condor:/READ", "condor:/WRITE"]}, "no scope"),
        ({"scope": "condor:/READ"}, "does not allow WRITE"),
        ({"scope": "storage.read:/"}, "does not allow READ and WRITE"),
        ({"scope": " ".join(SCOPES["wlcg"])}, "compute.* beside a ver claim"),
        ({"scope": " ".join(SCOPES["wlcg"]), "ver": None}, "compute.* without wlcg.ver"),
        ({"scope": " ".join(SCOPES["wlcg"]), "wlcg.ver": "1.0"}, "compute.* beside a ver claim"),
        (
            {"scope": "compute.read compute.create compute.modify", "ver": None, "wlcg.ver": "1.0"},
            "lacks compute.cancel",
        ),
        ({"ver": "scitoken:3.0"}, "ver is scitoken:3.0"),
        ({"ver": 2}, "ver is 2"),
        ({"ver": None, "wlcg.ver": 1.0}, "wlcg.ver is 1.0"),
    ],
)
def test_claims_a_ce_refuses(issuer: Issuer, claims: dict[str, Any], expected: str) -> None:
    assert expected in refusal(issuer.mint(CE, claims=claims), issuer)


@pytest.mark.parametrize(
    "claims",
    [
        {"ver": None},
        {"ver": "scitokens:2.0"},
        {"ver": "scitokens:1.0"},
        {"scope": "condor:/WRITE"},
        {"scope": "condor:/ADMINISTRATOR"},
        {"exp": 10**15},
        {"iat": 0, "nbf": -1},
        {"foo": 1},
        {"aud": ["other:1", CE]},
        {"aud": "ANY"},
        {"jti": None},
        {"scope": "storage.read:/ condor:/WRITE condor:/READ"},
        {"ver": None, "wlcg.ver": "1.0"},
        {"ver": None, "wlcg.ver": "1.0", "aud": "https://wlcg.cern.ch/jwt/v1/any"},
    ],
)
def test_claims_a_ce_accepts(issuer: Issuer, claims: dict[str, Any]) -> None:
    preflight(issuer.mint(CE, claims=claims), REQUEST, issuer.jwks())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda token: f"Bearer {token}", "begins with the word 'Bearer'"),
        (lambda token: f'"{token}"', "in quotes"),
        (lambda token: f"{token}\n{token}", "has 2 lines"),
        (lambda token: f"{token}\n", "line end"),
        (lambda token: f"{token} ", "blanks"),
        (lambda _: "", "is empty"),
        (lambda _: " \n", "is empty"),
        (lambda _: "hello", "1 part(s)"),
        (lambda _: "a.b.c.d.e", "encrypted"),
        (lambda token: token.replace(".", ".!", 1), "payload is not base64url"),
        (lambda _: "x" * SIZE_LIMIT, "bytes long"),
        (lambda _: "bm8.bm8.bm8", "header is not JSON"),
        (lambda token: f"{raw(b'{}x')}.{token.partition('.')[2]}", "header has more than a JSON object"),
        (lambda token: f"{raw('{}'.encode('utf-16'))}.{token.partition('.')[2]}", "header is not JSON"),
        (lambda token: f"{raw(TWICE)}.{token.partition('.')[2]}", "header has the key alg twice"),
        (lambda _: unsigned([1], {}), "header is not a JSON object"),
        (lambda token: token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"), "signature does not fit"),
        (lambda token: token.rpartition(".")[0] + ".", "signature"),
    ],
)
def test_forms_that_are_no_token(issuer: Issuer, change: Any, expected: str) -> None:
    assert expected in refusal(change(issuer.mint(CE)), issuer)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"alg": "none"}, "not signed at all"),
        ({"alg": "None"}, "not signed at all"),
        ({"alg": "HS256", "kid": "x"}, "algorithm HS256"),
        ({"alg": "ES384", "kid": "x"}, "algorithm ES384"),
        ({"kid": "x"}, "algorithm null"),
        ({"alg": ["ES256"], "kid": "x"}, "algorithm"),
        ({"alg": "ES256"}, "no key id"),
        ({"alg": "ES256", "kid": 7}, "no key id"),
        ({"alg": "ES256", "kid": "nobody"}, "key id nobody is not published"),
        ({"alg": "ES256", "kid": "x", "crit": ["b64"]}, "critical extensions"),
    ],
)
def test_headers_a_ce_refuses(issuer: Issuer, header: dict[str, Any], expected: str) -> None:
    assert expected in refusal(unsigned(header, {"iss": issuer.url}), issuer)


def test_an_hs256_token_made_from_the_public_key_is_refused(issuer: Issuer) -> None:
    kid = issuer.jwks()["keys"][0]["kid"]
    assert "HS256" in refusal(unsigned({"alg": "HS256", "kid": kid}, {}), issuer)


def test_the_wrong_issuer_is_named(issuer: Issuer) -> None:
    request = REQUEST.model_copy(update={"issuer": "https://cilogon.org/fermilab"})
    assert "https://cilogon.org/fermilab was asked for" in refusal(issuer.mint(CE), issuer, request)


def test_every_reason_is_in_the_evidence(issuer: Issuer) -> None:
    token = issuer.mint(CE, claims={"exp": NOW - 5, "aud": "x:1", "sub": ""})
    with pytest.raises(AcquireError) as caught:
        preflight(token, REQUEST, issuer.jwks())
    assert [line.partition(":")[0] for line in caught.value.evidence.splitlines()] == ["exp", "sub", "aud"]


@pytest.mark.parametrize("value", ["a\x1b[31mb\nc", "x" * 5000, {"deep": ["er"]}, None, 3, True, [None]])
@pytest.mark.parametrize(
    "claim", ["iss", "sub", "aud", "scope", "exp", "nbf", "iat", "ver", "wlcg.ver", "jti"]
)
def test_odd_values_are_shown_on_one_short_line(issuer: Issuer, claim: str, value: object) -> None:
    for check in explain(issuer.mint(CE, claims={claim: value}), REQUEST, issuer.jwks()):
        for text in (check.value, check.reason):
            assert text.isprintable()
            assert len(text) < 400


@pytest.mark.parametrize("jwks", [{}, {"keys": None}, {"keys": [1, None]}, {"keys": [{"kid": "x"}]}])
def test_a_broken_key_set_verifies_nothing(issuer: Issuer, jwks: dict[str, Any]) -> None:
    with pytest.raises(AcquireError):
        preflight(issuer.mint(CE, header={"kid": "x"}), REQUEST, jwks)


def test_no_clock_leeway(issuer: Issuer) -> None:
    token = issuer.mint(CE, claims={"iat": NOW, "nbf": NOW, "exp": NOW + 3600})
    preflight(token, REQUEST, issuer.jwks(), now=NOW)
    with pytest.raises(AcquireError):
        preflight(token, REQUEST, issuer.jwks(), now=NOW - 1)
    with pytest.raises(AcquireError):
        preflight(token, request_for(CE), issuer.jwks(), now=NOW + 3600)


def test_the_claimed_issuer_is_found_only_where_there_is_one(issuer: Issuer) -> None:
    assert unverified_issuer(issuer.mint(CE)) == issuer.url
    assert unverified_issuer("nonsense") == ""
    assert unverified_issuer(unsigned({}, {"iss": 3})) == ""

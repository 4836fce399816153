from __future__ import annotations

import json
import pickle
import stat
import time
from pathlib import Path

import jwt
import pytest

from itb.errors import UsageError
from itb.tokens.issuer import FAULTS, Issuer, thumbprint
from itb.tokens.parse import decode_token
from itb.tokens.request import Secret, TokenRequest

REQUEST = TokenRequest(run_id="r", ce="ce.example.org:9619", audience="ce.example.org:9619")


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer.create(tmp_path / "tokens")


def test_thumbprint_is_the_one_of_rfc_7638() -> None:
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi"
        "FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb"
        "9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls"
        "1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    assert thumbprint({"kty": "RSA", "e": "AQAB", "n": n}) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_published_files_lead_from_the_issuer_to_its_keys(issuer: Issuer) -> None:
    files = {path: json.loads(content) for path, content in issuer.files().items()}
    configuration = files["itb/.well-known/openid-configuration"]
    assert configuration["issuer"] == issuer.url
    assert configuration["jwks_uri"] == "https://tokens.glideinwms.org/itb/jwks.json"
    assert files["itb/jwks.json"] == issuer.jwks()
    assert set(files) == {"itb/.well-known/openid-configuration", "itb/jwks.json"}


def test_nothing_private_is_published(issuer: Issuer) -> None:
    for key in issuer.jwks()["keys"]:
        assert not {"d", "p", "q", "dp", "dq", "qi"} & set(key)


def test_keys_are_private_and_survive_the_process(issuer: Issuer, tmp_path: Path) -> None:
    again = Issuer.load_or_create(tmp_path / "tokens")
    assert again.jwks() == issuer.jwks()
    keys = list((tmp_path / "tokens").glob("*.key"))
    assert len(keys) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}


def test_a_key_that_begins_with_zeroes_is_published_whole(tmp_path: Path) -> None:
    for number in range(300):  # one key in 256 begins with a zero byte
        issuer = Issuer.create(tmp_path / str(number), algorithms=("ES256",))
        key = issuer.jwks()["keys"][0]
        assert len(jwt.utils.base64url_decode(key["x"])) == 32
        assert len(jwt.utils.base64url_decode(key["y"])) == 32


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_a_token_verifies_with_the_published_keys(issuer: Issuer, algorithm: str) -> None:
    token = issuer.mint("ce:1", algorithm=algorithm)  # type: ignore[arg-type]
    keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(issuer.jwks()).keys}
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=[algorithm], audience="ce:1", issuer=issuer.url)
    assert claims["iat"] == claims["nbf"]
    assert all(isinstance(claims[name], int) for name in ("iat", "nbf", "exp"))


def test_every_fault_can_be_made(issuer: Issuer) -> None:
    for fault in FAULTS:
        assert issuer.mint_faulty(REQUEST, fault).count(".") == 2
    with pytest.raises(UsageError, match="wrong-audience"):
        issuer.mint_faulty(REQUEST, "no-such")


def test_a_secret_does_not_show_itself(issuer: Issuer) -> None:
    secret = Secret(issuer.mint("ce:1"))
    assert "eyJ" not in f"{secret} {secret!r}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_an_issuer_that_was_removed_is_said_to_be_gone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="issuer is gone"):
        Issuer.load(tmp_path)


def test_a_short_life_is_only_given_when_asked_for(issuer: Issuer) -> None:
    request = TokenRequest(run_id="r", ce="ce:9619", audience="ce:9619", min_lifetime_s=7200)
    for lifetime, least, most in ((None, 7200, 7300), (90, 89, 91)):
        before = time.time()
        expires = decode_token(issuer.mint_for(request, lifetime=lifetime)).claims["exp"]
        assert before + least <= expires <= time.time() + most


@pytest.mark.parametrize("valid_in", [-600, 180])
def test_a_token_is_issued_for_another_time(issuer: Issuer, valid_in: int) -> None:
    claims = decode_token(issuer.mint_for(REQUEST, lifetime=600, valid_in=valid_in)).claims
    assert claims["iat"] == claims["nbf"]
    assert abs(claims["nbf"] - time.time() - valid_in) < 5
    assert abs(claims["exp"] - time.time() - 600) < 5

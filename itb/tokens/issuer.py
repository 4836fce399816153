"""A token issuer of the run: its keys, the static files that publish them, valid and faulty tokens.

Any web server can serve the files over HTTPS under the issuer's URL; the
private keys never leave the run's private directory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from itb.errors import UsageError
from itb.roles import CE_PORT
from itb.tokens.request import SCOPES, Profile, TokenRequest
from itb.util import known_secrets, private_keys
from itb.util.files import private_directory, write_atomically
from itb.util.private_keys import PrivateKey

URL = "https://tokens.glideinwms.org/itb"
LIFETIME = 3600  # seconds
SKEW = 60  # seconds: HTCondor tolerates no clock difference, so tokens are valid from the past on

Algorithm = Literal["ES256", "RS256"]

# Faults for which a CE must refuse a token; one that is soon-expiring it must stop accepting.
FAULTS = (
    "wrong-audience",
    "no-port",
    "expired",
    "future",
    "other-key",
    "unknown-kid",
    "read-only",
    "soon-expiring",
)


@dataclass(frozen=True)
class _Key:
    """A private key, its algorithm and its RFC 7638 thumbprint."""

    algorithm: Algorithm
    private: PrivateKey

    def __post_init__(self) -> None:
        private_keys.remember(self.private)

    @property
    def jwk(self) -> dict[str, Any]:
        """Return the public part as the key set publishes it."""
        public = self.private.public_key()
        if isinstance(public, ec.EllipticCurvePublicKey):
            point = public.public_numbers()
            # 32 bytes always: a coordinate that begins with zeroes is not shorter (RFC 7518, 6.2.1.2)
            members = {
                "kty": "EC",
                "crv": "P-256",
                "x": _base64url(point.x, 32),
                "y": _base64url(point.y, 32),
            }
        else:
            rsa_numbers = public.public_numbers()
            members = {"kty": "RSA", "n": _base64url(rsa_numbers.n), "e": _base64url(rsa_numbers.e)}
        return {**members, "kid": thumbprint(members), "alg": self.algorithm, "use": "sig"}

    @classmethod
    def make(cls, algorithm: Algorithm) -> Self:
        """Make a new key."""
        if algorithm == "ES256":
            return cls(algorithm, ec.generate_private_key(ec.SECP256R1()))
        return cls(algorithm, rsa.generate_private_key(public_exponent=65537, key_size=2048))

    def __repr__(self) -> str:
        return f"_Key({self.algorithm})"


class Issuer:
    """Issues the tokens of one run, under one URL."""

    def __init__(self, url: str, keys: Sequence[_Key]) -> None:
        self.url = url
        self._keys = {key.algorithm: key for key in keys}

    @classmethod
    def create(
        cls, directory: Path, url: str = URL, *, algorithms: Sequence[Algorithm] = ("ES256", "RS256")
    ) -> Self:
        """Make an issuer and keep its keys in ``directory`` (made 0700; keys 0600).

        The first algorithm is the default for signing.
        """
        private_directory(directory)
        issuer = cls(url, [_Key.make(algorithm) for algorithm in algorithms])
        for key in issuer._keys.values():
            text = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_atomically(directory / f"issuer-{key.algorithm}.key", text, mode=0o600)
        record = {"url": url, "algorithms": list(issuer._keys)}
        write_atomically(directory / "issuer.json", json.dumps(record), mode=0o600)
        return issuer

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Load the issuer that :meth:`create` kept; UsageError if the run's teardown removed it."""
        try:
            record = json.loads((directory / "issuer.json").read_bytes())
            keys = []
            for algorithm in record["algorithms"]:
                text = (directory / f"issuer-{algorithm}.key").read_bytes()
                private = load_pem_private_key(text, password=None)
                assert isinstance(private, PrivateKey)
                keys.append(_Key(algorithm, private))
        except FileNotFoundError as error:
            raise UsageError(
                f"the run's token issuer is gone ({error.filename})",
                hint="it is removed with the testbed; start a new run, or keep the testbed with --keep always",
            ) from None
        return cls(record["url"], keys)

    @classmethod
    def load_or_create(cls, directory: Path, url: str = URL) -> Self:
        """Load the issuer kept in ``directory``, or create one if there is none."""
        return cls.load(directory) if (directory / "issuer.json").exists() else cls.create(directory, url)

    def jwks(self) -> dict[str, Any]:
        """Return the key set as it is published."""
        return {"keys": [key.jwk for key in self._keys.values()]}

    def files(self) -> dict[str, bytes]:
        """Return the files to serve: JSON by path below the document root of the URL's host.

        Nothing else of the issuer is public.
        """
        base = urlsplit(self.url).path.strip("/")
        prefix = f"{base}/" if base else ""
        configuration = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks.json",
            "id_token_signing_alg_values_supported": list(self._keys),
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
        }
        return {
            f"{prefix}.well-known/openid-configuration": json.dumps(configuration, indent=1).encode(),
            f"{prefix}jwks.json": json.dumps(self.jwks(), indent=1).encode(),
        }

    def mint(
        self,
        audience: str | Sequence[str],
        *,
        scopes: Sequence[str] = (),
        profile: Profile = "scitoken",
        subject: str = "itb",
        lifetime: float = LIFETIME,
        algorithm: Algorithm | None = None,
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
        key: PrivateKey | None = None,
    ) -> str:
        """Return a new token.

        ``lifetime`` is in seconds from now; ``claims`` and ``header`` replace
        the default values, None removes one; ``key`` signs instead of the
        issuer's own, under the issuer's key id.
        """
        default_key = self._keys[algorithm] if algorithm else next(iter(self._keys.values()))
        now = int(time.time())
        payload: dict[str, Any] = {
            "iss": self.url,
            "sub": subject,
            "aud": audience if isinstance(audience, str) else list(audience),
            "scope": " ".join(scopes or SCOPES[profile]),
            "jti": secrets.token_hex(16),
            "iat": now - SKEW,
            "nbf": now - SKEW,
            "exp": int(now + lifetime),
            **({"ver": "scitoken:2.0"} if profile == "scitoken" else {"wlcg.ver": "1.0"}),
            **(claims or {}),
        }
        payload = {name: value for name, value in payload.items() if value is not None}
        headers = {"kid": default_key.jwk["kid"], **(header or {})}
        headers = {name: value for name, value in headers.items() if value is not None}
        text = json.dumps(payload).encode()
        signing_key = key or default_key.private
        token = jwt.api_jws.encode(text, signing_key, algorithm=default_key.algorithm, headers=headers)
        known_secrets.remember_token(token)
        return token

    def mint_for(
        self,
        request: TokenRequest,
        *,
        subject: str = "itb",
        lifetime: int | None = None,
        valid_in: float = -SKEW,
    ) -> str:
        """Return the token of a request; ``lifetime``, in seconds, may be less than the request asks for.

        It is issued, and valid, ``valid_in`` seconds from now on, or since then.
        """
        begin = int(time.time() + valid_in)
        return self.mint(
            request.audience,
            scopes=request.scopes,
            profile=request.profile,
            subject=request.subject or subject,
            lifetime=lifetime or max(LIFETIME, request.min_lifetime_s + SKEW),
            claims={"iat": begin, "nbf": begin},
        )

    def mint_faulty(self, request: TokenRequest, fault: str) -> str:
        """Return a token with one of :data:`FAULTS`, otherwise as requested; UsageError for an unknown fault."""
        now = int(time.time())
        changes: dict[str, dict[str, Any]] = {
            "wrong-audience": {"claims": {"aud": f"other-ce.glideinwms.org:{CE_PORT}"}},
            "no-port": {"claims": {"aud": request.audience.rpartition(":")[0]}},
            "expired": {"claims": {"iat": now - 7200, "nbf": now - 7200, "exp": now - 3600}},
            "future": {"claims": {"nbf": now + 3600, "exp": now + 7200}},
            "other-key": {"key": _Key.make(next(iter(self._keys))).private},
            "unknown-kid": {"header": {"kid": "itb-no-such-key"}},
            "read-only": {"scopes": ("condor:/READ",), "profile": "scitoken"},
            "soon-expiring": {"lifetime": 60},
        }
        if fault not in changes:
            raise UsageError(f"no token fault {fault!r}; there are {', '.join(FAULTS)}")
        options: dict[str, Any] = {"scopes": request.scopes, "profile": request.profile, **changes[fault]}
        return self.mint(request.audience, **options)


def thumbprint(members: Mapping[str, str]) -> str:
    """Return the RFC 7638 thumbprint of a public key's required members."""
    canonical = json.dumps(dict(sorted(members.items())), separators=(",", ":")).encode()
    return _encode(hashlib.sha256(canonical).digest())


def _base64url(number: int, size: int = 0) -> str:
    return _encode(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

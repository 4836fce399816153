"""Signing of SciTokens: the part of the scitokens library (scitokens/scitokens, 1.8) GlideinWMS uses.

A stand-in, Debian 13 has no such package.  Nothing here verifies a token.
"""

import time
import uuid

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa


class MissingKeyException(Exception):
    """There is no key to sign with."""


class MissingIssuerException(Exception):
    """No issuer is among the claims, and none was given."""


class UnsupportedKeyException(Exception):
    """The key is of another kind than the algorithm, or of none that is known."""


class SciToken:
    """Claims and the key they are signed with; ``key`` is a loaded private key or, with an algorithm, its PEM."""

    def __init__(self, key=None, algorithm=None, key_id=None, claims=None):
        if claims is not None:
            raise NotImplementedError
        known = _algorithm_of(key)
        if key and not algorithm and not known:
            raise UnsupportedKeyException("the algorithm was not passed and cannot be derived from the key")
        if algorithm and known and algorithm != known:
            raise UnsupportedKeyException(f"key is of type {known}, the argument was {algorithm}")
        self._algorithm = algorithm or known or "RS256"
        if self._algorithm not in ("RS256", "ES256"):
            raise UnsupportedKeyException
        self._key, self._key_id = key, key_id
        self._claims = {}

    def __getitem__(self, claim):
        return self._claims[claim]

    def __setitem__(self, claim, value):
        self._claims[claim] = value

    def __delitem__(self, claim):
        del self._claims[claim]

    def __contains__(self, claim):
        return claim in self._claims

    def get(self, claim, default=None, verified_only=False):
        """Return a claim or the default."""
        return default if verified_only else self._claims.get(claim, default)

    def claims(self):
        """Yield pairs of claim and value."""
        yield from self._claims.items()

    def update_claims(self, claims):
        """Add claims."""
        self._claims.update(claims)

    def serialize(self, include_key=False, issuer=None, lifetime=600):
        """Return the signed token as bytes, valid from now for ``lifetime`` seconds."""
        if include_key is not False:
            raise NotImplementedError
        if self._key is None:
            raise MissingKeyException("Unable to serialize, missing private key")
        if issuer is None and "iss" not in self:
            raise MissingIssuerException("Issuer not specific in claims or as argument")
        now = int(time.time())
        self._claims.setdefault("jti", str(uuid.uuid4()))
        times = {"iat": now, "nbf": now, "exp": int(now + lifetime)}
        payload = {**self._claims, "iss": issuer or self["iss"], **times}
        headers = {"kid": self._key_id} if self._key_id is not None else None
        # Bytes also with a PyJWT that returns text: callers decode them.
        return jwt.encode(payload, self._key, algorithm=self._algorithm, headers=headers).encode()


def _algorithm_of(key):
    if isinstance(key, rsa.RSAPrivateKey):
        return "RS256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1":
        return "ES256"
    return None

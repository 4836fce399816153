"""Signing of SciTokens: the part of the scitokens library GlideinWMS uses.

A stand-in, Debian 13 has no such package.  Nothing here verifies a token.
"""

import time
import uuid

import jwt


class SciToken:
    """Claims and the key they are signed with; ``key`` is a loaded private key or its PEM."""

    def __init__(self, key=None, algorithm=None, key_id=None):
        self._key, self._algorithm, self._key_id = key, algorithm or "RS256", key_id
        self._claims = {}

    def __getitem__(self, claim):
        return self._claims[claim]

    def __setitem__(self, claim, value):
        self._claims[claim] = value

    def __contains__(self, claim):
        return claim in self._claims

    def get(self, claim, default=None):
        """Return a claim or the default."""
        return self._claims.get(claim, default)

    def claims(self):
        """Yield pairs of claim and value."""
        yield from self._claims.items()

    def update_claims(self, claims):
        """Add claims."""
        self._claims.update(claims)

    def serialize(self, include_key=False, issuer=None, lifetime=600):
        """Return the signed token, valid from now for ``lifetime`` seconds."""
        if include_key:
            raise NotImplementedError("include_key")
        if self._key is None:
            raise ValueError("Unable to serialize, missing private key")
        issuer = issuer or self._claims.get("iss")
        if not issuer:
            raise ValueError("Issuer not specific in claims or as argument")
        now = int(time.time())
        payload = {"jti": str(uuid.uuid4()), "ver": "scitoken:2.0", **self._claims}
        payload.update({"iss": issuer, "iat": now, "nbf": now, "exp": now + int(lifetime)})
        headers = {"kid": self._key_id} if self._key_id else None
        return jwt.encode(payload, self._key, algorithm=self._algorithm, headers=headers)

#!/usr/bin/env python3
"""Token issuer by hand for plain.sh: writes its public files, a good token and three bad ones here.

Needs PyJWT and cryptography.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER = "https://tokens.glideinwms.org/itb"
AUDIENCE = "ce-workspace.glideinwms.org:9619"


def mint(key: ec.EllipticCurvePrivateKey, *, audience: str = AUDIENCE, lifetime: int = 3600) -> str:
    """Return a SciToken that lets its bearer submit."""
    now = int(time.time())
    claims = {
        "iss": ISSUER, "sub": "plain", "aud": audience, "scope": "condor:/READ condor:/WRITE",
        "ver": "scitoken:2.0", "iat": now - 60, "nbf": now - 60, "exp": now + lifetime, "jti": "plain",
    }  # fmt: skip
    return jwt.encode(claims, key, algorithm="ES256", headers={"kid": "plain"})


def main() -> None:
    """Write everything to the current folder."""
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    public.update(kid="plain", use="sig", alg="ES256")
    Path("jwks.json").write_text(json.dumps({"keys": [public]}))
    about = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks.json"}
    Path("openid-configuration").write_text(json.dumps(about))
    Path("token").write_text(mint(key) + "\n")
    Path("token.wrong-audience").write_text(mint(key, audience="elsewhere:9619") + "\n")
    Path("token.expired").write_text(mint(key, lifetime=-30) + "\n")
    Path("token.other-key").write_text(mint(other) + "\n")


if __name__ == "__main__":
    main()

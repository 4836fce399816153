"""An issuer's published keys, fetched the way a CE does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from itb.tokens.https import Failure, HttpsError, get

TIMEOUT = 4.0  # seconds: scitokens-cpp gives discovery no more
_LIMIT = 1 << 20  # bytes


def fetch_jwks(issuer: str, *, ca: Path | None = None) -> Mapping[str, Any] | None:
    """Return the key set of an issuer, None where it cannot be had.

    The issuer must be what its own configuration says it is.  ``ca`` is a
    file of certificates tried when the machine's own bundle does not do.
    """
    configuration = _read(f"{issuer}/.well-known/openid-configuration", ca)
    address = configuration.get("jwks_uri") if configuration else None
    if not isinstance(address, str) or not configuration or configuration.get("issuer", issuer) != issuer:
        return None
    keys = _read(address, ca)
    return keys if keys and isinstance(keys.get("keys"), list) else None


def _read(url: str, ca: Path | None) -> dict[str, Any] | None:
    try:
        try:
            answer = get(url, timeout=TIMEOUT, limit=_LIMIT, proxy=None)
        except HttpsError as error:
            if error.failure is not Failure.UNTRUSTED or ca is None:
                return None
            answer = get(url, timeout=TIMEOUT, limit=_LIMIT, ca=ca, proxy=None)
        value = json.loads(answer.body) if answer.status == 200 else None
    except (HttpsError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

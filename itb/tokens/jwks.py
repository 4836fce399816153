"""An issuer's published keys, fetched the way a CE does."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

TIMEOUT = 4.0  # seconds: scitokens-cpp gives discovery no more
_LIMIT = 1 << 20  # bytes


def fetch_jwks(issuer: str, *, ca: Path | None = None) -> Mapping[str, Any] | None:
    """Return the key set of an issuer, None where it cannot be had.

    Only https is followed, no redirect to anything else; each of the two
    requests has four seconds in all.
    """
    configuration = _get(f"{issuer}/.well-known/openid-configuration", ca)
    address = configuration.get("jwks_uri") if configuration else None
    if not isinstance(address, str):
        return None
    keys = _get(address, ca)
    return keys if keys and isinstance(keys.get("keys"), list) else None


def _get(url: str, ca: Path | None) -> dict[str, Any] | None:
    if not url.startswith("https://"):
        return None
    end = time.monotonic() + TIMEOUT
    data = b""
    try:
        with requests.get(
            url, timeout=TIMEOUT, verify=str(ca) if ca else True, stream=True, allow_redirects=False
        ) as response:
            if response.status_code != requests.codes.ok:
                return None
            for piece in response.iter_content(1 << 14):
                data += piece
                if len(data) > _LIMIT or time.monotonic() > end:
                    return None
        value = json.loads(data)
    except (requests.RequestException, ValueError, OSError):
        return None
    return value if isinstance(value, dict) else None

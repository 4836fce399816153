"""One GET over HTTPS, bounded in time and size; redirects are not followed."""

from __future__ import annotations

import json
import os
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import requests

_LIMIT = 64 * 1024  # bytes: four times the longest token


class HttpsFailure(StrEnum):
    """The reason why a request has no response."""

    TIMEOUT = "timeout"
    UNTRUSTED = "untrusted"  # the certificate or TLS itself
    UNREACHABLE = "unreachable"
    TOO_LARGE = "too large"
    INVALID = "invalid"  # the URL, or an answer that is not HTTP


class HttpsError(Exception):
    """A request has no response; the message is one line and holds no header."""

    def __init__(self, failure: HttpsFailure, message: str) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message


@dataclass(frozen=True)
class HttpsResponse:
    """The status and body of a response, and the target of a redirect, which is not followed."""

    status: int
    body: bytes
    location: str = ""


def get(
    url: str,
    *,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    ca: Path | None = None,
    limit: int = _LIMIT,
    proxy: str | None = "",
) -> HttpsResponse:
    """Return the response of an https URL within ``timeout`` seconds in all.

    ``ca`` is a file or hashed directory of certificates to trust instead of
    the machine's.  ``proxy`` is the URL of a proxy, empty for none, None for
    the one that the environment names.  Raises HttpsError.
    """
    if not url.startswith("https://"):
        raise HttpsError(HttpsFailure.INVALID, f"{url[:200]} is not an https URL")
    if ca is not None and not os.access(ca, os.R_OK):
        raise HttpsError(HttpsFailure.UNTRUSTED, f"its CA cannot be looked up: {ca} cannot be read")
    call = _HttpsRequest(
        url, dict(headers or {}), dict(params or {}), str(ca) if ca else machine_ca(), timeout, limit, proxy
    )
    results: list[HttpsResponse | HttpsError] = []
    # The time limit of requests is for the silence between two bytes: a
    # server that sends a byte now and then would keep the call going for ever.
    thread = threading.Thread(target=lambda: results.append(call.run()), daemon=True)
    thread.start()
    thread.join(timeout + 0.5)
    if not results:
        raise HttpsError(HttpsFailure.TIMEOUT, f"no answer within {timeout:.0f} s")
    if isinstance(results[0], HttpsError):
        raise results[0]
    return results[0]


@dataclass(frozen=True, repr=False)
class _HttpsRequest:
    """One request; it has no repr, because its headers are secret."""

    url: str
    headers: dict[str, str]
    params: dict[str, str]
    verify: str | bool
    timeout: float
    limit: int
    proxy: str | None

    def run(self) -> HttpsResponse | HttpsError:
        """Return the response, or the error."""
        try:
            return self._get()
        except requests.exceptions.SSLError as error:
            return HttpsError(HttpsFailure.UNTRUSTED, _tls_problem(str(error)))
        except requests.exceptions.Timeout:
            return HttpsError(HttpsFailure.TIMEOUT, f"no answer within {self.timeout:.0f} s")
        except requests.exceptions.ProxyError as error:
            return HttpsError(HttpsFailure.UNREACHABLE, f"the proxy {_connection_problem(str(error))}")
        except requests.exceptions.ConnectionError as error:
            return HttpsError(HttpsFailure.UNREACHABLE, _connection_problem(str(error)))
        except (requests.exceptions.RequestException, ValueError, OSError) as error:
            return HttpsError(HttpsFailure.INVALID, f"cannot be asked: {type(error).__name__}")

    def _get(self) -> HttpsResponse | HttpsError:
        with requests.Session() as session, session.get(
            self.url,
            headers={"Accept-Encoding": "identity", **self.headers},
            params=self.params,
            timeout=self.timeout,
            verify=self.verify,
            stream=True,
            allow_redirects=False,
            auth=_without_netrc,
            proxies=self._proxies(session),
        ) as response:
            body = b""
            for piece in response.iter_content(1 << 14):
                body += piece
                if len(body) > self.limit:
                    if response.status_code != 200:  # the status is enough to explain the failure
                        return HttpsResponse(response.status_code, b"", response.headers.get("Location", ""))
                    return HttpsError(HttpsFailure.TOO_LARGE, f"answered more than {self.limit} bytes")
            return HttpsResponse(response.status_code, body, response.headers.get("Location", ""))


    def _proxies(self, session: requests.Session) -> dict[str, str] | None:
        if self.proxy is None:
            return None
        session.trust_env = False  # a proxy of the environment would see the host: it is used only on request
        return {"https": self.proxy} if self.proxy else None


def _tls_problem(text: str) -> str:
    if "hostname" in text.lower() or "doesn't match" in text:
        return "its certificate is for another name"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "its certificate is not signed by a CA this machine believes"
    return "the TLS handshake fails"


def _connection_problem(text: str) -> str:
    if "refused" in text:
        return "refuses the connection"
    if "resolve" in text or "Name or service not known" in text or "name resolution" in text:
        return "its name is not known"
    return "cannot be reached, or closed the connection"


def _without_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Return the request unchanged: given as ``auth``, this keeps requests from reading ~/.netrc."""
    return request


def machine_ca() -> str | bool:
    """Return the machine's own CA bundle, True if it has none; certifi's, the default, lacks the CAs of a site."""
    path = ssl.get_default_verify_paths().cafile or "/etc/pki/tls/certs/ca-bundle.crt"
    return path if Path(path).is_file() else True

TIMEOUT = 4.0  # seconds: scitokens-cpp gives discovery no more
_JWKS_LIMIT = 1 << 20  # bytes


def fetch_jwks(issuer: str, *, ca: Path | None = None) -> Mapping[str, Any] | None:
    """Return the key set of an issuer, None if it is not available.

    The configuration that the issuer publishes must name the same issuer.
    ``ca`` is a file of certificates to try if the machine's do not fit.
    """
    configuration = _read_json(f"{issuer}/.well-known/openid-configuration", ca)
    address = configuration.get("jwks_uri") if configuration else None
    if not isinstance(address, str) or not configuration or configuration.get("issuer", issuer) != issuer:
        return None
    keys = _read_json(address, ca)
    return keys if keys and isinstance(keys.get("keys"), list) else None


def _read_json(url: str, ca: Path | None) -> dict[str, Any] | None:
    try:
        try:
            response = get(url, timeout=TIMEOUT, limit=_JWKS_LIMIT, proxy=None)
        except HttpsError as error:
            if error.failure is not HttpsFailure.UNTRUSTED or ca is None:
                return None
            response = get(url, timeout=TIMEOUT, limit=_JWKS_LIMIT, ca=ca, proxy=None)
        value = json.loads(response.body) if response.status == 200 else None
    except (HttpsError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None

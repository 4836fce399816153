"""The provider ``vault``: it exchanges a Vault token, renewed by Fermilab's Managed Tokens, for a bearer token.

It makes the same call as htgettoken, and has a message for each status of the server.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from pydantic import Field

from itb.errors import UsageError
from itb.model import Record
from itb.tokens.https import HttpsError, HttpsFailure, HttpsResponse, get
from itb.tokens.private_file import read_private
from itb.tokens.providers.base import Provider, ProviderContext
from itb.tokens.request import AcquireCause, AcquireError, Secret, TokenRequest
from itb.util.files import expand
from itb.util.known_secrets import remember
from itb.util.redact import redact

_PORT = 8200
_RETRY_STATUSES = (408, 412, 425, 429)  # 412: a node that has not caught up with the others
_CALL_TIMEOUT = 10.0  # seconds, the same as htgettoken's


class Options(Record):
    """``token: {vault: {...}}`` of the configuration.

    ``server`` is HOST or HOST:PORT; ``issuer`` and ``role`` are Vault's names
    (fermilab, default); ``credkey`` is the Kerberos principal without its
    realm; ``vault_token_file`` is looked for where Managed Tokens puts it;
    ``ca`` is a file or directory of certificates; ``restrict`` asks for a
    token of just the requested audience and scopes; ``namespace`` is Vault's;
    ``proxy`` is the URL of a proxy to use: those of the environment are not
    used.
    """

    server: str
    issuer: str
    role: str = "default"
    credkey: str
    vault_token_file: str = ""
    ca: str = ""
    minimum_seconds: int | None = Field(default=None, ge=0)
    restrict: bool = True
    namespace: str = Field(default="", pattern=r"^[!-~]*$")
    proxy: str = ""


class VaultProvider(Provider):
    """Exchanges a Vault token for a bearer token."""

    about = "a Vault token kept by Managed Tokens, exchanged for a bearer token"
    options_type = Options
    _options: Options

    def __init__(self, options: Options, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._base = f"https://{_address(options.server, context.where)}/v1"
        self._deadline = 0.0  # of the monotonic clock, for all calls together
        self._ca = expand(options.ca) if options.ca else None

    def obtain(self, request: TokenRequest, *, timeout: float) -> Secret:
        """Exchange the Vault token once."""
        self._deadline = time.monotonic() + timeout
        token = self._vault_token()
        options = self._options
        minimum = request.min_lifetime_s if options.minimum_seconds is None else options.minimum_seconds
        params = {"minimum_seconds": str(minimum)}
        if options.restrict:
            params |= {"scopes": ",".join(request.scopes), "audience": request.audience}
        endpoint = "sts" if options.restrict else "creds"
        name = f"{quote(options.issuer, safe='')}/{quote(options.credkey, safe='')}:{quote(options.role, safe='')}"
        response = self._request(f"secret/oauth/{endpoint}/{name}", token, params=params)
        if response.status != 200:
            raise self._explain(response, token)
        try:
            value = json.loads(response.body)["data"]["access_token"]
        except (ValueError, KeyError, TypeError, RecursionError):
            value = None
        if not isinstance(value, str) or not value:
            raise self._error(
                AcquireCause.CONFIGURATION, "answers without a token in it", "is it a Vault with oauth?"
            )
        return Secret(value)

    def setup_problem(self) -> str:
        """Return why the Vault token or the CA cannot be read, empty if both can; the server is not asked."""
        if self._ca is not None and not os.access(self._ca, os.R_OK):
            return f"CA {self._ca} cannot be read"
        try:
            self._vault_token()
        except AcquireError as error:
            return error.message
        return ""

    def _vault_token(self) -> str:
        path = self._options.vault_token_file
        file = expand(path) if path else self._discover()
        token = read_private(file, what="provider vault: Vault token file", cause=AcquireCause.PERSON).strip()
        remember(token)
        if not token or not token.isprintable() or " " in token:
            raise AcquireError(f"provider vault: {file} holds no Vault token", cause=AcquireCause.PERSON)
        return token

    def _discover(self) -> Path:
        """Return the file of Managed Tokens for the experiment and role, or else htgettoken's for the user."""
        default = f"/tmp/vt_u{os.geteuid()}"
        managed = Path(f"{default}-{self._options.issuer}_{self._options.role}")
        return managed if os.path.lexists(managed) else Path(default)

    def _request(self, path: str, token: str, *, params: Mapping[str, str] | None = None) -> HttpsResponse:
        # As Vault's own clients send it: a Vault may refuse requests without it, as forged ones (SSRF).
        headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
        if self._options.namespace:
            headers["X-Vault-Namespace"] = self._options.namespace
        try:
            return get(
                f"{self._base}/{path}",
                headers=headers,
                params=params,
                timeout=max(0.1, min(self._deadline - time.monotonic(), _CALL_TIMEOUT)),
                ca=self._ca,
                proxy=self._options.proxy,
            )
        except HttpsError as error:
            permanent = error.failure in (HttpsFailure.UNTRUSTED, HttpsFailure.INVALID, HttpsFailure.TOO_LARGE)
            hint = "token: {vault: {ca: FILE}} names the CA" if error.failure is HttpsFailure.UNTRUSTED else ""
            raise self._error(
                AcquireCause.CONFIGURATION if permanent else AcquireCause.TEMPORARY, error.message, hint
            ) from None

    def _accepts_vault_token(self, token: str) -> bool:
        """Return whether the server accepts the Vault token."""
        try:
            return self._request("auth/token/lookup-self", token).status == 200
        except AcquireError:
            return False  # the answer to the first request is the one to explain

    def _explain(self, response: HttpsResponse, token: str) -> AcquireError:
        errors = _error_text(response.body)
        credential = f"{self._options.credkey}:{self._options.role} of issuer {self._options.issuer}"
        hint = ""
        match response.status:
            case 403 if self._accepts_vault_token(token):
                cause = AcquireCause.CONFIGURATION
                problem = f"the Vault token is good, but not for {credential}{errors}"
                hint = "the credential key is the Kerberos principal without its realm"
            case 401 | 403:
                cause, problem = AcquireCause.PERSON, f"the Vault token has expired or was revoked{errors}"
                hint = "repeat the one-time onboarding (htgettoken with a browser)"
            case 400:
                cause, problem = AcquireCause.REFUSED, f"the issuer refused {credential}{errors}"
                hint = "role, scope or audience is not granted, or the login behind it has ended"
            case 404:
                cause, problem = AcquireCause.CONFIGURATION, f"knows no credential {credential}{errors}"
                hint = "check issuer and role"
            case 503 if "sealed" in errors:
                cause, problem = AcquireCause.TEMPORARY, "Vault is sealed"
                hint = "its administrators have to unseal it"
            case status if 300 <= status < 400:
                target = redact(response.location)[:200]
                cause = AcquireCause.CONFIGURATION
                problem = f"redirects to {target}, which would get the Vault token"
                hint = "set server to where it redirects, if that is a Vault you trust"
            case status if status in _RETRY_STATUSES or status >= 472:  # 472, 473: a standby; 5xx
                cause, problem = AcquireCause.TEMPORARY, f"cannot answer now (status {status}){errors}"
            case status:
                cause, problem = AcquireCause.CONFIGURATION, f"answers with status {status}{errors}"
        return self._error(cause, problem, hint)

    def _error(self, cause: AcquireCause, problem: str, hint: str) -> AcquireError:
        return AcquireError(f"provider vault: {self._options.server}: {problem}", cause=cause, hint=hint)


def _address(server: str, where: str) -> str:
    """Return HOST:PORT of a server; UsageError if it is neither a name nor an address (IPv6 may have brackets)."""
    bracketed = server if server.startswith("[") or server.count(":") < 2 else f"[{server}]"
    match = re.fullmatch(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?\])(?::([0-9]{1,5}))?", bracketed)
    if not match or not 0 < int(match[2] or _PORT) < 65536:
        raise UsageError(f"{where}.vault.server: HOST or HOST:PORT is expected, not {redact(server)[:200]!r}")
    return f"{match[1]}:{match[2] or _PORT}"


def _error_text(body: bytes) -> str:
    """Return the errors that Vault gave, on one short line that begins with a colon; empty if it gave none."""
    try:
        errors = json.loads(body)["errors"]
        text = "; ".join(" ".join(str(item).split()) for item in errors)
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f": {redact(text)[:200]}" if text else ""

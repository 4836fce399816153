"""vault: a Vault token kept fresh by Fermilab's Managed Tokens, exchanged for a bearer token.

It is the one call htgettoken makes, with the server's statuses told apart.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import Field

from itb.errors import UsageError
from itb.model import Record
from itb.tokens.https import Answer, Failure, HttpsError, get
from itb.tokens.private_file import read_private
from itb.tokens.providers.base import Context, published_keys
from itb.tokens.request import AcquireError, Cause, Secret, TokenRequest
from itb.util.files import expand
from itb.util.redact import redact, remember

_PORT = 8200
_LATER = (408, 412, 425, 429)  # 412: a node that has not caught up with the others
_ONE_CALL = 10.0  # seconds; htgettoken gives up after as long


class Options(Record):
    """``token: {vault: {...}}`` of the configuration.

    ``server`` is HOST or HOST:PORT; ``issuer`` and ``role`` are Vault's names
    (fermilab, default); ``credkey`` is the Kerberos principal without its
    realm; ``vault_token_file`` is looked for where Managed Tokens puts it;
    ``ca`` is a file or directory of certificates; ``restrict`` asks for a
    token of just the wanted audience and scopes; ``namespace`` is Vault's;
    ``proxy`` the URL of a proxy to go through: those of the environment are
    not used.
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


class Vault:
    """Exchanges a Vault token."""

    def __init__(self, options: Options, context: Context) -> None:
        self._base = f"https://{_address(options.server, context.where)}/v1"
        self._options = options
        self._context = context
        self._end = 0.0  # of the monotonic clock: when all calls together must have ended
        self._ca = expand(options.ca) if options.ca else None

    def obtain(self, request: TokenRequest, *, timeout: float) -> Secret:
        """Exchange the Vault token once."""
        self._end = time.monotonic() + timeout
        token = self._vault_token()
        options = self._options
        minimum = request.min_lifetime_s if options.minimum_seconds is None else options.minimum_seconds
        params = {"minimum_seconds": str(minimum)}
        if options.restrict:
            params |= {"scopes": ",".join(request.scopes), "audience": request.audience}
        place = "sts" if options.restrict else "creds"
        name = f"{quote(options.issuer, safe='')}/{quote(options.credkey, safe='')}:{quote(options.role, safe='')}"
        answer = self._ask(f"secret/oauth/{place}/{name}", token, params=params)
        if answer.status != 200:
            raise self._explain(answer, token)
        try:
            value = json.loads(answer.body)["data"]["access_token"]
        except (ValueError, KeyError, TypeError, RecursionError):
            value = None
        if not isinstance(value, str) or not value:
            raise self._error(
                Cause.CONFIGURATION, "answers without a token in it", "is it a Vault with oauth?"
            )
        return Secret(value)

    def lacks(self) -> str:
        """Look at the Vault token and the CA, without asking the server."""
        if self._ca is not None and not os.access(self._ca, os.R_OK):
            return f"CA {self._ca} cannot be read"
        try:
            self._vault_token()
        except AcquireError as error:
            return error.message
        return ""

    def jwks(self, issuer: str) -> Mapping[str, Any] | None:
        """Return what the issuer publishes."""
        return published_keys(issuer, self._context)

    def _vault_token(self) -> str:
        path = self._options.vault_token_file
        found = expand(path) if path else self._discover()
        token = read_private(found, what="provider vault: Vault token file", cause=Cause.PERSON).strip()
        remember(token)
        if not token or not token.isprintable() or " " in token:
            raise AcquireError(f"provider vault: {found} holds no Vault token", cause=Cause.PERSON)
        return token

    def _discover(self) -> Path:
        """Managed Tokens' file for the experiment and role, else the user's own (htgettoken's)."""
        own = f"/tmp/vt_u{os.geteuid()}"
        managed = Path(f"{own}-{self._options.issuer}_{self._options.role}")
        return managed if os.path.lexists(managed) else Path(own)

    def _ask(self, path: str, token: str, *, params: Mapping[str, str] | None = None) -> Answer:
        # As Vault's own clients say: a server that forwards must not take it for a browser's.
        headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
        if self._options.namespace:
            headers["X-Vault-Namespace"] = self._options.namespace
        try:
            return get(
                f"{self._base}/{path}",
                headers=headers,
                params=params,
                timeout=max(0.1, min(self._end - time.monotonic(), _ONE_CALL)),
                ca=self._ca,
                proxy=self._options.proxy,
            )
        except HttpsError as error:
            broken = error.failure in (Failure.UNTRUSTED, Failure.INVALID, Failure.TOO_LARGE)
            hint = "token: {vault: {ca: FILE}} names the CA" if error.failure is Failure.UNTRUSTED else ""
            raise self._error(
                Cause.CONFIGURATION if broken else Cause.TEMPORARY, error.message, hint
            ) from None

    def _knows(self, token: str) -> bool:
        """True if the server takes the Vault token for one of its own."""
        try:
            return self._ask("auth/token/lookup-self", token).status == 200
        except AcquireError:
            return False  # it has answered already, and that is what counts

    def _explain(self, answer: Answer, token: str) -> AcquireError:
        said = _errors(answer.body)
        where = f"{self._options.credkey}:{self._options.role} of issuer {self._options.issuer}"
        hint = ""
        match answer.status:
            case 403 if self._knows(token):
                cause, what = Cause.CONFIGURATION, f"the Vault token is good, but not for {where}{said}"
                hint = "the credential key is the Kerberos principal without its realm"
            case 401 | 403:
                cause, what = Cause.PERSON, f"the Vault token has expired or was revoked{said}"
                hint = "repeat the one-time onboarding (htgettoken with a browser)"
            case 400:
                cause, what = Cause.REFUSED, f"the issuer refused {where}{said}"
                hint = "role, scope or audience is not granted, or the login behind it has ended"
            case 404:
                cause, what = Cause.CONFIGURATION, f"knows no credential {where}{said}"
                hint = "check issuer and role"
            case 503 if "sealed" in said:
                cause, what = Cause.TEMPORARY, "Vault is sealed"
                hint = "its administrators have to unseal it"
            case status if 300 <= status < 400:
                target = redact(answer.location)[:200]
                cause, what = Cause.CONFIGURATION, f"redirects to {target}, which would get the Vault token"
                hint = "set server to where it redirects, if that is a Vault you trust"
            case status if status in _LATER or status >= 472:  # 472, 473: a standby; 5xx
                cause, what = Cause.TEMPORARY, f"cannot answer now (status {status}){said}"
            case status:
                cause, what = Cause.CONFIGURATION, f"answers with status {status}{said}"
        return self._error(cause, what, hint)

    def _error(self, cause: Cause, what: str, hint: str) -> AcquireError:
        return AcquireError(f"provider vault: {self._options.server}: {what}", cause=cause, hint=hint)


def _address(server: str, where: str) -> str:
    """Return HOST:PORT of a server; UsageError if it is none.  IPv6 with or without brackets."""
    bare = server if server.startswith("[") or server.count(":") < 2 else f"[{server}]"
    found = re.fullmatch(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?\])(?::([0-9]{1,5}))?", bare)
    if not found or not 0 < int(found[2] or _PORT) < 65536:
        raise UsageError(f"{where}.vault.server: HOST or HOST:PORT is expected, not {redact(server)[:200]!r}")
    return f"{found[1]}:{found[2] or _PORT}"


def _errors(body: bytes) -> str:
    """What Vault gave as reasons, on one short line that begins with a colon; empty if it gave none."""
    try:
        errors = json.loads(body)["errors"]
        text = "; ".join(" ".join(str(item).split()) for item in errors)
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f": {redact(text)[:200]}" if text else ""

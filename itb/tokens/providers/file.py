"""file: a bearer token somebody keeps fresh on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from itb.model import Record
from itb.tokens.private_file import read_private
from itb.tokens.providers.base import Context, published_keys
from itb.tokens.request import AcquireError, Cause, Secret, TokenRequest
from itb.util.files import expand


class Options(Record):
    """``token: {file: {path: ...}}``; without a path the file is looked for."""

    path: str = ""


class File:
    """Reads a token where WLCG Bearer Token Discovery says it is."""

    def __init__(self, options: Options, context: Context) -> None:
        self._path = options.path
        self._context = context

    def obtain(self, request: TokenRequest, *, timeout: float) -> Secret:  # noqa: ARG002 - reading takes no time
        """Read the token; blanks around it are cut off, as the discovery specification says."""
        return Secret(self._read())

    def lacks(self) -> str:
        """Look whether there is a token to be read."""
        try:
            self._read()
        except AcquireError as error:
            return error.message
        return ""

    def _read(self) -> str:
        if not self._path and (value := os.environ.get("BEARER_TOKEN", "").strip()):
            return value
        path = expand(self._path) if self._path else discover()
        if path is None:
            places = ", ".join(["BEARER_TOKEN", "BEARER_TOKEN_FILE", *map(str, _places())])
            raise AcquireError(
                f"provider file: no bearer token on this machine (looked at {places})",
                cause=Cause.CONFIGURATION,
                hint="name the file in the configuration: token: {file: {path: /...}}",
            )
        return read_private(path, what="provider file: token file").strip()

    def jwks(self, issuer: str) -> Mapping[str, Any] | None:
        """Return what the issuer publishes."""
        return published_keys(issuer, self._context)


def discover() -> Path | None:
    """Return the token file of this user by the discovery order, None if there is none.

    A file that BEARER_TOKEN_FILE names is the one, there or not.
    """
    if named := os.environ.get("BEARER_TOKEN_FILE", ""):
        return Path(named)
    return next((path for path in _places() if os.path.lexists(path)), None)


def _places() -> list[Path]:
    name = f"bt_u{os.geteuid()}"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return [Path(folder) / name for folder in (runtime, "/tmp") if folder]

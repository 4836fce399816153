"""The provider ``file``: it reads a bearer token that another program renews on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from itb.model import Record
from itb.tokens.private_file import read_private
from itb.tokens.providers.base import Provider, ProviderContext
from itb.tokens.request import AcquireCause, AcquireError, Secret, TokenRequest
from itb.util.files import expand


class Options(Record):
    """``token: {file: {path: ...}}``; without a path, WLCG Bearer Token Discovery finds the file."""

    path: str = ""


class FileProvider(Provider):
    """Reads a token from a file or, by WLCG Bearer Token Discovery, from the environment."""

    about = "a bearer token somebody keeps fresh on this machine"
    options_type = Options

    def __init__(self, options: Options, context: ProviderContext) -> None:
        super().__init__(options, context)
        self._path = options.path

    def obtain(self, request: TokenRequest, *, timeout: float) -> Secret:  # noqa: ARG002 - reading takes no time
        """Read the token, without blanks around it, as the discovery specification says."""
        return Secret(self._read())

    def setup_problem(self) -> str:
        """Return why no token can be read, empty if one can."""
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
            places = ", ".join(["BEARER_TOKEN", "BEARER_TOKEN_FILE", *map(str, _default_paths())])
            raise AcquireError(
                f"provider file: no bearer token on this machine (looked at {places})",
                cause=AcquireCause.CONFIGURATION,
                hint="name the file in the configuration: token: {file: {path: /...}}",
            )
        return read_private(path, what="provider file: token file").strip()


def discover() -> Path | None:
    """Return the token file of this user by the discovery order, None if there is none.

    A file that BEARER_TOKEN_FILE names is returned even if it does not exist.
    """
    if named := os.environ.get("BEARER_TOKEN_FILE", ""):
        return Path(named)
    return next((path for path in _default_paths() if os.path.lexists(path)), None)


def _default_paths() -> list[Path]:
    name = f"bt_u{os.geteuid()}"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return [Path(folder) / name for folder in (runtime, "/tmp") if folder]

"""Where the source of a product is: a folder of this machine or a URL, whose login only its own server gets."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from itb.errors import UsageError
from itb.util import known_secrets
from itb.util.files import expand
from itb.util.text import one_line

SCHEMES = ("https", "http", "ssh", "git", "file")
_CLOSED_SCHEMES = ("https", "ssh", "file")  # nobody on the way may change what comes


@dataclass(frozen=True)
class Origin:
    """Where a source is: ``address`` is for git, ``display_name`` for messages, ``local`` the path of a folder.

    ``login`` is the user and password of its URL: git gets them by its environment, not by its command line.
    """

    address: str
    display_name: str
    local: Path | None = None
    login: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def env(self) -> dict[str, str]:
        """Return the variables with which git reads the source.

        A server by https must not lead git to an address by http.
        """
        is_https = self.address.startswith("https://")
        closed = {"GIT_ALLOW_PROTOCOL": ":".join(_CLOSED_SCHEMES)} if is_https else {}
        return {**closed, **self._credentials}

    @property
    def _credentials(self) -> dict[str, str]:
        """Return the variables by which git answers the source's question for a password.

        Of a user without one the caller's own credential helper may know it; a token needs none.
        A server that leads git elsewhere, and asks there, gets no answer.
        """
        if self.login is None:
            return {}
        user, password = self.login
        sections = [f"credential.{server}" for server in self._own_servers]
        config = [(f"{section}.username", user) for section in sections]
        if password or known_secrets.is_token_like(user):
            # The empty one makes git forget the user's own helpers: the login in the URL comes first.
            answer = '!echo "username=$ITB_GIT_USER"; echo "password=$ITB_GIT_PASSWORD"; :'
            config = [("credential.helper", ""), *((f"{section}.helper", answer) for section in sections)]
        offset = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
        variables = {"GIT_CONFIG_COUNT": str(offset + len(config))}
        for number, (key, value) in enumerate(config, offset):
            variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return {**variables, "ITB_GIT_USER": user, "ITB_GIT_PASSWORD": password}

    @property
    def _own_servers(self) -> list[str]:
        """Return the server of the source, as a URL without a path; by http, it may lead to itself by https."""
        scheme, host = urlsplit(self.address)[:2]
        return [f"{scheme}://{host}", *([f"https://{host}"] if scheme == "http" and ":" not in host else [])]


def locate(source: str) -> Origin:
    """Return the origin of a source, a folder of this machine or a URL; raise UsageError if it is neither."""
    quoted_source = repr(one_line(source, 200))
    if not source or any(ord(char) < 32 or ord(char) == 127 for char in source):
        raise UsageError(f"source {quoted_source} is neither a folder nor a URL")
    try:
        path = expand(source)
        if path.exists():
            if not path.is_dir():
                raise UsageError(f"source {quoted_source} is a file; a git repository is a folder")
            real = path.resolve()
            return Origin(str(real), str(real), real)
    except OSError as error:  # a folder that may not be read, a name too long
        if "://" not in source:
            raise UsageError(f"source {quoted_source} cannot be looked at: {error.strerror}") from None
    scheme = source.partition("://")[0] if "://" in source else ""
    if scheme in SCHEMES:
        try:
            return _origin_of_url(source)
        except ValueError as error:
            raise UsageError(f"source {quoted_source} is not a valid URL: {one_line(str(error), 100)}") from None
    if not scheme and re.fullmatch(r"(?!-)(?:[\w.-]+@)?[\w.-]+:(?!:|//|-).+", source):
        return Origin(source, source)  # host:path, by ssh
    raise UsageError(
        f"source {quoted_source} is neither a folder here nor a URL git may use",
        hint=f"URLs start with {', '.join(f'{item}://' for item in SCHEMES)} or look like git@host:path",
    )


def _origin_of_url(url: str) -> Origin:
    """Return the origin of a URL, without its credentials; raise ValueError if it is not a URL."""
    parts = urlsplit(url)
    _ = parts.port  # raises ValueError: urlsplit checks the port only when it is read
    known_secrets.remember_logins(url)
    host = parts.netloc.rpartition("@")[2]
    display_name = urlunsplit(parts._replace(netloc=host))
    user, password = parts.username or "", parts.password or ""
    if parts.scheme == "ssh" and user:  # which takes no password from a URL
        url = urlunsplit(parts._replace(netloc=f"{user}@{host}"))
        return Origin(url, display_name if password else url)
    login = (unquote(user), unquote(password)) if user or password else None
    return Origin(display_name, display_name, login=login if parts.scheme in ("http", "https") else None)

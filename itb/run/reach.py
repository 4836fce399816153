"""What the hosts of a run may reach, by what its platform, its product and its user have declared."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from itb.isolation import Isolation, Server
from itb.repository import published
from itb.run.cell import Cell
from itb.rundir import values
from itb.util import proxies

_PORTS = {"http": 80, "https": 443, "ftp": 21}


def declared(cell: Cell) -> Isolation:
    """Return what hosts of the cell may reach: each other and, where it is declared, the internet.

    Servers that the user has named are reached wherever they are: of published
    packages, of a token's issuer, and, where the internet is declared, of
    mirrors and proxies.
    """
    internet = cell.platform.internet or cell.product.internet
    servers = {server for url in _urls(cell, internet=internet) if (server := _server(url))}
    return Isolation(internet=internet, servers=tuple(sorted(servers, key=lambda server: server.name)))


def _urls(cell: Cell, *, internet: bool) -> Iterator[str]:
    settings, platform = cell.settings, cell.platform
    if settings.from_repo:
        location = published.locate(platform, settings.from_repo, settings.repo_key)
        yield from (location.url, *location.key.sources)
    if issuer := cell.rundir.load_if_readable(values.OUTSIDE_ISSUER):
        yield issuer.url
    if internet:
        yield from {**platform.settings, **settings.platform_options.get(platform.name, {})}.values()
        for name, value in proxies.variables_for_candidate().items():
            if name.lower() != "no_proxy":
                yield value if "://" in value else f"http://{value}"


def _server(url: str) -> Server | None:
    """Return the server of a URL; None for what is no URL, or a name that is not known here."""
    with suppress(ValueError, OSError):
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
        if parts.hostname and port:
            found = socket.getaddrinfo(parts.hostname, port, socket.AF_INET, socket.SOCK_STREAM)
            addresses = sorted({str(address[0]) for *_, address in found})
            return Server(name=parts.hostname, addresses=tuple(addresses), port=port)
    return None

"""What the hosts of a run may reach, by what its platform, its product and its user have declared."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from itb.errors import TestbedError
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
    mirrors and proxies.  Raises TestbedError where names of the first two lead
    to an address that they cannot have; the others are not reached then.
    """
    internet = cell.platform.internet or cell.product.internet
    servers: dict[tuple[str, int], Server] = {}
    for url in _named(cell):
        _add(servers, url)
    for url in _used_with_internet(cell) if internet else ():
        with suppress(TestbedError):
            _add(servers, url)
    return Isolation(internet=internet, servers=tuple(server for _, server in sorted(servers.items())))


def _named(cell: Cell) -> Iterator[str]:
    settings = cell.settings
    if settings.from_repo:
        location = published.locate(cell.platform, settings.from_repo, settings.repo_key)
        yield from (location.url, *location.key.sources)
    if issuer := cell.rundir.load_if_readable(values.OUTSIDE_ISSUER):
        yield issuer.url


def _used_with_internet(cell: Cell) -> Iterator[str]:
    platform = cell.platform
    yield from {**platform.settings, **cell.settings.platform_options.get(platform.name, {})}.values()
    for name, value in proxies.variables_for_candidate().items():
        if name.lower() != "no_proxy":
            yield value if "://" in value else f"http://{value}"


def _add(servers: dict[tuple[str, int], Server], url: str) -> None:
    """Add the server of a URL, unless it is no URL, or its name is not known here; a name has one address."""
    with suppress(ValueError, OSError):
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
        if name and port and (name, port) not in servers:
            known = next((server.address for server in servers.values() if server.name == name), "")
            servers[name, port] = Server(name=name, address=known or _address_of(name, port), port=port)


def _address_of(name: str, port: int) -> str:
    """Return the IPv4 address of a server that hosts are to use; TestbedError where it has none that it may have.

    Whoever answers for a name (DNS) could otherwise open this machine, or the networks around it, to the hosts.
    """
    found = socket.getaddrinfo(name, port, socket.AF_INET, socket.SOCK_STREAM)
    addresses = [ipaddress.IPv4Address(str(address[0])) for *_, address in found]
    if strange := next(filter(_is_no_servers, addresses), None):
        raise _refused(name, f"{strange}, at which no server of another machine can be")
    public = {address.is_global for address in addresses}
    if len(public) > 1:
        raise _refused(name, f"public and private addresses: {', '.join(map(str, addresses))}")
    return str(addresses[0])


def _is_no_servers(address: ipaddress.IPv4Address) -> bool:
    """Return whether an address belongs to no server of another machine, whoever asks."""
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    )


def _refused(name: str, what: str) -> TestbedError:
    return TestbedError(
        f"server {name[:200]}: its name leads to {what}; hosts are not let there",
        hint="who answers for this name (DNS, /etc/hosts)? Give the address in its place, if it is right",
    )

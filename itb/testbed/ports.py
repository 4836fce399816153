"""What listens on a host, compared with what listened before and with what a product declares."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from itb.containers.host import Host
from itb.data import shipped
from itb.errors import TestbedError
from itb.model import Record
from itb.process.request import Request
from itb.util.text import lines_of, one_line

ANY, LOCAL = "any", "local"
_EPHEMERAL = 32768  # from here on the kernel gives ports to who asks for any
_MOST = 2000  # sockets of a host
_NAME = 60  # characters of a name that a host says


class Socket(Record):
    """A socket that waits for others; ``process`` and ``unit`` hold it, as far as the host says."""

    protocol: str
    address: str
    port: int
    process: str = ""
    unit: str = ""

    @property
    def scope(self) -> str:
        """Return who reaches it: ``local`` for the host itself only, else ``any``."""
        with suppress(ValueError):
            address = ipaddress.ip_address(self.address)
            mapped = getattr(address, "ipv4_mapped", None) or address
            return LOCAL if mapped.is_loopback else ANY
        return ANY

    @property
    def is_of_the_kernels_choice(self) -> bool:
        """Return whether nobody can know its port before: a client's socket of UDP, or one on this host only."""
        return self.port >= _EPHEMERAL and (self.protocol == "udp" or self.scope == LOCAL)

    def describe(self) -> str:
        """Return the port, its address and who holds it."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        unit = one_line(self.unit.removesuffix(".service"), _NAME)
        holder = one_line(self.process, _NAME) + (f" of {unit}" if unit and unit != self.process else "")
        return f"{self.port}/{self.protocol} on {address}" + (f" ({holder})" if holder else "")


class Sockets(Record):
    """What listens on a host."""

    sockets: tuple[Socket, ...] = ()


_ROW: TypeAdapter[tuple[str, str, int, str, str]] = TypeAdapter(
    tuple[str, str, Annotated[int, Field(ge=0, lt=65536)], str, str]
)


def read(host: Host) -> Sockets:
    """Return what listens on a host, as it says; TestbedError if it does not say."""
    script = (shipped.folder("build_ws") / "hosts" / "listening.py").read_text(encoding="utf-8")
    completed = host.run(Request(["python3", "-I", "-c", script], about="what listens", alias=["listening.py"]))
    sockets = []
    for line in lines_of(completed.stdout)[:_MOST]:
        with suppress(ValidationError):
            protocol, address, port, process, unit = _ROW.validate_json(line, strict=True)
            sockets.append(Socket(protocol=protocol, address=address, port=port, process=process, unit=unit))
    if completed.stdout.strip() and not sockets:
        raise TestbedError(f"host {host.role}: what it says of its sockets cannot be read")
    return Sockets(sockets=tuple(sockets))


def opened(now: Sockets, before: Sockets) -> list[Socket]:
    """Return what listens now and did not before, by port; ports of the kernel's choice are left out."""
    known = {_key(item) for item in before.sockets}
    new = {_key(item): item for item in now.sockets if _key(item) not in known}
    return [new[key] for key in sorted(new) if not new[key].is_of_the_kernels_choice]


def _key(item: Socket) -> tuple[int, str, str]:
    return item.port, item.protocol, item.address


def compare(sockets: Sequence[Socket], declared: Mapping[str, str]) -> Iterator[str]:
    """Yield what differs from the declared ports: by port or range, and protocol, who reaches it."""
    for item in sockets:
        allowed = next((scope for name, scope in declared.items() if _names(name, item)), "")
        if not allowed:
            yield f"{item.describe()} listens and is not declared"
        elif allowed == LOCAL and item.scope == ANY:
            yield f"{item.describe()} listens for others, and is declared as {LOCAL}"
    for name, scope in declared.items():
        own = [item for item in sockets if _names(name, item)]
        if not own and "-" not in name:
            yield f"{name} is declared, and nothing listens there"
        elif own and scope == ANY and all(item.scope == LOCAL for item in own):
            yield f"{own[0].describe()} listens for this host only, and is declared as {ANY}"


def _names(name: str, item: Socket) -> bool:
    ports, _, protocol = name.partition("/")
    first, _, last = ports.partition("-")
    return protocol == item.protocol and int(first) <= item.port <= int(last or first)

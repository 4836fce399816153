"""What listens on a host, compared with what listened before and with what a product declares."""

from __future__ import annotations

import fnmatch
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
    """A socket that waits for others; ``process`` and ``unit`` hold it, as far as the host says.

    ``package`` has brought the unit; it is only told of ports that the kernel may have chosen.
    """

    protocol: str
    address: str
    port: int
    process: str = ""
    unit: str = ""
    package: str = ""

    @property
    def scope(self) -> str:
        """Return who reaches it: ``local`` for the host itself only, else ``any``."""
        with suppress(ValueError):
            address = ipaddress.ip_address(self.address)
            mapped = getattr(address, "ipv4_mapped", None) or address
            return LOCAL if mapped.is_loopback else ANY
        return ANY

    @property
    def is_high(self) -> bool:
        """Return whether the kernel may have chosen its port, so that nobody can know it before."""
        return self.port >= _EPHEMERAL

    def is_of(self, packages: Sequence[str]) -> bool:
        """Return whether one of these packages, or globs of them, has brought its unit."""
        return any(fnmatch.fnmatchcase(self.package, glob) for glob in packages)

    def describe(self) -> str:
        """Return the port, its address and who holds it."""
        return f"{self.port}{self._where()}"

    def _where(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        unit = one_line(self.unit.removesuffix(".service"), _NAME)
        holder = one_line(self.process, _NAME) + (f" of {unit}" if unit and unit != self.process else "")
        return f"/{self.protocol} on {address}" + (f" ({holder})" if holder else "")

    @staticmethod
    def describe_all(sockets: Sequence[Socket]) -> str:
        """Return all ports, those together that differ in their numbers only."""
        groups: dict[str, list[int]] = {}
        for item in sockets:
            groups.setdefault(item._where(), []).append(item.port)
        return ", ".join(f"{_ranges(numbers)}{where}" for where, numbers in groups.items()) or "nothing"


class Sockets(Record):
    """What listens on a host."""

    sockets: tuple[Socket, ...] = ()


_ROW: TypeAdapter[tuple[str, str, int, str, str, str]] = TypeAdapter(
    tuple[str, str, Annotated[int, Field(ge=0, lt=65536)], str, str, str]
)


def read(host: Host) -> Sockets:
    """Return what listens on a host, as it says; TestbedError if it does not say."""
    script = (shipped.folder("build_ws") / "hosts" / "listening.py").read_text(encoding="utf-8")
    completed = host.run(Request(["python3", "-I", "-c", script], about="what listens", alias=["listening.py"]))
    sockets = []
    for line in lines_of(completed.stdout)[:_MOST]:
        with suppress(ValidationError):
            fields = _ROW.validate_json(line, strict=True)
            names = ("protocol", "address", "port", "process", "unit", "package")
            sockets.append(Socket(**dict(zip(names, fields, strict=True))))
    if completed.stdout.strip() and not sockets:
        raise TestbedError(f"host {host.role}: what it says of its sockets cannot be read")
    return Sockets(sockets=tuple(sockets))


def opened(now: Sockets, before: Sockets, packages: Sequence[str]) -> list[Socket]:
    """Return what listens now and did not before, by port.

    Of ports that the kernel has chosen those of TCP are among it that others reach, if a unit of the product's
    ``packages`` holds them: HTCondor, for one, has many.
    """
    known = {_key(item) for item in before.sockets}
    new = {_key(item): item for item in now.sockets if _key(item) not in known}

    def counts(item: Socket) -> bool:
        return not item.is_high or (item.protocol == "tcp" and item.scope == ANY and item.is_of(packages))

    return [new[key] for key in sorted(new) if counts(new[key])]


def _ranges(numbers: Sequence[int]) -> str:
    """Return numbers in ascending order, those that follow each other as a range."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return "+".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def _key(item: Socket) -> tuple[int, str, str]:
    return item.port, item.protocol, item.address


def compare(sockets: Sequence[Socket], declared: Mapping[str, str]) -> Iterator[str]:
    """Yield what differs from the declared ports: by port or range, and protocol, who reaches it."""
    yield from too_open(sockets, declared)
    yield from lacking(sockets, declared)


def too_open(sockets: Sequence[Socket], declared: Mapping[str, str]) -> Iterator[str]:
    """Yield what listens and is not declared, or for more than is declared."""
    for item in sockets:
        allowed = next((scope for name, scope in declared.items() if _names(name, item)), "")
        if not allowed:
            yield f"{item.describe()} listens and is not declared"
        elif allowed == LOCAL and item.scope == ANY:
            yield f"{item.describe()} listens for others, and is declared as {LOCAL}"


def lacking(sockets: Sequence[Socket], declared: Mapping[str, str]) -> Iterator[str]:
    """Yield ports on which nothing listens, or for fewer than is declared."""
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

"""Testbeds as their Compose files declare them: the hosts and what starts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from itb.containers import naming
from itb.data import shipped
from itb.errors import UsageError
from itb.testbed import overlay
from itb.util import ownership, yamlfile
from itb.util.files import expand

_ENDING = ".compose.yaml"


@dataclass(frozen=True)
class Topology:
    """What a Compose file declares: its path and, by role, each host's full name.

    ``optional`` roles (those with a profile) are started on request only;
    ``bases`` are the Compose files whose services this one extends, ``overlays``
    those that change it.  ``names`` are entries of ``extra_hosts`` by role, none
    for a host without a fixed address.
    """

    file: Path
    hosts: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    bases: tuple[Path, ...] = ()
    overlays: tuple[Path, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def has_names(self) -> bool:
        """Return whether the names of all hosts are known without a name server."""
        return all(self.names.get(role) for role in self.hosts)

    @property
    def name(self) -> str:
        """Return the name of the testbed."""
        return self.file.name.removesuffix(_ENDING)

    @property
    def roles(self) -> list[str]:
        """Return the roles that scenarios may name."""
        return sorted(self.hosts)


def find_topology(name: str, folder: Path | None = None) -> Topology:
    """Return the topology of a testbed of a product's folder or of itb, by its name or by a path from that folder.

    Raises UsageError, which suggests the nearest name, if there is none.
    """
    folders = [*([folder] if folder else []), shipped.folder("scenarios") / "testbeds"]
    files = [(folder or Path()) / expand(name)] if "/" in name else [at / f"{name}{_ENDING}" for at in folders]
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        known = sorted(file.name.removesuffix(_ENDING) for at in folders for file in at.glob(f"*{_ENDING}"))
        hint = yamlfile.nearest(name, known) or f"; known: {', '.join(known)}"
        raise UsageError(f"unknown testbed {name!r}{hint}")
    bases: dict[Path, Mapping[str, Any]] = {}
    hosts: dict[str, str] = {}
    names = {}
    optional = set()
    for service, declared in _services(path).items():
        value = _extended(path, service, declared, bases)
        role = _role(path, service, value)
        hosts[role] = str(value["hostname"])
        names[role] = overlay.host_names(service, value)
        if value.get("profiles"):
            optional.add(role)
    return Topology(path.absolute(), hosts, frozenset(optional), tuple(bases), names=names)


def _services(path: Path) -> Mapping[str, Any]:
    """Return the services of a Compose file; UsageError if it has none, or if another user may change it."""
    if path.parent != shipped.folder("scenarios") / "testbeds":
        ownership.check(path)  # it can mount any folder of this machine
    content, _ = yamlfile.parse(path.read_text(encoding="utf-8"), str(path), aliases=True)
    services = content.get("services") if isinstance(content, dict) else None
    if not isinstance(services, dict) or not all(isinstance(value, dict) for value in services.values()):
        raise UsageError(f"{path}: services must be a mapping of names to mappings")
    return services


def _extended(
    path: Path, service: str, value: Mapping[str, Any], bases: dict[Path, Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Return a service merged with the one that it extends; the file of that one is added to ``bases``.

    Labels and networks are merged as Compose merges them, because they make a service a host and give it
    its names; other keys are replaced.
    """
    extends = value.get("extends")
    if extends is None:
        return value
    if not isinstance(extends, dict) or not all(isinstance(extends.get(key), str) for key in ("file", "service")):
        raise UsageError(f"{path}: service {service!r}: extends needs a file and a service")
    base = path.absolute().parent / extends["file"]
    if base not in bases:
        if not base.is_file():
            raise UsageError(f"{path}: service {service!r} extends {base}, which is no file")
        bases[base] = _services(base)
    if extends["service"] not in bases[base]:
        known = ", ".join(sorted(bases[base]))
        raise UsageError(
            f"{path}: service {service!r} extends {extends['service']!r}, which {base} lacks; it has: {known}"
        )
    extended = bases[base][extends["service"]]
    if "extends" in extended:  # podman-compose would leave out what that one extends
        raise UsageError(
            f"{path}: service {service!r} extends {extends['service']!r}, which extends another itself"
        )
    merged = {**extended, **value}
    if isinstance(extended.get("labels"), dict) and isinstance(value.get("labels"), dict):
        merged["labels"] = {**extended["labels"], **value["labels"]}
    ours, theirs = value.get("networks"), extended.get("networks")
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = {**theirs, **ours}
        merged["networks"] = {name: {**(theirs.get(name) or {}), **(ours.get(name) or {})} for name in names}
    return merged


def _role(path: Path, service: str, value: Mapping[str, Any]) -> str:
    """Return a service's role; UsageError if it lacks a name or a label by which itb starts and finds the host."""
    labels = value.get("labels") or {}
    if not isinstance(labels, dict):
        raise UsageError(f"{path}: service {service!r}: labels must be a mapping")
    role = naming.role_of(labels)
    if not role or "hostname" not in value:
        raise UsageError(f"{path}: service {service!r} needs a hostname and the label {naming.ROLE}")
    # Without these labels, the container would belong to no run and would never be removed.
    if missing := naming.missing_labels(labels):
        raise UsageError(f"{path}: service {service!r} needs the labels {missing}")
    if service != role:
        raise UsageError(f"{path}: service {service!r} must be named as its role is, {role!r}")
    # itb finds a container by this name; without the key, Compose would make up another.
    if value.get("container_name") != (name := naming.compose_container(role)):
        raise UsageError(f"{path}: service {service!r} needs container_name: {name}")
    profiles = value.get("profiles")
    if profiles and (not isinstance(profiles, list) or role not in profiles):
        raise UsageError(f"{path}: service {service!r} needs profiles: [{role}], or none")
    return role

"""The Compose file that itb lays over a testbed's: what every host has or lacks, whatever its testbed declares."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from itb.config.settings import HostLimits
from itb.containers import tools
from itb.roles import SERVICES

# A host needs no raw sockets: with them it could answer for another's address on the network.
_DROPPED = ["NET_RAW"]
# What systemd finds as file systems in memory, with the engine's own options for these.
_IN_MEMORY = {"/run": "", "/run/lock": "", "/tmp": ",mode=1777", "/var/log/journal": ""}

# Its own log, to which hosts with the candidate can add any number of lines of any length.
_LOGS_IN_MEMORY = {SERVICES: "/var/log/nginx:size=64m"}


def host_names(service: str, declared: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a service as ``extra_hosts`` of others; none if it has no fixed address.

    These are its full and its short name, its aliases and, as Compose has it, the service's own.
    """
    networks = declared.get("networks")
    named = [value for value in networks.values() if isinstance(value, dict)] if isinstance(networks, dict) else []
    address = next((str(value["ipv4_address"]) for value in named if value.get("ipv4_address")), "")
    fqdn = str(declared["hostname"])
    aliases = [str(alias) for value in named for alias in value.get("aliases") or []]
    names = dict.fromkeys([fqdn, fqdn.partition(".")[0], *aliases, service])
    return tuple(f"{name}:{address}" for name in names) if address else ()


def write(
    file: Path,
    roles: Iterable[str],
    *,
    names: Iterable[str],
    tools_folder: Path | None,
    limits: HostLimits,
    controllers: Collection[str],
    syscall_filter: Path | None = None,
    unfiltered: Collection[str] = (),
) -> Path:
    """Write the Compose file for the hosts of these roles; return its path.

    ``names`` are entries of ``extra_hosts``; ``tools_folder`` has itb's tools, None for hosts without.
    ``syscall_filter`` is a file with the system calls that they may make, None for the engine's own;
    privileged hosts are ``unfiltered``;
    ``controllers`` are those of control groups that the engine can use: with a limit of another, no host starts.
    """
    host: dict[str, Any] = {"cap_drop": _DROPPED, "extra_hosts": [*names]}
    host["tmpfs"] = [f"{folder}:exec,size={limits.tmpfs}{more}" for folder, more in _IN_MEMORY.items()]
    if "memory" in controllers:
        host["mem_limit"] = limits.memory
    if "pids" in controllers:
        host["pids_limit"] = limits.processes
    if tools_folder:
        # z: where SELinux is enforced, containers can read only folders that are labelled so.
        mount = {"type": "bind", "source": str(tools_folder), "target": tools.FOLDER, "read_only": True}
        host["volumes"] = [mount | {"bind": {"selinux": "z"}}]
    filtered = {**host, "security_opt": [f"seccomp={syscall_filter}"]} if syscall_filter else host
    services = {role: dict(host if role in unfiltered else filtered) for role in roles}
    for role in services.keys() & _LOGS_IN_MEMORY.keys():
        services[role]["tmpfs"] = [*host["tmpfs"], _LOGS_IN_MEMORY[role]]
    file.write_text(json.dumps({"services": services}))
    return file

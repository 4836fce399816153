"""Reading descriptions of containers, networks and volumes, for which podman and docker use different keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from itb.containers import tools

_CAPS = (("CapAdd", "beyond the engine's own:"), ("CapDrop", "dropped:"))


def state_of(info: Mapping[str, Any]) -> Path | None:
    """Return the folder with what containers have only while they run, by podman's description of itself."""
    folder = dict(info.get("store") or {}).get("runRoot")
    return Path(str(folder)) if folder else None


def storage_of(info: Mapping[str, Any]) -> Path | None:
    """Return the folder with the containers' files, by either engine's description of itself; None if unsaid."""
    folder = dict(info.get("store") or {}).get("graphRoot") or info.get("DockerRootDir")
    return Path(str(folder)) if folder else None


def mounted_files_of(details: Mapping[str, Any]) -> list[Path]:
    """Return the engine's own files that a container can write to, of any size, as /etc/hosts and so on."""
    keys = ("HostsPath", "ResolvConfPath", "HostnamePath")
    return [Path(str(details[key])) for key in keys if details.get(key)]


def syscall_filter_of(info: Mapping[str, Any]) -> Path | None:
    """Return podman's file with the system calls that containers may make; None if it has or names none.

    Docker's own refuses what podman's allows.
    """
    security = dict(dict(info.get("host") or {}).get("security") or {})
    path = security.get("seccompProfilePath") if security.get("seccompEnabled") else None
    return Path(str(path)) if path and Path(str(path)).is_absolute() else None


def container_name(item: Mapping[str, Any]) -> str:
    """Return the name of a container in either engine's listing."""
    names = item.get("Names") or item.get("Name") or ""
    return str(names[0] if isinstance(names, list) else names).lstrip("/")


def is_running(item: Mapping[str, Any]) -> bool:
    """Return whether a container of either engine's listing runs."""
    return str(item["State"]) == "running"


def resource_name(item: Mapping[str, Any]) -> str:
    """Return the name of a container, network or volume in either engine's listing."""
    return container_name(item) or str(item.get("name") or "")


def labels_of(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of a container, network or volume in either engine's listing."""
    labels = item.get("Labels") or item.get("labels") or {}
    if isinstance(labels, str):  # docker
        labels = dict(part.partition("=")[::2] for part in labels.split(","))
    return {str(key): str(value) for key, value in labels.items()}


def has_labels(item: Mapping[str, Any], filters: Mapping[str, str]) -> bool:
    """Return whether something has all these labels (empty value: any)."""
    text = item.get("Labels")
    if isinstance(text, str):  # docker; a value may have commas, so that the next key or nothing ends it
        ends = {key: rf"{re.escape(value)}(,[\w.-]+=|$)" if value else "" for key, value in filters.items()}
        return all(re.search(f",{re.escape(key)}={end}", f",{text}") for key, end in ends.items())
    labels = labels_of(item)
    return all(key in labels and value in ("", labels[key]) for key, value in filters.items())


def subnet_of(network: Mapping[str, Any]) -> str:
    """Return the IPv4 subnet (CIDR) of a network; empty if it has none."""
    subnets = network.get("subnets") or network.get("IPAM", {}).get("Config") or []
    addresses = (str(subnet.get("subnet") or subnet.get("Subnet")) for subnet in subnets)
    return next((address for address in addresses if ":" not in address), "")


def controllers_of(info: Mapping[str, Any]) -> frozenset[str]:
    """Return which of memory and pids an engine can limit for containers, by its description of itself."""
    if "host" not in info:  # docker
        return frozenset(name for name, key in (("memory", "MemoryLimit"), ("pids", "PidsLimit")) if info.get(key))
    host = info["host"]
    if host.get("security", {}).get("rootless") and host.get("cgroupVersion") != "v2":
        return frozenset()
    return frozenset({"memory", "pids"} & set(host.get("cgroupControllers") or ()))


def _without_folder(option: str) -> str:
    """Return a security option with the name of its file only, which is the same for every run."""
    name, _, value = option.partition("=")
    return f"{name}={value.rpartition('/')[2]}" if name == "seccomp" else option


def privileges_of(details: Mapping[str, Any]) -> str:
    """Return the privileges of a container as text for people, from the engine's description of it."""
    host = details.get("HostConfig", {})
    parts = ["PRIVILEGED"] if host.get("Privileged") else ["not privileged"]
    if (caps := details.get("EffectiveCaps")) is not None:  # podman only
        names = " ".join(sorted(str(name).removeprefix("CAP_") for name in caps))
        parts.append(f"{len(caps)} capabilities ({names})" if caps else "no capabilities")
    else:
        parts += [f"capabilities {text} {' '.join(host[key])}" for key, text in _CAPS if host.get(key)]
    if options := host.get("SecurityOpt"):
        parts.append(f"security options {' '.join(_without_folder(str(option)) for option in options)}")
    if memory := host.get("Memory"):
        parts.append(f"{memory >> 20} MiB of memory")
    if (processes := host.get("PidsLimit") or 0) > 0:
        parts.append(f"{processes} processes")
    kinds = ("Pid", "Ipc", "UTS", "Network")
    shared = [f"{kind} namespace" for kind in kinds if host.get(f"{kind}Mode") == "host"]
    devices = [str(item.get("PathOnHost", item)) for item in host.get("Devices") or []]
    mounts = [item for item in details.get("Mounts") or [] if item.get("Type") == "bind"]
    folders = [
        str(item.get("Source"))
        for item in mounts
        if item.get("RW", True) or item.get("Destination") != tools.FOLDER
    ]
    for heading, items in (("the machine's ", shared), ("devices ", devices), ("the machine's folders ", folders)):
        if items:
            parts.append(heading + ", ".join(items))
    return "; ".join(parts)

"""The engine's filter of system calls for hosts of a run, narrowed by those that reach what is no container's own.

Keyrings belong to a user of the machine.  A host's root is the machine's where the engine is not rootless: it
could read what this user keeps there, such as Kerberos tickets, and leave something.  Sockets of some families
belong to no network namespace: with those of AF_VSOCK a host reaches services of the machine, and of the machine
below where this one is virtual, past every packet filter; for others the kernel loads modules.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FILE = "narrowed-filter.json"

_KEYRINGS = ("add_key", "keyctl", "request_key")
_FAMILIES = (1, 2, 10, 16, 17)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET
# socketcall is that of old 32-bit programs, which has the family where no filter sees it.  libseccomp takes one
# action for what these programs call: other families get the filter's default.
_SOCKETS = ("socket", "socketcall")
_EPERM, _EAFNOSUPPORT = 1, 97


def narrow(profile: str) -> str:
    """Return a filter of system calls, the text of the engine's own, that refuses what is listed here as well."""
    content: dict[str, Any] = json.loads(profile)
    old_rules = content.get("syscalls") or ()
    rules = [
        {**rule, "names": [name for name in rule.get("names", ()) if name not in (*_KEYRINGS, *_SOCKETS)]}
        for rule in old_rules
    ]
    content["syscalls"] = [
        *(rule for rule in rules if rule["names"]),
        {"names": [*_KEYRINGS], "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM},
        *_socket_rules(rule for rule in old_rules if "socket" in rule.get("names", ())),
        {"names": ["socketcall"], "action": "SCMP_ACT_ERRNO", "errnoRet": _EAFNOSUPPORT},
    ]  # fmt: skip
    return json.dumps(content)


def _socket_rules(old_rules: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what the engine's rules say of sockets, for each family that is allowed; none twice."""
    rules: list[dict[str, Any]] = []
    for rule in old_rules:
        conditions = rule.get("args") or ()
        others = [condition for condition in conditions if condition["index"] != 0]
        of_family = [condition for condition in conditions if condition["index"] == 0]
        families = [family for family in _FAMILIES if all(_is_met(condition, family) for condition in of_family)]
        arguments = [[_compare(0, "SCMP_CMP_EQ", family), *others] for family in families]
        if rule.get("action") != "SCMP_ACT_ALLOW":
            arguments = [[*conditions]]
        rules += [{**rule, "names": ["socket"], "args": args} for args in arguments]
    return [rule for number, rule in enumerate(rules) if rule not in rules[:number]]


def _is_met(condition: Mapping[str, Any], family: int) -> bool:
    """Return whether a family meets a condition; one of another kind than = and != is met by none."""
    is_same = bool(condition["value"] == family)
    return {"SCMP_CMP_EQ": is_same, "SCMP_CMP_NE": not is_same}.get(condition["op"], False)


def _compare(index: int, operation: str, value: int) -> dict[str, Any]:
    return {"index": index, "value": value, "valueTwo": 0, "op": operation}


def write(profile: Path, file: Path) -> Path | None:
    """Write the narrowed filter to ``file`` and return it; None if the engine's own cannot be read."""
    try:
        text = narrow(profile.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    file.write_text(text, encoding="utf-8")
    return file

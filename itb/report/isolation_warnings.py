"""Lines of a report that say what kept hosts, or a token, from nothing."""

from __future__ import annotations

from itb.isolation import ANY_AUDIENCE, Isolation
from itb.model import Token
from itb.util.text import clean

_LIMITED = {"memory": "memory", "pids": "processes"}  # by the controller of control groups


def isolation_warnings(isolation: Isolation | None, token: Token | None) -> tuple[str, ...]:
    """Return a line for each way in which hosts, or what they were given, reach further than they should."""
    lines = []
    if isolation and isolation.problem:
        lines.append(
            "hosts were not kept from this machine and from other networks: "
            f"{isolation.problem}; {isolation.remedy}"
        )
    if isolation and isolation.unlimited:
        lines.append(
            f"hosts had no limit of {' and '.join(map(_LIMITED.__getitem__, isolation.unlimited))}: "
            "the engine cannot set it here (itb doctor)"
        )
    if isolation and isolation.writable_cgroup:
        lines.append(
            f"hosts could write to control groups of this machine ({clean(isolation.writable_cgroup)}): "
            "use cgroup v2; itb doctor says what else helps"
        )
    if token and set(token.audience) & ANY_AUDIENCE:
        lines.append(
            f"the token of {clean(token.provider)} is good for any audience ({' '.join(token.audience)}), and "
            "hosts with the candidate on them had it: ask its issuer for one whose audience is the CE of the run"
        )
    return tuple(lines)

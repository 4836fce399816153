"""The machine's proxies: variables whose values may hold a login, which no container or image keeps."""

from __future__ import annotations

import os
from collections.abc import Iterable

from itb.util import known_secrets

_LOWER = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
TESTBED = ".glideinwms.org"  # ending of the names of a testbed's hosts
NAMES = (*_LOWER, *(name.upper() for name in _LOWER))


def variables() -> dict[str, str]:
    """Return the proxy variables of this process, for one call that has to reach the network."""
    return {name: os.environ[name] for name in NAMES if name in os.environ}


def variables_for_candidate() -> dict[str, str]:
    """Return the proxy variables for a call on a host that runs the candidate's code: proxies without a login.

    The testbed's own hosts are reached without any.
    """
    usable = {name: value for name, value in variables().items() if "@" not in value}
    exceptions = [usable.pop(name, "") for name in ("no_proxy", "NO_PROXY")]
    if not usable:
        return {}
    value = ",".join([*filter(None, exceptions), TESTBED])
    return {**usable, "no_proxy": value, "NO_PROXY": value}


def remember_logins() -> None:
    """Remember the logins of proxies as secrets; their addresses may have no scheme."""
    for value in variables().values():
        known_secrets.remember_logins(value if "://" in value else f"http://{value}")


def have_login(environment: Iterable[str]) -> bool:
    """Return whether one of the variables (NAME=VALUE) is a proxy's address with a login."""
    pairs = (entry.partition("=") for entry in environment)
    return any(name in NAMES and "@" in value for name, _, value in pairs)

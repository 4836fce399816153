"""What a platform's images could not download: the URL, why, and which option names another place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from itb.errors import TestbedError

# apt and apt-get: "E: Failed to fetch URL  reason"; dnf and librepo: "Curl error (7): reason for URL [detail]".
_APT = re.compile(r"^E: Failed to fetch (?P<url>\S+)\s+(?P<why>\S.*)$", re.MULTILINE)
_DNF = re.compile(r"Curl error \(\d+\): (?P<why>.+?) for (?P<url>\w+://\S+)")
_ERRORS = (_APT, _DNF)
_TAIL = 20  # lines at the end of an output: what a tool got over stands above


def download_error(
    platform: str, settings: Mapping[str, str], output: str, *, log: Path | None = None
) -> TestbedError | None:
    """Return the error of a download that a tool's output tells of; None if it tells of none.

    ``settings`` are the platform's options by name: the hint names the one
    that the URL came from.
    """
    end = "\n".join(output.splitlines()[-_TAIL:])
    match = next((found for pattern in _ERRORS if (found := pattern.search(end))), None)
    if match is None:
        return None
    url = match["url"]
    option = next((name for name, value in settings.items() if "://" in value and url.startswith(value)), "mirror")
    return TestbedError(
        f"platform {platform}: {url} cannot be had: {match['why'].strip()}",
        hint=f"itb doctor looks at the network; platform_options: {{{platform}: {{{option}: URL}}}} in itb.yaml "
        "names another place",
        evidence=output,
        log=log,
    )

"""The error of a download for a platform's images; downloads of other things: ``itb/process/downloads.py``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from itb.errors import TestbedError
from itb.process import downloads


def download_error(
    platform: str, settings: Mapping[str, str], output: str, *, log: Path | None = None
) -> TestbedError | None:
    """Return the error of a failed download that a tool's output names; None if it names none.

    ``settings`` are the platform's options by name: the hint names the option
    that the URL came from.
    """
    failed = downloads.find_failed_download(output)
    if failed is None:
        return None
    mirrors = (name for name, value in settings.items() if "://" in value and failed.url.startswith(value))
    option = next(mirrors, "mirror")
    return TestbedError(
        f"platform {platform}: {failed.url} cannot be downloaded: {failed.reason}",
        hint=f"itb doctor looks at the network; platform_options: {{{platform}: {{{option}: URL}}}} in itb.yaml "
        "names another place",
        evidence=output,
        log=log,
    )

"""Translating Debian versions into RPM's epoch, version and release.

A Debian version is ``[epoch:]upstream[-revision]`` (deb-version(7)), an RPM's
``[epoch:]version-release``.  Both sort ``~`` before everything, compare
digits as numbers and separate fields alike, so order is kept for what Debian
publishes; a missing revision equals revision 0 for dpkg and becomes release 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import ConversionError

_DEBIAN = re.compile(r"(?:(?P<epoch>\d+):)?(?P<upstream>[A-Za-z0-9.+~:-]+?)(?:-(?P<revision>[A-Za-z0-9.+~]*))?")
_UNSAFE = re.compile(r"[^A-Za-z0-9.+~_^]")


@dataclass(frozen=True)
class RpmVersion:
    """The version of an RPM; its text omits epoch 0.  ``release`` is empty if a relation names none."""

    epoch: int
    version: str
    release: str

    def __str__(self) -> str:
        epoch = f"{self.epoch}:" if self.epoch else ""
        release = f"-{self.release}" if self.release else ""
        return f"{epoch}{self.version}{release}"


def split(text: str) -> tuple[int, str, str | None]:
    """Return epoch, upstream version and revision (None if there is none) of a Debian version."""
    match = _DEBIAN.fullmatch(text.strip())
    if match is None or (match["epoch"] is None and ":" in match["upstream"]):
        raise ConversionError(f"not a Debian version: {text!r}")
    return int(match["epoch"] or 0), match["upstream"], match["revision"]


def safe(part: str) -> str:
    """Return part of a version with characters that RPM does not allow replaced by ``_``."""
    return _UNSAFE.sub("_", part)


def of_package(text: str) -> RpmVersion:
    """Return the RPM version of a package, always with a release."""
    epoch, upstream, revision = split(text)
    return RpmVersion(epoch, safe(upstream), safe(revision or "0"))

"""Maintainer scripts of a Debian package as scriptlets of an RPM.

The scripts are shipped as dpkg keeps them, in its info directory, and run
through SUPPORT's wrapper, which gives them the arguments and environment dpkg
would and hides the tools that would enable or start services: as on EL,
nothing is enabled or started by an installation.

A preinst is not run: RPM's %pre comes before the files are there, and what
Debian's preinsts do is moving over from older Debian releases.  What a
platform needs there it writes as an override.
"""

from __future__ import annotations

from dataclasses import dataclass

from .debian import DebianPackage
from .overrides import Override

INFO = "/var/lib/dpkg/info"
SUPPORT = "debtorpm-support"  # the package that carries the wrapper; every package with scripts requires it
WRAPPER = "/usr/lib/debtorpm/maintscript"


@dataclass(frozen=True)
class Scriptlets:
    """Bodies of a package's scriptlets; empty where it has none."""

    pre: str = ""
    post: str = ""
    preun: str = ""
    triggers: str = ""

    @property
    def wrapped(self) -> bool:
        """True if the wrapper is needed."""
        return WRAPPER in self.post or WRAPPER in self.preun


def stored(package: DebianPackage) -> dict[str, str]:
    """Return which control files the RPM carries, and where: kind to absolute path.

    Only what an installed package still uses: postrm would be gone when RPM
    could run it.
    """
    kinds = [kind for kind in ("postinst", "prerm", "config", "templates") if kind in package.scripts]
    return {kind: f"{INFO}/{package.script_stem}.{kind}" for kind in kinds}


def scriptlets(package: DebianPackage, override: Override) -> Scriptlets:
    """Return the scriptlets of the RPM."""
    post = [_call(package, "postinst")] if "postinst" in package.scripts else []
    if override.post:
        post.append(override.post)
    return Scriptlets(
        pre=override.pre.strip(),
        post="\n".join(line.strip() for line in post),
        # With a count of 1 left this is an upgrade: the new version's scripts have the say.
        preun=f'[ "$1" -gt 0 ] || {_call(package, "prerm")}' if "prerm" in package.scripts else "",
        triggers=override.triggers.strip(),
    )


def _call(package: DebianPackage, kind: str) -> str:
    architecture = package.fields["Architecture"]
    return f"{WRAPPER} {kind} {package.name} {architecture} {INFO}/{package.script_stem}.{kind}"

"""Running the maintainer scripts of a Debian package as scriptlets of an RPM.

The RPM ships the scripts where dpkg keeps them, in its info directory, and
runs them through SUPPORT's wrapper.  The wrapper gives them the arguments and
the environment of dpkg, and hides the tools that enable or start services: as
on EL, an installation enables and starts nothing.

A preinst is not run: RPM's %pre comes before the files are there, and the
preinsts of Debian migrate from older releases of Debian.  A platform that
needs a %pre has it as an override.
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
        """Return whether a scriptlet calls the wrapper."""
        return WRAPPER in self.post or WRAPPER in self.preun


def stored(package: DebianPackage) -> dict[str, str]:
    """Return the control files that the RPM ships: absolute paths by kind.

    Only an installed package's scripts are of use: postrm would be removed
    before RPM could run it.
    """
    kinds = [kind for kind in ("postinst", "prerm", "config", "templates") if kind in package.scripts]
    return {kind: f"{INFO}/{package.script_stem}.{kind}" for kind in kinds}


def scriptlets(package: DebianPackage, override: Override) -> Scriptlets:
    """Return the scriptlets of the RPM."""
    post = [_wrapper_call(package, "postinst")] if "postinst" in package.scripts else []
    if override.post:
        post.append(override.post)
    return Scriptlets(
        pre=override.pre.strip(),
        post="\n".join(line.strip() for line in post),
        # A count of 1 means an upgrade, in which the scripts of the new version decide.
        preun=f'[ "$1" -gt 0 ] || {_wrapper_call(package, "prerm")}' if "prerm" in package.scripts else "",
        triggers=override.triggers.strip(),
    )


def _wrapper_call(package: DebianPackage, kind: str) -> str:
    architecture = package.fields["Architecture"]
    return f"{WRAPPER} {kind} {package.name} {architecture} {INFO}/{package.script_stem}.{kind}"

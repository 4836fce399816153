"""Where a platform wants something else than the plain translation; read from TOML.

[all]
drop = ["/usr/share/man/*"]            # files no package of the platform carries
keep = []                              # exceptions to drop
without_provides = ["httpd"]           # virtual names nobody may offer

[package.condor]
provides = ["python3-condor = {evr}"]  # {evr}: epoch, version and release of the package
requires = []
drop = []                              # further files this package leaves out
links = {"/usr/bin/sh" = "bash"}       # symbolic links it brings on top
directories = ["0700 root root /etc/condor/passwords.d"]
pre = "..."                            # body of %pre
post = "..."                           # run after the package's own postinst
triggers = "..."                       # file triggers, written as in a spec, without -n
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .errors import ConversionError


@dataclass(frozen=True)
class Override:
    """What one package gets beyond its translation."""

    provides: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    attributes: tuple[str, ...] = ()
    pre: str = ""
    post: str = ""
    triggers: str = ""

    def attribute_of(self) -> dict[str, str]:
        """Return what ``attributes`` says, by path: the text for %attr()."""
        found = {}
        for text in self.attributes:
            mode, user, group, path = text.split(None, 3)
            found[path.rstrip("/")] = f"{mode},{user},{group}"
        return found

    def directories(self) -> list[str]:
        """Return the directories among ``attributes``."""
        paths = [text.split(None, 3)[3] for text in self.attributes]
        return [path.rstrip("/") for path in paths if path.endswith("/")]


@dataclass(frozen=True)
class Overrides:
    """All of a platform's wishes; ``packages`` by Debian name."""

    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    without_provides: frozenset[str] = frozenset()
    compile: tuple[str, ...] = ()
    packages: Mapping[str, Override] = field(default_factory=dict)

    def of(self, name: str) -> Override:
        """Return what a package gets; nothing if it is not named."""
        return self.packages.get(name, Override())


def load(path: Path) -> Overrides:
    """Read a TOML file; a key it does not know is an error."""
    with path.open("rb") as stream:
        data = tomllib.load(stream)
    everything = data.pop("all", {})
    packages = data.pop("package", {})
    _refuse_unknown(path, "top level", data, set())
    _refuse_unknown(path, "[all]", everything, {"drop", "keep", "without_provides", "compile"})
    return Overrides(
        drop=tuple(everything.get("drop", ())),
        keep=tuple(everything.get("keep", ())),
        without_provides=frozenset(everything.get("without_provides", ())),
        compile=tuple(everything.get("compile", ())),
        packages={name: _override(path, name, table) for name, table in packages.items()},
    )


def _override(path: Path, name: str, table: dict[str, Any]) -> Override:
    _refuse_unknown(path, f"[package.{name}]", table, {known.name for known in fields(Override)})
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
    }
    return Override(**values)


def _refuse_unknown(path: Path, where: str, table: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ConversionError(f"{path}: {where}: unknown key {unknown[0]}")

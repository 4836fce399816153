"""Reading what a platform changes in the translation of packages, from TOML.

[all]
drop = ["/usr/share/man/*"]            # files no package of the platform carries
keep = []                              # exceptions to drop
without_provides = ["httpd"]           # virtual names that no package may provide

[package.condor]
provides = ["python3-condor = {evr}"]  # {evr}: epoch, version and release of the package
requires = []
drop = []                              # further files this package leaves out
links = {"/usr/bin/sh" = "bash"}       # symbolic links that it adds
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
    """The changes to the translation of one package."""

    provides: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    attributes: tuple[str, ...] = ()
    pre: str = ""
    post: str = ""
    triggers: str = ""

    def attributes_by_path(self) -> dict[str, str]:
        """Return the text for %attr() of every path in ``attributes``."""
        attributes = {}
        for text in self.attributes:
            mode, user, group, path = text.split(None, 3)
            attributes[path.rstrip("/")] = f"{mode},{user},{group}"
        return attributes

    def directories(self) -> list[str]:
        """Return the directories among ``attributes``."""
        paths = [text.split(None, 3)[3] for text in self.attributes]
        return [path.rstrip("/") for path in paths if path.endswith("/")]


@dataclass(frozen=True)
class Overrides:
    """All changes of a platform; ``packages`` has those of single packages by Debian name."""

    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    without_provides: frozenset[str] = frozenset()
    compile: tuple[str, ...] = ()
    packages: Mapping[str, Override] = field(default_factory=dict)

    def of(self, name: str) -> Override:
        """Return the override of a package, an empty one if it has none."""
        return self.packages.get(name, Override())


def load(path: Path) -> Overrides:
    """Read a TOML file; ConversionError for an unknown key."""
    with path.open("rb") as stream:
        data = tomllib.load(stream)
    defaults = data.pop("all", {})
    packages = data.pop("package", {})
    _refuse_unknown(path, "top level", data, set())
    _refuse_unknown(path, "[all]", defaults, {"drop", "keep", "without_provides", "compile"})
    return Overrides(
        drop=tuple(defaults.get("drop", ())),
        keep=tuple(defaults.get("keep", ())),
        without_provides=frozenset(defaults.get("without_provides", ())),
        compile=tuple(defaults.get("compile", ())),
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

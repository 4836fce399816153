"""Writing one spec with many sub-packages of different names and versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from . import relations
from .debian import DebianPackage
from .errors import ConversionError
from .overrides import Override
from .payload import Entry
from .scripts import SUPPORT, Scriptlets

HEADER = """\
%global debug_package %{{nil}}
%global __spec_install_post %{{nil}}
%global _build_id_links none
%global _buildhost debtorpm
%global _binary_payload w1.zstdio
%global use_source_date_epoch_as_buildtime 1
%global clamp_mtime_to_source_date_epoch 0

Name: {name}
Version: 0
Release: 0
Summary: Converted Debian packages
License: various
Vendor: Debian
AutoReqProv: no

%description
Never built: only its sub-packages are.
"""


@dataclass(frozen=True)
class Converted:
    """A package ready to be written into a spec; ``files`` is the path of its file list."""

    package: DebianPackage
    override: Override
    scriptlets: Scriptlets
    files: str


def escape(text: str) -> str:
    """Return text with macros escaped, for where rpm expands them."""
    return text.replace("%", "%%")


def quote_path(path: str) -> str:
    """Return a path as %files takes it.

    rpm 4.20 takes a quoted path literally, except for macros and backslashes;
    it refuses control characters in file names altogether.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        raise ConversionError(f"a file name no RPM can hold: {path!r}")
    return '"' + escape(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def file_list(entries: Iterable[Entry], *, conffiles: frozenset[str], attributes: Mapping[str, str]) -> str:
    """Return the text of a %files list.

    ``attributes`` has the text for %attr() by path; without it, rpm takes the
    mode from the file, but never the owner.
    """
    lines = []
    for entry in entries:
        attribute = attributes.get(entry.path, "")
        if not attribute and (entry.user, entry.group) != ("root", "root"):
            attribute = f"-,{entry.user},{entry.group}"
        words = ["%dir"] if entry.directory else ["%config(noreplace)"] if entry.path in conffiles else []
        if attribute:
            words.append(f"%attr({attribute})")
        lines.append(" ".join([*words, quote_path(entry.path)]))
    return "\n".join([*lines, ""])


@dataclass(frozen=True)
class PackageNames:
    """Names of other packages: ``real`` are converted too, ``without_provides`` may not be provided."""

    real: frozenset[str] = frozenset()
    without_provides: frozenset[str] = frozenset()


def render(name: str, packages: Iterable[Converted], package_names: PackageNames) -> str:
    """Return the text of a spec; ``name`` is the name of the batch."""
    sections = [HEADER.format(name=name)]
    sections.extend(_package(converted, package_names) for converted in packages)
    return "\n".join(sections)


def _package(converted: Converted, package_names: PackageNames) -> str:
    package = converted.package
    name = package.name
    lines = [f"%package -n {name}", *_tags(converted, package_names)]
    lines += ["", f"%description -n {name}", escape(package.field("Description")) or name]
    for section, body in (
        ("pre", converted.scriptlets.pre),
        ("post", converted.scriptlets.post),
        ("preun", converted.scriptlets.preun),
    ):
        if body:
            lines += ["", f"%{section} -n {name}", escape(body)]
    if converted.scriptlets.triggers:
        lines += ["", _named_triggers(converted.scriptlets.triggers, name)]
    lines += ["", f"%files -n {name} -f {converted.files}", ""]
    return "\n".join(lines)


def _tags(converted: Converted, package_names: PackageNames) -> list[str]:
    package, override = converted.package, converted.override
    version = package.version
    tags = [
        f"Summary: {escape(package.summary)}",
        f"Version: {version.version}",
        f"Release: {version.release}",
        f"License: /usr/share/doc/{package.name}/copyright",
        f"Packager: {escape(package.field('Maintainer'))}",
        "AutoReqProv: no",
    ]
    if version.epoch:
        tags.append(f"Epoch: {version.epoch}")
    if package.noarch:
        tags.append("BuildArch: noarch")
    if package.field("Homepage"):
        tags.append(f"URL: {escape(package.field('Homepage'))}")
    tags += [f"Requires: {text}" for text in relations.requirements(package.field("Depends"))]
    tags += [f"Requires(pre): {text}" for text in relations.requirements(package.field("Pre-Depends"))]
    if converted.scriptlets.wrapped:
        tags.append(f"Requires(post,preun): {SUPPORT}")
    tags += [f"Requires: {text}" for text in override.requires]
    provided = relations.provisions(package.field("Provides"), without=package_names.without_provides)
    provided += [text.format(evr=version) for text in override.provides]
    tags += [f"Provides: {text}" for text in provided]
    own = {text.split()[0] for text in provided} | {package.name}
    fields = package.field("Conflicts"), package.field("Breaks")
    tags += [f"Conflicts: {text}" for text in relations.conflicts(*fields, own=own, real=package_names.real)]
    return tags


def _named_triggers(text: str, name: str) -> str:
    """Return file triggers with ``-n NAME`` added to their headings."""
    lines = []
    for line in text.splitlines():
        word, space, rest = line.partition(" ")
        if word.startswith("%") and "filetrigger" in word:
            lines.append(f"{word} -n {name}{space}{rest}")
        else:
            lines.append(escape(line))
    return "\n".join(lines)

"""Reading the control files of a Debian package that dpkg-deb has unpacked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import versions
from .errors import ConversionError
from .versions import RpmVersion

SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "config", "templates")


@dataclass(frozen=True)
class DebianPackage:
    """The control files of a package; ``scripts`` are the kinds that it has (SCRIPTS)."""

    fields: Mapping[str, str]
    conffiles: frozenset[str]
    scripts: frozenset[str]

    @property
    def name(self) -> str:
        """Return Debian's name, which the RPM keeps."""
        return self.fields["Package"]

    @property
    def version(self) -> RpmVersion:
        """Return epoch, version and release of the RPM."""
        return versions.of_package(self.fields["Version"])

    @property
    def noarch(self) -> bool:
        """Return whether the package is the same on every architecture."""
        return self.fields["Architecture"] == "all"

    @property
    def summary(self) -> str:
        """Return the first line of the description."""
        return self.fields.get("Description", self.name).split("\n", 1)[0].strip() or self.name

    @property
    def script_stem(self) -> str:
        """Return the name of the package's files in dpkg's info directory, up to the dot."""
        if self.fields.get("Multi-Arch") == "same":
            return f"{self.name}:{self.fields['Architecture']}"
        return self.name

    def field(self, name: str) -> str:
        """Return a control field, empty if the package has none of that name."""
        return self.fields.get(name, "")


def parse_control(text: str) -> dict[str, str]:
    """Return the fields of one control paragraph; continuation lines keep their line breaks."""
    fields: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if not line.strip():
            continue
        if line[0] in " \t":
            if not last:
                raise ConversionError("control file starts with a continuation line")
            fields[last] += "\n" + line.strip()
            continue
        last, colon, value = line.partition(":")
        if not colon:
            raise ConversionError(f"not a control field: {line!r}")
        fields[last] = value.strip()
    for name in ("Package", "Version", "Architecture"):
        if not fields.get(name):
            raise ConversionError(f"control file without {name}")
    return fields


def parse_conffiles(text: str) -> frozenset[str]:
    """Return the paths in DEBIAN/conffiles, without those that the version removes."""
    paths = (line.strip() for line in text.splitlines())
    return frozenset(path for path in paths if path.startswith("/"))


def read(unpacked: Path) -> DebianPackage:
    """Read the DEBIAN directory of a package unpacked by ``dpkg-deb --raw-extract``."""
    control = unpacked / "DEBIAN"
    conffiles = control / "conffiles"
    return DebianPackage(
        fields=parse_control((control / "control").read_text("utf-8")),
        conffiles=parse_conffiles(conffiles.read_text("utf-8")) if conffiles.exists() else frozenset(),
        scripts=frozenset(name for name in SCRIPTS if (control / name).exists()),
    )

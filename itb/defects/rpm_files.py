"""Reads from the headers of RPMs which files packages have: enough to choose one, and to see a change of it."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from itb.errors import TestbedError

_LEAD = 96  # bytes before the first header
_MAGIC = b"\x8e\xad\xe8\x01"
_MOST_ENTRIES, _MOST_BYTES = 1 << 16, 1 << 28  # what rpm itself takes for the limits of a header
_NAME, _REQUIRES = 1000, 1049
_MODES, _DIGESTS, _FLAGS, _USERS, _CLASSES, _CLASS_NAMES = 1030, 1035, 1037, 1039, 1141, 1142
_FOLDER_OF, _BASES, _FOLDERS = 1116, 1117, 1118
_SOURCE = 1106  # only source packages have it
_NUMBERS = {3: "H", 4: "I"}  # types of numbers, and their form
_TEXT, _TEXTS = 6, (8, 9)
_IS_CONFIG, _IS_DOC, _IS_GHOST = 1, 2, 64


@dataclass(frozen=True)
class PackagedFile:
    """A file of a package; ``kind`` is what the build took its content for."""

    package: str
    path: str
    mode: int
    user: str
    flags: int
    digest: str
    kind: str

    @property
    def name(self) -> str:
        """Return the last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def is_regular(self) -> bool:
        """Return whether it is a file that the package brings, neither folder nor link."""
        return stat.S_ISREG(self.mode) and not self.flags & _IS_GHOST

    @property
    def is_config(self) -> bool:
        """Return whether the site may change it."""
        return bool(self.flags & _IS_CONFIG)

    @property
    def is_doc(self) -> bool:
        """Return whether it is documentation."""
        return bool(self.flags & _IS_DOC) or self.path.startswith(("/usr/share/doc/", "/usr/share/man/"))

    @property
    def is_python(self) -> bool:
        """Return whether it is a program or a module for Python."""
        return self.is_regular and ("Python script" in self.kind or self.path.endswith(".py"))

    @property
    def is_shell(self) -> bool:
        """Return whether it is a shell script that is run, not only read."""
        return self.is_regular and "shell script" in self.kind and bool(self.mode & 0o111)


@dataclass(frozen=True)
class PackageContent:
    """What a package needs and has."""

    name: str
    requires: tuple[str, ...]
    files: tuple[PackagedFile, ...]


def read_all(folder: Path) -> list[PackageContent]:
    """Return the packages of a folder but source packages, by name; raise TestbedError if a file is no RPM."""
    found = [_read(path) for path in sorted(folder.glob("*.rpm"))]
    return sorted((package for package in found if package), key=lambda package: package.name)


def all_files(packages: Iterable[PackageContent]) -> dict[str, PackagedFile]:
    """Return the files of packages by path."""
    return {file.path: file for package in packages for file in package.files}


def _read(path: Path) -> PackageContent | None:
    with path.open("rb") as file:
        file.seek(_LEAD)
        try:
            _header(file)
            file.seek(-file.tell() % 8, 1)
            tags = _header(file)
            return None if _SOURCE in tags else _content(tags)
        except (struct.error, ValueError, LookupError) as error:
            raise TestbedError(f"{path.name} is no RPM that can be read: {error}") from None


def _header(file: Any) -> dict[int, Any]:
    """Return the values of a header by their tags, those of the types that are read here."""
    magic, count, size = struct.unpack(">4s4xII", file.read(16))
    if magic != _MAGIC or count > _MOST_ENTRIES or size > _MOST_BYTES:
        raise ValueError("not the header of a package")
    index, store = file.read(16 * count), file.read(size)
    tags: dict[int, Any] = {}
    for tag, kind, offset, number in struct.iter_unpack(">IIII", index):
        if kind in _NUMBERS:
            tags[tag] = struct.unpack_from(f">{number}{_NUMBERS[kind]}", store, offset)
        elif kind == _TEXT or kind in _TEXTS:
            texts = store[offset:].split(b"\0", number)[:number]
            values = [text.decode("utf-8", "surrogateescape") for text in texts]
            tags[tag] = values[0] if kind == _TEXT else tuple(values)
    return tags


def _content(tags: dict[int, Any]) -> PackageContent:
    bases, folders = tags.get(_BASES, ()), tags.get(_FOLDERS, ())
    names, classes = tags.get(_CLASS_NAMES, ("",)), tags.get(_CLASSES, (0,) * len(bases))
    columns = (tags.get(_FOLDER_OF, ()), bases, tags.get(_MODES, ()), tags.get(_USERS, ()),
               tags.get(_FLAGS, ()), tags.get(_DIGESTS, ()), classes)  # fmt: skip
    files = tuple(
        PackagedFile(tags[_NAME], folders[folder] + base, mode, user, flags, digest, names[kind])
        for folder, base, mode, user, flags, digest, kind in zip(*columns, strict=True)
    )
    return PackageContent(tags[_NAME], tags.get(_REQUIRES, ()), files)

"""Receiving files from a container: reading, in bounds, an archive that anybody may have written.

tar is asked for its GNU format.  What Python's tarfile reads beyond that is
refused: compressed archives and sparse files, which unpack to any size, and
headers of any length.  An archive is a file that is read once, from its
beginning to its end, a piece at a time.
"""

from __future__ import annotations

import errno
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from itb.util.redact import is_text, redact_name
from itb.util.redact_stream import Stream

# tar's options.  The second of two links to one file is a file too, not a link to the first.
FORMAT = ("--create", "--file=-", "--format=gnu", "--hard-dereference")
BINARY, ELSEWHERE, LINK, TOO_LARGE = "binary", "leads elsewhere", "a link or a device", "too large"

_BLOCK = tarfile.BLOCKSIZE
_WITHOUT_CONTENT = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
_PIECE = 1 << 20  # bytes read at once
_LONGEST_NAME = 4096  # bytes, with its NUL (linux/limits.h: PATH_MAX)
_DEEPEST = 64  # folders in each other
_INODE = 4096  # bytes that a file or folder takes besides its content
_MACHINE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOENT)  # the machine's fault, not the name's


class ArchiveError(Exception):
    """An archive cannot be read any further: cut off, damaged, or another than was asked for."""


@dataclass(frozen=True)
class Bounds:
    """How much of an archive is taken: bytes in all, bytes of one file, and members of any kind."""

    total: int
    file: int
    members: int


@dataclass(frozen=True)
class Received:
    """What became of an archive.

    ``left_out`` has the reason and the name of each file that was not
    written, ``problem`` why the rest was not read (empty if it was).
    """

    left_out: tuple[tuple[str, str], ...]
    problem: str


@dataclass(frozen=True)
class _Member:
    """A member of an archive, whose content is the next that is read."""

    name: str
    size: int
    mode: int
    is_file: bool
    is_folder: bool

    @property
    def path(self) -> PurePosixPath | None:
        """Return the path below the folder that it belongs to, without secrets; None if it leads elsewhere."""
        if "\0" in self.name or len(self.name) > _LONGEST_NAME:
            return None
        path = PurePosixPath(redact_name(self.name))
        leads_elsewhere = path.is_absolute() or ".." in path.parts or not path.parts
        return None if leads_elsewhere or len(path.parts) > _DEEPEST else path


def _members(archive: IO[bytes], limit: int) -> Iterator[_Member]:
    """Yield the members of an archive; ArchiveError where it cannot be read, or has more than ``limit``."""
    long_name = ""
    for _ in range(limit):
        header = archive.read(_BLOCK)
        if len(header) < _BLOCK:
            raise ArchiveError("unexpected end of data")
        if not any(header):
            return
        try:
            info = tarfile.TarInfo.frombuf(header, sys.getfilesystemencoding(), "surrogateescape")
        except tarfile.HeaderError as error:
            raise ArchiveError(str(error)) from None
        content = archive.tell()
        is_name = info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        is_file = info.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        is_other = info.type in (*_WITHOUT_CONTENT, tarfile.DIRTYPE) and not info.size
        if not (is_file or is_other or is_name) or info.size < 0 or (is_name and info.size > _LONGEST_NAME):
            raise ArchiveError(f"an entry that tar does not write (type {info.type!r}, {info.size} bytes)")
        if info.type == tarfile.GNUTYPE_LONGNAME:
            long_name = archive.read(info.size).rstrip(b"\0").decode(
                sys.getfilesystemencoding(), "surrogateescape"
            )
        elif not is_name:
            yield _Member(long_name or info.name, info.size, info.mode, is_file, info.isdir())
            long_name = ""
        archive.seek(content + info.size + -info.size % _BLOCK)
    raise ArchiveError(f"more than {limit} entries")


def _pieces(archive: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the content of a member; ArchiveError if it is cut off."""
    while size:
        piece = archive.read(min(size, _PIECE))
        if not piece:
            raise ArchiveError("unexpected end of data")
        size -= len(piece)
        yield piece


def receive_text(path: Path, folder: Path, bounds: Bounds) -> Received:
    """Write the text files of an archive below a folder, redacted; links and devices are left out.

    A file that was there is replaced.  Raises OSError where the machine's disk is at fault.
    """
    left_out: list[tuple[str, str]] = []
    receiver = _TextReceiver(folder, bounds)
    try:
        with path.open("rb") as archive:
            for member in _members(archive, bounds.members):
                if not member.is_folder and (reason := receiver.write(archive, member)):
                    name = redact_name(member.name[:_LONGEST_NAME])
                    left_out.append((reason, str(PurePosixPath(name))[:300]))
    except ArchiveError as error:
        return Received(tuple(left_out), str(error))
    return Received(tuple(left_out), "")


class _TextReceiver:
    """Writes the text files of one archive; counts what they take."""

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        self._folder = folder
        self._bounds = bounds
        self._left = bounds.total

    def write(self, archive: IO[bytes], member: _Member) -> str:
        """Write a file; return why it was left out, or the empty string."""
        if not member.is_file:
            return LINK
        if (name := member.path) is None:
            return ELSEWHERE
        if member.size > min(self._bounds.file, self._left - _INODE * len(name.parts)):
            return TOO_LARGE
        self._left -= _INODE * len(name.parts)
        target = self._folder / name
        try:
            return self._copy(archive, member, target)
        except OSError as error:
            if error.errno in _MACHINE_ERRORS:
                raise
            return str(error.strerror)

    def _copy(self, archive: IO[bytes], member: _Member, target: Path) -> str:
        pieces = _pieces(archive, member.size)
        piece = next(pieces, b"")
        if not is_text(piece):
            return BINARY
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # nothing that is there is written through
        stream, is_whole = Stream(), False
        try:
            with target.open("xb") as file:
                try:
                    while piece and is_text(piece):
                        self._left -= file.write(stream.feed(piece))
                        piece = next(pieces, b"")
                finally:
                    self._left -= file.write(stream.close())
            is_whole = not piece and self._left >= 0
        except ArchiveError:
            is_whole = True  # the part that was received is kept
            raise
        finally:
            if not is_whole:
                target.unlink()
        return "" if is_whole else BINARY if piece else TOO_LARGE


def receive_files(path: Path, targets: Mapping[str, Path], bounds: Bounds) -> set[str]:
    """Write the files of an archive that ``targets`` names, as they are; return the names that came.

    ``targets`` is the path of each by its name in the archive; other members are passed over.
    Raises ArchiveError if the archive is not what was asked for.
    """
    received: set[str] = set()
    left = bounds.total
    with path.open("rb") as archive:
        for member in _members(archive, bounds.members):
            target = targets.get(member.name)
            if target is None or not member.is_file:
                continue
            left -= member.size
            if member.size > bounds.file or left < 0:
                raise ArchiveError(f"{target.name} is too large")
            target.unlink(missing_ok=True)
            with target.open("xb") as file:
                file.writelines(_pieces(archive, member.size))
            received.add(member.name)
    return received


def receive_tree(path: Path, folder: Path, bounds: Bounds) -> None:
    """Write the files of an archive below a folder that is made for them, as they are; programs stay programs.

    Raises ArchiveError for anything that is no regular file of a new name below the folder.
    """
    left = bounds.total
    with path.open("rb") as archive:
        for member in _members(archive, bounds.members):
            left -= member.size + _INODE
            if not member.is_file or member.path is None:
                raise ArchiveError(f"{member.name[:300]!r} is no file below its folder")
            if member.size > bounds.file or left < 0:
                raise ArchiveError(f"{member.path.name} is too large")
            target = folder / member.path
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as file:
                    file.writelines(_pieces(archive, member.size))
            except (FileExistsError, NotADirectoryError):
                raise ArchiveError(f"{member.path} comes twice") from None
            target.chmod(0o755 if member.mode & 0o100 else 0o644)

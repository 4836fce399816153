"""Sending files to a container: writing an archive of them, a piece at a time, as its receiver reads it.

A source tree or a scenario's files may be larger than the machine's memory.
"""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from itb.process.request import Writer

_PIECE = 1 << 18  # bytes written at once


@dataclass(frozen=True)
class Outgoing:
    """A file to send: its path in the container, its content or the file that has it, and its attributes."""

    path: str
    content: bytes | Path
    mode: int
    user: str
    group: str


def write_files(files: Sequence[Outgoing]) -> Writer:
    """Return what writes an archive of files."""

    def write(stream: IO[bytes]) -> None:
        with _archive(stream) as archive:
            for file in files:
                content = file.content
                with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
                    entry = tarfile.TarInfo(file.path.lstrip("/"))
                    entry.size, entry.mode = source.seek(0, io.SEEK_END), file.mode
                    entry.mtime = int(time.time())
                    entry.uname, entry.gname = file.user, file.group
                    source.seek(0)
                    archive.addfile(entry, source)

    return write


def write_trees(sources: Mapping[str, Path]) -> Writer:
    """Return what writes an archive of files and directories, by their paths in the container, as root's."""

    def write(stream: IO[bytes]) -> None:
        with _archive(stream) as archive:
            for target, source in sources.items():
                for path, name in _walk(str(source), target.strip("/")):
                    archive.add(path, arcname=name, recursive=False, filter=_as_root)
                    archive.members = []  # type: ignore[attr-defined] # it keeps a record of each; not in the stubs

    return write


def _walk(top: str, target: str) -> Iterator[tuple[str, str]]:
    """Yield path and name of a file, or of a directory and everything in it; ``target`` is the name of ``top``.

    Folders in each other may be deeper than functions can call themselves, as those of tarfile and os do.
    """
    rest = [(top, target, Path(top).is_dir())]
    while rest:
        path, name, is_folder = rest.pop()
        yield path, name
        if is_folder:
            with os.scandir(path) as found:
                inside = sorted(found, key=lambda entry: entry.name, reverse=True)
            rest += [(entry.path, f"{name}/{entry.name}", entry.is_dir(follow_symlinks=False)) for entry in inside]


@contextmanager
def _archive(stream: IO[bytes]) -> Iterator[tarfile.TarFile]:
    with tarfile.open(fileobj=stream, mode="w|", bufsize=_PIECE) as archive:
        yield archive


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Give an entry to root, and readable to all: other users of a host read it, whatever the umask was here."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry

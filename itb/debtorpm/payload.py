"""Laying out the files of a package: merging /usr, dropping unwanted files, moving them into one build root.

Paths are plain strings where a platform's tens of thousands of files pass through.
"""

# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH112, PTH114, PTH116, PTH118, PTH208

from __future__ import annotations

import compileall
import grp
import importlib.util
import os
import pwd
import shutil
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from .errors import ConversionError

# In Debian 13 these are links into /usr; files in them are moved there, as its installer does.
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


@dataclass(frozen=True)
class Entry:
    """A path of a package, absolute as installed; ``user`` and ``group`` are names."""

    path: str
    directory: bool = False
    user: str = "root"
    group: str = "root"


def merged(path: str) -> str:
    """Return where an absolute path lies once /bin, /sbin and /lib* are links into /usr."""
    head, slash, _ = path[1:].partition("/")
    return f"/usr{path}" if slash and head in MERGED else path


def merge_usr(root: Path) -> None:
    """Move /bin, /sbin and /lib* of an unpacked package into /usr; links of that name stay."""
    for name in MERGED:
        old = root / name
        if old.is_dir() and not old.is_symlink():
            _merge_directory(old, root / "usr" / name)


def _merge_directory(source: Path, target: Path) -> None:
    if not target.exists():
        _make_parents(source, target)
        source.rename(target)
        return
    for child in sorted(source.iterdir()):
        destination = target / child.name
        if child.is_dir() and not child.is_symlink() and destination.is_dir() and not destination.is_symlink():
            _merge_directory(child, destination)
        elif destination.exists() or destination.is_symlink():
            raise ConversionError(f"{child} and {destination} are one file once /usr is merged")
        else:
            child.rename(destination)
    source.rmdir()


def _make_parents(source: Path, target: Path) -> None:
    for parent in reversed(target.parents):
        if not parent.exists():
            parent.mkdir(mode=0o755)
            shutil.copystat(source, parent)


def remove_unwanted(root: Path, *, drop: Iterable[str], keep: Iterable[str]) -> None:
    """Remove files whose absolute path matches ``drop`` and not ``keep`` (globs, as dpkg's path-exclude).

    A directory that matches is removed too if it is empty then.
    """
    drop, keep = tuple(drop), tuple(keep)
    for parent, directories, files in os.walk(root, topdown=False):
        links = [name for name in directories if os.path.islink(os.path.join(parent, name))]
        for name in files + links:
            full = os.path.join(parent, name)
            if _is_unwanted(full[len(str(root)) :], drop, keep):
                os.unlink(full)
        relative = parent[len(str(root)) :]
        if relative and _is_unwanted(relative, drop, keep) and not os.listdir(parent):
            os.rmdir(parent)


def _is_unwanted(path: str, drop: tuple[str, ...], keep: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path, glob) for glob in drop) and not any(fnmatchcase(path, glob) for glob in keep)


def compile_python(root: Path, folders: Iterable[str]) -> None:
    """Compile the Python modules below absolute folders of an unpacked package, with this Python.

    Debian compiles on the target, where the files of a package belong to root.
    A module that does not compile is left as it is, as in Debian.
    """
    for folder in folders:
        if not (root / folder[1:]).is_dir():
            continue
        compileall.compile_dir(root / folder[1:], quiet=2, stripdir=str(root), prependdir="/")
        for source in (root / folder[1:]).rglob("*.py"):
            compiled = Path(importlib.util.cache_from_source(str(source)))
            if compiled.exists():
                os.utime(compiled, ns=(source.stat().st_mtime_ns,) * 2)


def move_into(root: Path, build_root: Path) -> list[Entry]:
    """Move every file of an unpacked package into a shared build root; return its entries, sorted.

    Directories that exist keep their attributes.  Raises ConversionError for
    a file that exists: such packages cannot be installed together either.
    """
    entries: list[Entry] = []
    for parent, directories, files in os.walk(root):
        relative = parent[len(str(root)) :]
        target = str(build_root) + relative
        for name in sorted(directories):
            full = os.path.join(parent, name)
            if os.path.islink(full):
                files.append(name)
            else:
                entries.append(_describe(full, f"{relative}/{name}", directory=True))
                _copy_directory(full, f"{target}/{name}")
        for name in files:
            destination = f"{target}/{name}"
            if os.path.lexists(destination):
                raise ConversionError(f"{relative}/{name} comes from two packages")
            os.rename(os.path.join(parent, name), destination)
            entries.append(_describe(destination, f"{relative}/{name}", directory=False))
    return sorted(entries, key=lambda entry: entry.path)


def _describe(full: str, path: str, *, directory: bool) -> Entry:
    status = os.lstat(full)
    if status.st_uid == 0 and status.st_gid == 0:
        return Entry(path, directory)
    # dpkg-deb unpacks by user name; the names are the static ones of base-passwd.
    user, group = _owner_name(pwd.getpwuid, status.st_uid), _owner_name(grp.getgrgid, status.st_gid)
    return Entry(path, directory, user, group)


def _owner_name(look_up: Callable[[int], tuple[object, ...]], number: int) -> str:
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)


def _copy_directory(source: str, target: str) -> None:
    if os.path.isdir(target):
        return
    status = os.stat(source)
    os.mkdir(target)
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, stat.S_IMODE(status.st_mode))

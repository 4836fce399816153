"""Ownership of files: itb reads only files that its own user or root owns and that nobody else can change.

Trusted owners are root, the user that itb runs as and, if that is root by
``sudo``, the user who called sudo (SUDO_UID, which sudo itself sets; somebody
who can become root gains nothing by a file).  A file is writable by others if
everybody may write it, or a group that is not the owner's private group: with
the umask 002 of many distributions, a user's files are writable by the group of
the user's name, which has no other member.  Environment variables name more
users and groups, because the folders in a CI container may belong to a user
outside, a file server may map ids, and a checkout may belong to a group.
"""

from __future__ import annotations

import functools
import grp
import os
import pwd
import shlex
import stat
import struct
import sys
import tempfile
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from itb.errors import UsageError
from itb.util import files as util_files

_TEMPORARY = ("/tmp", "/var/tmp", "/usr/tmp")  # where tempfile looks besides; they have the sticky bit
USERS, GROUPS = "ITB_TRUSTED_USERS", "ITB_TRUSTED_GROUPS"  # names or numbers, comma-separated


def read(path: Path) -> bytes:
    """Return the content of a trusted regular file.

    The open file is checked, so that another file cannot take its name
    meanwhile, and so are the links to it, since their owner chooses the file.
    Raises UsageError for a file that is not trusted, OSError for one that
    cannot be read.
    """
    _check_links(path, set())
    with os.fdopen(util_files.open_regular(path), "rb") as file:
        _check(path, os.fstat(file.fileno()))
        return util_files.read_open(file, path, util_files.TEXT_LIMIT)


def check(path: Path) -> None:
    """Raise UsageError unless a file or folder, and every folder and link that leads to it, is trusted.

    So are the folders that hold such a link: who can change one of them can
    put another link there.  A parent folder in which everybody may make files
    is trusted if only their owners may remove them (the sticky bit, as in
    /tmp).  Parts of a path that do not exist are not checked.
    """
    links: set[Path] = set()
    _check_links(path, links)
    real = util_files.resolve(path)
    folders = [util_files.resolve(link.parent) for link in sorted(links)]
    places = [real, *real.parents, *(place for folder in folders for place in (folder, *folder.parents))]
    for place in dict.fromkeys(places):
        if place.exists():
            _check(place, place.stat())


def check_tree(folder: Path) -> None:
    """Raise UsageError unless a folder, its parents and everything in it, also by links, is trusted."""
    _check_tree(folder, set())


def _check_tree(folder: Path, visited: set[Path]) -> None:
    check(folder)
    if (real := util_files.resolve(folder)) in visited:
        return
    visited.add(real)
    for at, folders, files in os.walk(folder):
        for name in (*folders, *files):
            inside = Path(at, name)
            with suppress(FileNotFoundError):  # another process has just removed it
                _check(inside, inside.lstat())
            if inside.is_symlink():
                _check_tree(inside, visited) if inside.is_dir() else check(inside)


def settle_temporary_folder() -> None:
    """Keep temporary files where only this user can rename them; UsageError for a folder of the environment.

    Where the usual folders cannot be written, since somebody has filled their
    disk, Python would take the current directory, whoever owns it.
    """
    named = {name: folder for name in ("TMPDIR", "TEMP", "TMP") if (folder := os.environ.get(name))}
    for name, folder in named.items():
        try:
            check(Path(folder))
        except UsageError as error:
            raise UsageError(f"{name}: {error.message}", hint=error.hint) from None
    wanted = (*map(os.path.abspath, named.values()), *_TEMPORARY)
    with suppress(FileNotFoundError):  # none can be written
        if tempfile.gettempdir() in wanted:
            return
    tempfile.tempdir = next(filter(os.path.isdir, _TEMPORARY), "/")


def own_folder(path: Path) -> Path:
    """Make a folder (mode 0700) unless it is there, and return it; UsageError for one that others can change.

    So are the folders above it that are not there, as the XDG base directory
    specification has it.
    """
    for place in (*reversed(path.absolute().parents), path):
        if not place.exists():
            place.mkdir(0o700, exist_ok=True)
    check(path)
    return path


def open_own(path: Path, flags: int) -> int:
    """Open a trusted regular file that others shall not read, and return its descriptor; a new one has mode 0600.

    One of this user's gets that mode.  Raises UsageError for one that is not
    trusted, OSError for one that cannot be opened.
    """
    _check_links(path, set())
    descriptor = util_files.open_regular(path, flags, 0o600)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, 0o600)
        _check(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def trusted_users() -> set[int]:
    """Return the ids of the users whose files are trusted."""
    trusted = {0, os.geteuid(), *_named(USERS, lambda name: pwd.getpwnam(name).pw_uid)}
    if (caller := _id_by_sudo("SUDO_UID")) >= 0:
        trusted.add(caller)
    return trusted


def _id_by_sudo(variable: str) -> int:
    """Return the id of the user or group that called sudo, from sudo's variable; -1 without sudo."""
    text = os.environ.get(variable, "")
    return int(text) if os.geteuid() == 0 and text.isascii() and text.isdigit() else -1


def give_to_caller(path: Path, *, but: Collection[str] = ()) -> None:
    """Make the user who called sudo the owner of what root made: a file, or a folder and its content.

    Does nothing without sudo.  Names in ``but`` and their content stay root's,
    and so do files that have another name elsewhere.  Files of other users stay
    theirs; links are not followed.  In a folder that was there before, give
    only what was written: root's other files in it are not the caller's.
    """
    user, group = _id_by_sudo("SUDO_UID"), _id_by_sudo("SUDO_GID")
    if user < 0 or not os.path.lexists(path):
        return

    def give(name: Path | str, folder: int | None = None) -> None:
        with suppress(FileNotFoundError):  # removed since it was listed
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if status.st_uid == 0 and (stat.S_ISDIR(status.st_mode) or status.st_nlink == 1):
                os.chown(name, user, group, dir_fd=folder, follow_symlinks=False)

    if path.is_symlink() or not path.is_dir():
        give(path)
        return
    for _, folders, files, descriptor in os.fwalk(path, follow_symlinks=False):
        folders[:] = [name for name in folders if name not in but]
        for name in (*folders, *files):
            give(name, descriptor)
    give(path)


@functools.cache
def warn_of_readers(path: Path) -> None:
    """Print, once per file, that everybody on this machine can read a secret in it, if that is so."""
    real = util_files.resolve(path)
    if real.stat().st_mode & stat.S_IROTH and all(folder.stat().st_mode & stat.S_IXOTH for folder in real.parents):
        print(
            f"itb: {path}: a login or password is in it, and everybody on this machine can read it\n"
            f"     chmod go-r {shlex.quote(str(real))}",
            file=sys.stderr,
        )


def _named(variable: str, id_of: Callable[[str], int]) -> set[int]:
    """Return the ids of the users or groups that a variable names; UsageError for a name that does not exist."""
    ids = set()
    for name in filter(None, (part.strip() for part in os.environ.get(variable, "").split(","))):
        try:
            ids.add(int(name) if name.isascii() and name.isdigit() else id_of(name))
        except KeyError:
            message = f"environment {variable}: there is no {name[:60]!r}"
            raise UsageError(message, hint="a number will do") from None
    return ids


def _check_links(path: Path, visited: set[Path]) -> None:
    """Raise UsageError for a link on the way to a path that another user owns."""
    whole = path.absolute()
    for place in (*reversed(whole.parents), whole):
        if place.is_symlink() and place not in visited:
            visited.add(place)
            _check(place, place.lstat())
            _check_links(place.parent / place.readlink(), visited)


def _check(path: Path, status: os.stat_result) -> None:
    quoted, is_folder = shlex.quote(str(path)), stat.S_ISDIR(status.st_mode)
    if status.st_uid not in trusted_users():
        sudo = "" if os.geteuid() == 0 else "sudo "
        raise UsageError(
            f"{path} belongs to {_name(status.st_uid)}; only what is yours or root's is believed",
            hint=f"if you trust that user: {USERS}={status.st_uid} in the environment; or use another folder"
            if is_folder
            else f"look into it; if it says what you want: {sudo}chown {os.geteuid()} {quoted}",
        )
    if others := _writers_besides_owner(path, status):
        group = f"; or, if you trust all of that group: {GROUPS}={_group(status.st_gid)} in the environment"
        raise UsageError(
            f"{path} can be written by {others}; only what nobody else can change is believed",
            hint=f"look into it; if it says what you want: chmod go-w {quoted}"
            + (group if is_folder and not status.st_mode & stat.S_IWOTH else ""),
        )


def _writers_besides_owner(path: Path, status: os.stat_result) -> str:
    """Return the others who may write a file, for a message; empty if there are none."""
    if stat.S_ISLNK(status.st_mode) or (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX):
        return ""
    if status.st_mode & stat.S_IWOTH:
        return "everybody"
    if not status.st_mode & stat.S_IWGRP:
        return ""
    if _has_writers_by_list(path):  # with such a list, the mode's bits of the group are the most that it gives
        return "users or groups of its access control list (getfacl)"
    if _is_own_group(status.st_uid, status.st_gid):
        return ""
    return "" if status.st_gid in _named(GROUPS, _group_id) else f"group {_group(status.st_gid)}"


def _has_writers_by_list(path: Path) -> bool:
    """Return whether an access control list lets users or groups write that are not trusted (acl(5))."""
    try:
        entries = [*struct.iter_unpack("<HHI", os.getxattr(path, "system.posix_acl_access")[4:])]
    except OSError:  # there is none, or the file system has no such lists
        return False
    may_write = [(tag, number) for tag, permissions, number in entries if permissions & 2]
    users, groups = trusted_users(), _named(GROUPS, _group_id)
    trusted = {2: users, 8: groups}  # ACL_USER and ACL_GROUP, those that are named
    return any(tag in trusted and number not in trusted[tag] for tag, number in may_write)


def _is_own_group(uid: int, gid: int) -> bool:
    """Return whether a group is a user's private one: of the same name, or number, and without other members."""
    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return uid == gid
    return user.pw_gid == gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def _group_id(name: str) -> int:
    return grp.getgrnam(name).gr_gid


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)

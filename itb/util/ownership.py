"""Whose a file is and who may write it: itb believes what its user or root wrote, and nobody else.

Trusted are the user itb runs as, root and, where root is who ``sudo`` made of
somebody, that somebody (SUDO_UID): sudo itself sets the variable, and who may
become root by sudo gains nothing by a file.  Writable by others means
by everybody, or by a group that is not the owner's own: with the umask 002 of
many distributions a user's files are writable by the group of the user's
name, in which nobody else is.  Variables of the environment name more users
and groups: in a CI container the folders may be those of a user outside, on a
file server ids may be mapped, a checkout may be a whole group's.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from itb.errors import UsageError
from itb.util import files as util_files

USERS, GROUPS = "ITB_TRUSTED_USERS", "ITB_TRUSTED_GROUPS"  # names or numbers, comma-separated


def read(path: Path) -> bytes:
    """Return the content of a trusted regular file.

    What is looked at is the file that is read, whatever its name stands for a
    moment later, and the links that lead to it: whose they are chooses the
    file.  Raises UsageError for one that is not trusted, OSError for one that
    cannot be read.
    """
    _check_links(path, set())
    with os.fdopen(util_files.open_regular(path), "rb") as file:
        _check(path, os.fstat(file.fileno()))
        return util_files.read_open(file, path, util_files.TEXT_LIMIT)


def check(path: Path) -> None:
    """UsageError unless a file or folder, and every folder and link that leads to it, is trusted.

    A folder above in which everybody may make files is trusted where only
    their owners may remove them (the sticky bit, as in /tmp).  A path that
    does not exist is no concern of this function.
    """
    _check_links(path, set())
    real = util_files.resolve(path)
    for place in (real, *real.parents):
        if place.exists():
            _check(place, place.stat())


def check_tree(folder: Path) -> None:
    """UsageError unless a folder, what leads to it and everything in it, also by links, is trusted."""
    _check_tree(folder, set())


def _check_tree(folder: Path, seen: set[Path]) -> None:
    check(folder)
    if (real := util_files.resolve(folder)) in seen:
        return
    seen.add(real)
    for at, folders, files in os.walk(folder):
        for name in (*folders, *files):
            inside = Path(at, name)
            _check(inside, inside.lstat())
            if inside.is_symlink():
                _check_tree(inside, seen) if inside.is_dir() else check(inside)


def own_folder(path: Path) -> Path:
    """Make a folder (mode 0700) unless it is there, and return it; UsageError for one that others can change."""
    for place in reversed(path.absolute().parents):
        if not place.exists():
            place.mkdir(0o755, exist_ok=True)
    path.mkdir(0o700, exist_ok=True)
    check(path)
    return path


def trusted_users() -> set[int]:
    """Return the user ids whose files are believed."""
    trusted = {0, os.geteuid(), *_named(USERS, lambda name: pwd.getpwnam(name).pw_uid)}
    if (caller := _id_by_sudo("SUDO_UID")) >= 0:
        trusted.add(caller)
    return trusted


def _id_by_sudo(variable: str) -> int:
    """Return the id, of the user or group that became root by sudo, in its variable; -1 if nobody did."""
    text = os.environ.get(variable, "")
    return int(text) if os.geteuid() == 0 and text.isascii() and text.isdigit() else -1


def give_to_caller(path: Path, *, but: Collection[str] = ()) -> None:
    """Give a folder and what is in it, or a file, to who became root by sudo; do nothing if nobody did.

    Names in ``but`` stay root's, with what is in them.  Nothing outside of
    the folder is reached by a link.
    """
    user, group = _id_by_sudo("SUDO_UID"), _id_by_sudo("SUDO_GID")
    if user < 0 or not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        os.chown(path, user, group, follow_symlinks=False)
        return
    for _, folders, files, descriptor in os.fwalk(path, follow_symlinks=False):
        folders[:] = [name for name in folders if name not in but]
        for name in (*folders, *files):
            with suppress(FileNotFoundError):  # gone since it was listed
                os.chown(name, user, group, dir_fd=descriptor, follow_symlinks=False)
        os.chown(descriptor, user, group)


def _named(variable: str, id_of: Callable[[str], int]) -> set[int]:
    """Return the ids of the users or groups that a variable names; UsageError for one there is none of."""
    ids = set()
    for name in filter(None, (part.strip() for part in os.environ.get(variable, "").split(","))):
        try:
            ids.add(int(name) if name.isascii() and name.isdigit() else id_of(name))
        except KeyError:
            message = f"environment {variable}: there is no {name[:60]!r}"
            raise UsageError(message, hint="a number will do") from None
    return ids


def _check_links(path: Path, seen: set[Path]) -> None:
    """UsageError for a link on the way to a path that belongs to somebody else."""
    whole = path.absolute()
    for place in (*reversed(whole.parents), whole):
        if place.is_symlink() and place not in seen:
            seen.add(place)
            _check(place, place.lstat())
            _check_links(place.parent / place.readlink(), seen)


def _check(path: Path, seen: os.stat_result) -> None:
    quoted, is_folder = shlex.quote(str(path)), stat.S_ISDIR(seen.st_mode)
    if seen.st_uid not in trusted_users():
        sudo = "" if os.geteuid() == 0 else "sudo "
        raise UsageError(
            f"{path} belongs to {_name(seen.st_uid)}; only what is yours or root's is believed",
            hint=f"if you trust that user: {USERS}={seen.st_uid} in the environment; or use another folder"
            if is_folder
            else f"look into it; if it says what you want: {sudo}chown {os.geteuid()} {quoted}",
        )
    if who := _others(seen):
        group = f"; or, if you trust all of that group: {GROUPS}={_group(seen.st_gid)} in the environment"
        raise UsageError(
            f"{path} can be written by {who}; only what nobody else can change is believed",
            hint=f"look into it; if it says what you want: chmod go-w {quoted}"
            + (group if is_folder and not seen.st_mode & stat.S_IWOTH else ""),
        )


def _others(seen: os.stat_result) -> str:
    """Say who else may write something; empty if nobody may."""
    if stat.S_ISLNK(seen.st_mode) or (stat.S_ISDIR(seen.st_mode) and seen.st_mode & stat.S_ISVTX):
        return ""
    if seen.st_mode & stat.S_IWOTH:
        return "everybody"
    if not seen.st_mode & stat.S_IWGRP or _is_own_group(seen.st_uid, seen.st_gid):
        return ""
    return "" if seen.st_gid in _named(GROUPS, _group_id) else f"group {_group(seen.st_gid)}"


def _is_own_group(uid: int, gid: int) -> bool:
    """True for a user's private group: of the user's name, or number where it has no name, and nobody else's."""
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

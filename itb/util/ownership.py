"""Whose a file is and who may write it: itb believes what its user or root wrote, and nobody else.

Trusted are the user itb runs as, root and, where root is who ``sudo`` made of
somebody, that somebody (SUDO_UID): sudo itself sets the variable, and who may
become root by sudo gains nothing by a file.  Writable by others means
by everybody, or by a group that is not the owner's own: with the umask 002 of
many distributions a user's files are writable by the group of the user's
name, in which nobody else is.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from pathlib import Path

from itb.errors import UsageError
from itb.util import files as util_files


def read(path: Path) -> bytes:
    """Return the content of a trusted regular file.

    What is looked at is the file that is read, whatever its name stands for a
    moment later.  Raises UsageError for one that is not trusted, OSError for
    one that cannot be read.
    """
    with os.fdopen(util_files.open_regular(path), "rb") as file:
        _check(path, os.fstat(file.fileno()))
        return file.read()


def check(path: Path) -> None:
    """UsageError unless a file or folder, and every folder that leads to it, is trusted.

    A folder above in which everybody may make files is trusted where only
    their owners may remove them (the sticky bit, as in /tmp).  A path that
    does not exist is no concern of this function.
    """
    real = path.resolve()
    for place in (real, *real.parents):
        if place.exists():
            _check(place, place.stat())


def check_tree(folder: Path) -> None:
    """UsageError unless a folder, what leads to it and everything in it is trusted."""
    check(folder)
    for at, folders, files in os.walk(folder):
        for name in (*folders, *files):
            inside = Path(at, name)
            _check(inside, inside.lstat())
            if inside.is_symlink():
                check(inside)


def trusted_users() -> set[int]:
    """Return the user ids whose files are believed."""
    trusted = {0, os.geteuid()}
    by_sudo = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and by_sudo.isascii() and by_sudo.isdigit():
        trusted.add(int(by_sudo))
    return trusted


def _check(path: Path, seen: os.stat_result) -> None:
    quoted = shlex.quote(str(path))
    if seen.st_uid not in trusted_users():
        sudo = "" if os.geteuid() == 0 else "sudo "
        raise UsageError(
            f"{path} belongs to {_name(seen.st_uid)}; only what is yours or root's is believed",
            hint=f"look into it; if it says what you want: {sudo}chown {os.geteuid()} {quoted}",
        )
    who = _others(seen)
    if who:
        raise UsageError(
            f"{path} can be written by {who}; only what nobody else can change is believed",
            hint=f"look into it; if it says what you want: chmod go-w {quoted}",
        )


def _others(seen: os.stat_result) -> str:
    """Say who else may write something; empty if nobody may."""
    if stat.S_ISLNK(seen.st_mode) or (stat.S_ISDIR(seen.st_mode) and seen.st_mode & stat.S_ISVTX):
        return ""
    if seen.st_mode & stat.S_IWOTH:
        return "everybody"
    if seen.st_mode & stat.S_IWGRP and not _is_own_group(seen.st_uid, seen.st_gid):
        return f"group {_group(seen.st_gid)}"
    return ""


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


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)

"""Checks that links which packages bring lead to something."""

import os
import stat
from pathlib import Path

import files
import rpm

_STATIC = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/")  # others are made later


def check(_, packages):
    """Yield links to what only a package can bring and none has brought here."""
    exceptions = os.environ.get("ITB_UNCHECKED_FILES", "").splitlines()
    for package in sorted(packages):
        for entry in rpm.files(packages[package]):
            path = entry.name
            if not stat.S_ISLNK(entry.mode) or entry.fflags & rpm.RPMFILE_GHOST:
                continue
            if files.is_left_out(path, exceptions) or not Path(path).is_symlink() or Path(path).exists():
                continue
            target = os.path.normpath(Path(path).parent / os.readlink(path))  # noqa: PTH115  3.6
            if target.startswith(_STATIC):
                yield f"{path}: a link to {target}, which is not there"

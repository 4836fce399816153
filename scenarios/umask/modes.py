"""Saves modes and owners of what the product has on this host, or compares them with what was saved.

usage: modes.py save|compare FILE

Prints what differs and is there both times; ITB_UNCHECKED_FILES: as in scenario packages.
"""

import fnmatch
import grp
import json
import os
import pwd
import stat
import sys
from pathlib import Path

sys.path.insert(0, os.environ["ITB_LIB"])

import product_files


def main(verb, file):
    """Do what is asked for."""
    now = modes()
    if verb == "save":
        Path(file).write_text(json.dumps(now))
        return
    before = json.loads(Path(file).read_text())
    umask = os.environ["ITB_UMASK"]
    for path in sorted(before.keys() & now.keys()):
        if before[path] != now[path]:
            print(f"{path}: {now[path]} with umask {umask}, {before[path]} with 022")


def modes():
    """Return kind, mode and owner by path."""
    exceptions = os.environ.get("ITB_UNCHECKED_FILES", "").splitlines()
    found = {}
    for path, status in product_files.walk(os.environ.get("ITB_PACKAGES", "").split()):
        if stat.S_ISLNK(status.st_mode) or any(fnmatch.fnmatchcase(path, pattern) for pattern in exceptions):
            continue
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "file"
        owner = f"{name(pwd.getpwuid, status.st_uid)}:{name(grp.getgrgid, status.st_gid)}"
        found[path] = f"{kind} {stat.S_IMODE(status.st_mode):04o} {owner}"
    return found


def name(look, number):
    """Return the name of a user or group, its number if it has none."""
    try:
        return look(number)[0]
    except KeyError:
        return str(number)


main(*sys.argv[1:])

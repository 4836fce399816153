#!/usr/bin/python3
"""No two packages of the candidate's repository install different files under one name; TAP.

rpm's rule: the same content, mode and owner may be shared, directories may be
anyone's.  Packages that declare a conflict never meet on a host.
"""

import os
import stat
import sys
from collections import defaultdict

sys.path.insert(0, os.environ["ITB_SCENARIO_DIR"])

import rpm
from headers import download


def main():
    """Print one result a package; exit status 1 if there is none to try."""
    headers = download(os.environ.get("ITB_CANDIDATE_REPO", ""))
    if not headers:
        print("the candidate's repository holds no package", file=sys.stderr)
        return 1
    owners = defaultdict(list)
    for name in sorted(headers):
        for path, identity in files(headers[name]):
            owners[path].append((name, identity))
    clashes = defaultdict(list)
    for path, found in sorted(owners.items()):
        for index, (name, identity) in enumerate(found):
            for other, its in found[:index]:
                if identity != its and not declared(headers[name], headers[other]):
                    clashes[name].append((path, "is also in", other + ", and differs in", differs(identity, its)))
    print(f"1..{len(headers)}")
    for number, name in enumerate(sorted(headers), 1):
        print("not ok" if clashes[name] else "ok", number, "-", name)
        for clash in clashes[name][:50]:
            print("#", *clash)
    return 0


def files(header):
    """Yield path and identity (type and mode, owner, content) of all files that are no directory."""
    for file in rpm.files(header):
        if not stat.S_ISDIR(file.mode) and not file.fflags & rpm.RPMFILE_GHOST:
            yield file.name, (file.mode, file.user, file.group, file.digest, file.linkto)


def differs(one, other):
    """Name what makes two identities differ."""
    names = ("mode", "user", "group", "content", "link target")
    return ", ".join(name for index, name in enumerate(names) if one[index] != other[index])


def declared(one, other):
    """True if either of two packages says that it conflicts with or replaces the other."""
    for header, name in ((one, other[rpm.RPMTAG_NAME]), (other, one[rpm.RPMTAG_NAME])):
        if name in list(header[rpm.RPMTAG_CONFLICTNAME]) + list(header[rpm.RPMTAG_OBSOLETENAME]):
            return True
    return False


sys.exit(main())

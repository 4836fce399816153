#!/usr/bin/python3
"""Each package of the candidate's repository can be installed on this host without its siblings; TAP.

dnf's own solver is asked, package by package, against what is installed here.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, os.environ["ITB_LIB"])

import dnf
import dnf.exceptions
import dnf_log


def main():
    """Print one result a package; exit status 1 if there is none to try."""
    spoiled = Path("/var/lib/itb/not-bare")
    if spoiled.exists():
        print("this host is no longer bare:", spoiled.read_text())
        return 77
    repository = os.environ.get("ITB_CANDIDATE_REPO", "")
    with dnf.Base() as base:
        base.conf.read()
        base.conf.install_weak_deps = False
        base.read_all_repos()
        if repository not in base.repos:
            print("repository", repository, "is not configured on this host", file=sys.stderr)
            return 1
        base.fill_sack(load_system_repo=True)
        packages = sorted(base.sack.query().available().filter(reponame=repository, arch__neq="src"))
        if not packages:
            print("repository", repository, "holds no package", file=sys.stderr)
            return 1
        print(f"1..{len(packages)}")
        for number, package in enumerate(packages, 1):
            base.reset(goal=True)
            base.package_install(package)
            try:
                base.resolve()
            except dnf.exceptions.DepsolveError as error:
                print("not ok", number, "-", package.name)
                print("#", dnf_log.refused(str(error)) or str(error).splitlines()[0])
                print("#  ", str(error).replace("\n", "\n#   "))
            else:
                others = len(base.transaction.install_set) - 1
                print("ok", number, "-", package.name)
                print("# with", others, "others")
    return 0


sys.exit(main())

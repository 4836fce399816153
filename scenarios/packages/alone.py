#!/usr/bin/python3
"""Each package of the candidate's repository can be installed on this host without its siblings; TAP.

dnf's own solver is asked, package by package, against what is installed here.
"""

import os
import sys

import dnf
import dnf.exceptions


def main():
    """Print one result a package; exit status 1 if there is none to try."""
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
                print("#", reason(str(error)))
                print("#  ", str(error).replace("\n", "\n#   "))
            else:
                others = len(base.transaction.install_set) - 1
                print("ok", number, "-", package.name)
                print("# with", others, "others")
    return 0


def reason(text):
    """Return the line of dnf's explanation that names the cause, else the first."""
    lines = [line.strip(" -") for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "nothing provides" in line or "conflicts" in line), lines[0])


sys.exit(main())

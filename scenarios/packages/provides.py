#!/usr/bin/python3
"""No package of the candidate's says that it is, or has, what a package of the platform is or has; TAP.

dnf installs one of those that provide what is required.  Who replaces a package says so by Obsoletes or Conflicts.
"""

import os
import re
import sys

import dnf


def main():
    """Print one result a package; exit status 1 if there is none to try."""
    own_repositories = {os.environ.get("ITB_CANDIDATE_REPO", ""), os.environ.get("ITB_PREVIOUS_REPO", "")}
    with dnf.Base() as base:
        base.conf.read()
        base.read_all_repos()
        base.fill_sack(load_system_repo=False)
        query, repository = base.sack.query().available(), os.environ.get("ITB_CANDIDATE_REPO", "")
        packages = sorted(query.filter(reponame=repository, arch__neq="src").latest())
        if not packages:
            print("the candidate's repository holds no package", file=sys.stderr)
            return 1
        names = {package.name for package in packages}
        print(f"1..{len(packages)}")
        for number, package in enumerate(packages, 1):
            taken = [
                f"{package.name} provides {provide}, as {other} of {other.reponame}: who requires it gets either"
                for provide, other in taken_from(query, package, names, own_repositories)
            ]
            print("not ok" if taken else "ok", number, "-", package.name)
            for line in taken[:50]:
                print("#", line)
    return 0


def taken_from(query, package, names, own_repositories):
    """Yield what a package provides that is another package's name or library, with that package."""
    replaced = {str(item).split()[0] for item in [*package.obsoletes, *package.conflicts]}
    for provide in package.provides:
        name = str(provide).split()[0]
        if name in names:
            continue
        if re.match(r"lib[^/ ]*\.so\b", name):
            others = query.filter(provides=provide)
        elif re.match(r"[\w.+-]+$", name):
            others = query.filter(name=name)
        else:
            continue
        for other in others:
            if other.reponame not in own_repositories and other.name not in replaced:
                yield provide, other
                break


sys.exit(main())

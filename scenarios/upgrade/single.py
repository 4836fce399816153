#!/usr/bin/python3
"""Each of the product's packages is upgraded alone, from the version before; TAP.

dnf says what it takes along.  What it refuses is well, and so is what takes all others along: that is tried
already.  In between a host has packages of two versions.  What only moves from one to another must not be gone
then, and what ran has to run.
"""

import os
import stat
import sys

sys.path.insert(0, os.environ["ITB_LIB"])

import dnf
import dnf.exceptions
import dnf_operation as operate
import host_state
import rpm

MOST = 8  # mixtures that are tried


def base_of(*, candidate):
    """Return dnf with the repositories of the candidate, or of the version before."""
    base = dnf.Base()
    base.conf.read()
    base.conf.install_weak_deps = False
    base.read_all_repos()
    base.repos.get_matching(operate.CANDIDATE).disable()
    base.repos.get_matching(operate.PREVIOUS).disable()
    base.repos.get_matching(operate.CANDIDATE if candidate else operate.PREVIOUS).enable()
    base.fill_sack(load_system_repo=True)
    return base


def mixtures(base, names):
    """Yield (name, names of the product's packages that come along with it or leave); None if dnf refuses."""
    for name in names:
        base.reset(goal=True)
        try:
            base.upgrade(name)
            base.resolve()
        except dnf.exceptions.Error:
            yield name, None
            continue
        come = {package.name for package in base.transaction.install_set} & {*operate.offered(operate.CANDIDATE)}
        go = {package.name for package in base.transaction.remove_set} & {*names}
        yield name, frozenset(come | go)


def headers(base, repository):
    """Return {name: files} of a repository's packages."""
    packages = list(base.sack.query().available().filter(reponame=repository, arch__neq="src").latest())
    return {package.name: set(package.files) for package in packages}


def lost(mixture, here, candidate):
    """Return (file, package of the candidate that has it) of files that a mixture of two versions lacks."""
    stay = set().union(*(files for name, files in here.items() if name not in mixture))
    come = set().union(*(files for name, files in candidate.items() if name in mixture))
    had = set().union(*here.values())
    found = []
    for name, files in sorted(candidate.items()):
        if name not in mixture:
            found += [(path, name) for path in sorted(files & had - stay - come)]
    return sorted(found, key=lambda item: item[0].endswith(".pyc"))  # what a person wrote comes first


def files_here(names):
    """Return {name: files that are no folders} of installed packages."""
    found = {}
    for name in names:
        for header in rpm.TransactionSet().dbMatch("name", name):
            found[name] = {file.name for file in rpm.files(header) if not stat.S_ISDIR(file.mode)}
    return found


def try_mixture(name, mixture, units):
    """Upgrade the package on the host; return why it does not work, empty if it does."""
    operate.settle(units)
    if operate.dnf("--refresh", "upgrade", name) != 0:
        return ""  # refused by rpm
    wrong = host_state.restart_findings([unit for unit in units if unit in operate.lines("running")])
    back = [*operate.FROM_PREVIOUS, "--allowerasing", "downgrade", *sorted(mixture)]
    operate.dnf(*back)
    return "; ".join("{} does not run: {}".format(*item) for item in wrong.items())


def ensure_previous(names):
    """Bring the host to the version before; return whether that could be done."""
    earlier = operate.offered(operate.PREVIOUS)
    if all(operate.installed([name]).get(name) == earlier.get(name) for name in names):
        return True
    operate.dnf("remove", "--setopt=clean_requirements_on_remove=False", *operate.installed_names())
    return operate.dnf(*operate.FROM_PREVIOUS, "install", *operate.asked_for(operate.PREVIOUS)) == 0


def main():
    """Try each package and print what came of it."""
    if not operate.ready():
        return 77
    names = operate.lines("installed")
    if not ensure_previous(names):
        print("the version before cannot be installed any more: " + operate.why_refused())
        return 77
    results, tried = operate.Results(), {}
    units = [unit for unit in operate.lines("enabled") if unit in operate.product_units()]
    candidate_base = base_of(candidate=True)
    here, candidate = files_here(names), headers(candidate_base, operate.CANDIDATE)
    versions = operate.installed(names)
    for name, mixture in list(mixtures(candidate_base, names)):
        if mixture is None or not mixture or set(names) <= mixture:
            results.add(name)
            print("#", "refused by dnf" if mixture is None else "takes all others along" if mixture else "stays")
            continue
        gone = lost(mixture, here, candidate)
        if gone:
            path, package = gone[0]
            more = f" (and {len(gone) - 1} files more)" if len(gone) > 1 else ""
            stays = f"stays {versions[package]}" if package in versions else "is not installed"
            told = "{} upgraded alone takes {} away: the candidate has it in {}, which {}{}"
            results.add(name, told.format(name, path, package, stays, more))
            continue
        if mixture not in tried and len(tried) < MOST:
            tried[mixture] = try_mixture(name, mixture, units)
        why = tried.get(mixture, "")
        others = ", ".join("{} {}".format(*item) for item in sorted(versions.items()) if item[0] not in mixture)
        results.add(name, why and f"{name} upgraded alone, with {others}: {why}", key=why)
        print("# taken along:", ", ".join(sorted(mixture)))
    results.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

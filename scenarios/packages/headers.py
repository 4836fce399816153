"""Headers of packages: of those in a repository, and of those that are installed here."""

import stat
import subprocess
from pathlib import Path

import dnf
import files
import rpm


def download(repository):
    """Return the headers of a repository's packages by name; none of a repository that is not configured here."""
    headers = {}
    with dnf.Base() as base:
        base.conf.read()
        base.read_all_repos()
        if repository not in base.repos:
            return headers
        base.repos[repository].enable()
        base.fill_sack(load_system_repo=False)
        packages = list(base.sack.query().available().filter(reponame=repository, arch__neq="src").latest())
        base.download_packages(packages)
        transaction = rpm.TransactionSet()
        transaction.setVSFlags(rpm._RPMVSF_NOSIGNATURES)  # dnf checks them when it installs
        for package in packages:
            with Path(package.localPkg()).open("rb") as file:
                headers[package.name] = transaction.hdrFromFdno(file.fileno())
    return headers


def installed(packages, repository):
    """Return the headers of installed packages by name; "all" are those of the candidate's repository."""
    names = packages.split()
    if names == ["all"]:
        command = ["dnf", "--quiet", "--repo=" + repository, "repoquery", "--queryformat", "%{name}\\n"]
        names = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().split()
    transaction = rpm.TransactionSet()
    found = {}
    for name in sorted(set(names)):
        for header in transaction.dbMatch("name", name):
            found[name] = header
    return found


def brought(headers, exceptions=()):
    """Return the regular files of packages that are here and to be looked at, ordered by path."""
    found = {}
    for package, header in headers.items():
        for file in rpm.files(header):
            if file.fflags & (rpm.RPMFILE_GHOST | rpm.RPMFILE_DOC) or not stat.S_ISREG(file.mode):
                continue
            path = Path(file.name)
            if not files.is_left_out(file.name, exceptions) and path.is_file() and not path.is_symlink():
                found[file.name] = files.BroughtFile(file.name, package)
    return [found[path] for path in sorted(found)]

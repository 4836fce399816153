"""The RPMs of a candidate: the arguments of its build, the check of what was built, and the copy of the files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from itb import commit_versions
from itb.config.product import Product
from itb.containers.archive import Bounds
from itb.containers.host import Host
from itb.errors import BuildError, TestbedError
from itb.model import Commit, Rpm
from itb.util import files
from itb.util.package_names import is_nevra
from itb.util.text import lines_of

_NUMBER = re.compile(r"[0-9]{1,18}")

BOUNDS = Bounds(total=4 << 30, file=2 << 30, members=10_000)  # of what one build may make
MISNAMED = "is stale or misnamed"  # of an RPM that is of another version or release


def required_packages(product: Product) -> set[str]:
    """Return the names of the product's own packages that its roles install."""
    names = {package for role in product.roles.values() for package in role.packages}
    return {name for name in names if any(fnmatchcase(name, glob) for glob in product.packages)}


def version_arguments(commit: Commit, known_options: Sequence[str]) -> list[str]:
    """Return a ReleaseManager's arguments for the version of a commit, of the options it knows.

    Up to GlideinWMS 3.9.5 (whose ReleaseManager knows ``--rpm-version``)
    the Release of a candidate was 0.RELEASE.rcN instead of 0.N.rcN.RELEASE.
    """
    arguments = ["--release-version", commit.version.replace(".", "_")]
    release = commit.rpm_release
    if commit.rc and "--rpm-version" in known_options:
        release = f"{commit.rc}.{release}" if release else str(commit.rc)
    for option, value in (
        ("--rc", str(commit.rc or "")),
        ("--rpm-release", release),
        ("--rpm-version", commit.version),
    ):
        if value and option in known_options:
            arguments += [option, value]
    return arguments


def builder_arguments(mock: str, known_options: Sequence[str]) -> list[str]:
    """Return a ReleaseManager's arguments for building with rpmbuild, or with mock and this Python.

    Raises BuildError for mock if it has no option ``--no-mock``: it then builds with rpmbuild only.
    """
    verbose = [option for option in ("--verbose",) if option in known_options]
    if not mock:
        return [option for option in ("--no-mock",) if option in known_options] + verbose
    if "--no-mock" not in known_options:
        raise BuildError("ReleaseManager offers no --no-mock: it does not build with mock")
    return (["--python-version", mock] if "--python-version" in known_options else []) + verbose


def parse_listing(text: str) -> tuple[list[Rpm], list[Rpm], dict[str, str]]:
    """Read the output of packages.sh: packages, source packages, and the path of each file name."""
    packages: dict[str, Rpm] = {}
    sources: dict[str, Rpm] = {}
    paths: dict[str, str] = {}
    for line in lines_of(text):
        fields = line.split("\t")
        if fields[0] == "broken" or len(fields) != 9:
            file = Path(fields[1]).name if len(fields) > 1 else "with a name of several lines"
            raise BuildError(f"RPM file {file} cannot be used: {fields[-1]}", evidence=text)
        path, name, epoch, version, release, arch, source, sha256, size = fields
        file = Path(path).name
        if not (file.endswith(".rpm") and _NUMBER.fullmatch(epoch) and _NUMBER.fullmatch(size)):
            raise BuildError(f"RPM file {file} cannot be used: {path!r} is listed with nonsense", evidence=text)
        rpm = Rpm(
            name=name,
            epoch=int(epoch),
            version=version,
            release=release,
            arch=arch,
            file=file,
            sha256=sha256,
            size=int(size),
        )
        if source != "(none)" and file in sources and "/SRPMS/" in path + paths[file]:
            # mock makes a second source package beside its RPMs; the release's is the one that mock was given.
            if "/SRPMS/" in path:
                sources[file], paths[file] = rpm, path
            continue
        same_name = packages.get(file) or sources.get(file)
        if same_name and same_name != rpm:
            raise BuildError(f"two different files are named {file}", evidence=text)
        (sources if source != "(none)" else packages)[file] = rpm
        paths[file] = path
    return list(packages.values()), list(sources.values()), paths


def check(commit: Commit, product: Product, packages: Sequence[Rpm]) -> list[str]:
    """Return the problems of a commit's RPMs, worst first."""
    if not packages:
        return ["only source RPMs were made"]
    problems = []
    release = commit_versions.release(commit.rc, commit.rpm_release)
    for rpm in packages:
        if rpm.version != commit.version:
            problems.append(f"{rpm.nevra} {MISNAMED}: its version is not {commit.version}")
        elif not _is_release(rpm.release, commit, release):
            problems.append(f"{rpm.nevra} {MISNAMED}: its release is not {release}")
        elif not any(fnmatchcase(rpm.name, glob) for glob in product.packages):
            problems.append(f"{rpm.nevra} is no package of {product.name} ({', '.join(product.packages)})")
    # dnf prints names among its own words.
    problems[:0] = [f"{rpm.nevra!r} is no name of a package" for rpm in packages if not is_nevra(rpm.nevra)]
    names = [rpm.name for rpm in packages]
    missing = sorted(required_packages(product) - set(names))
    if missing:
        problems.insert(0, f"no RPM of {', '.join(missing)} was made, which the roles of {product.name} install")
    double = sorted({name for name in names if names.count(name) > 1})
    problems += [f"there are several RPMs of {name}" for name in double]
    return problems


def _is_release(release: str, commit: Commit, expected: str) -> bool:
    """Return whether a Release is the expected one, with or without ``%dist`` at its end."""
    old = f"0.{commit.rc}.{commit.rpm_release}.rc{commit.rc}" if commit.rc and commit.rpm_release else expected
    return any(re.fullmatch(rf"{re.escape(item)}(?:\.[A-Za-z]\S*)?", release) for item in (expected, old))


def fetch(host: Host, rpms: Sequence[Rpm], paths: Mapping[str, str], folder: Path) -> None:
    """Copy package files out of the workspace to a folder, which is emptied first, and compare their checksums."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    received = host.get_files({paths[rpm.file]: folder / rpm.file for rpm in rpms}, BOUNDS, folder.parent)
    for rpm in rpms:
        if paths[rpm.file] not in received:
            raise TestbedError(f"{rpm.file} did not come out of the build workspace: it is gone, or no file")
        if files.sha256(folder / rpm.file) != rpm.sha256:
            raise TestbedError(f"{rpm.file} changed on its way out of the build workspace")

"""Finds packages that are published elsewhere: locates a repository, lists its packages, chooses a version.

The testbed's services host reads the repositories with the platform's dnf, so
that it sees the same packages as the other hosts.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from itb import commit_versions
from itb.config.platform import Platform
from itb.containers.host import Host
from itb.data import shipped
from itb.errors import InstallError, TestbedError, UsageError
from itb.model import Moment, Record, Rpm
from itb.process.request import Request
from itb.repository import keys
from itb.repository.keys import RepositoryKey
from itb.util import proxies
from itb.util.files import expand, resolve
from itb.util.package_names import is_nevra
from itb.util.yamlfile import nearest

_UNUSABLE_STATUS = 3  # exit status of offered.py: the repository is unusable
_WITHOUT_LOGIN = "copy the packages to a directory and give that"
_UPLOAD_LIMIT = 2 << 30  # bytes of a directory that is copied to the services host


@dataclass(frozen=True)
class RepositoryLocation:
    """Where published packages are: at a ``url``, or in a ``directory`` of this machine.

    ``name`` is for messages.
    """

    name: str
    url: str = ""
    directory: Path | None = None
    key: RepositoryKey = keys.NO_KEY
    priority: int = 99


class PublishedPackage(Record):
    """A package of a repository; ``built`` is its build time (epoch)."""

    rpm: Rpm
    built: Moment = 0

    @property
    def evr(self) -> tuple[int, str, str]:
        """Return epoch, version and release; all packages of one build have the same."""
        return self.rpm.epoch, self.rpm.version, self.rpm.release


class PackageSet(Record):
    """The packages of one version of the product; ``built`` is the latest of their build times (epoch)."""

    rpms: tuple[Rpm, ...]
    built: Moment = 0

    @property
    def version(self) -> str:
        """Return the version, which all its packages share."""
        return self.rpms[0].version

    @property
    def release(self) -> str:
        """Return the release, which all its packages share."""
        return self.rpms[0].release


class SignatureCheck(Record):
    """The result of checking packages: header checksums by NEVRA, signers, and the problems of signatures."""

    headers: dict[str, str]
    signers: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class _CheckedPackage(Record):
    """What rpm on the services host says of a package; ``said`` is the result of the check of its signatures."""

    nevra: str
    header: str
    signer: str
    said: str


def locate(platform: Platform, text: str, key: str) -> RepositoryLocation:
    """Return the location that ``--from-repo`` names; raise UsageError if it cannot be used on the platform."""
    name_or_path = text.removeprefix("file://") if text.startswith("file://") else text
    setting = keys.read_setting(key)
    if "://" in name_or_path:
        keys.check_url("from_repo", text, remedy=_WITHOUT_LOGIN)
        return RepositoryLocation(text, url=text.rstrip("/"), key=setting)
    if "/" in name_or_path or name_or_path in (".", ".."):
        folder = resolve(expand(name_or_path))
        if not folder.is_dir():
            raise UsageError(f"from_repo {text}: no such directory")
        if not any(folder.rglob("*.rpm")) and not (folder / "repodata").is_dir():
            raise UsageError(f"from_repo {text}: neither RPMs nor a YUM repository are in this directory")
        own_key = dataclasses.replace(setting, sources=setting.sources or keys.in_folder(folder))
        return RepositoryLocation(str(folder), directory=folder, key=own_key)
    repository = platform.published.get(name_or_path)
    if repository is None:
        names = sorted(name for name, other in platform.published.items() if other.url)
        raise UsageError(
            f"platform {platform.name} has no repository {text!r}{nearest(name_or_path, names)}",
            hint=f"a URL, a directory (with a / in it) or one of the platform's: {', '.join(names) or 'none'}",
        )
    if repository.refused:
        raise UsageError(
            f"platform {platform.name} cannot install from {text}: {repository.refused}",
            hint="a platform OSG builds for (--platform el9), or a URL or directory with packages for this one",
        )
    try:
        url = repository.url.format(**platform.settings)
        host_key = repository.key.format(**platform.settings)
    except (KeyError, IndexError, ValueError) as error:
        raise UsageError(f"platform {platform.name}: published {text}: {error} is no setting of it") from None
    keys.check_url(f"platform {platform.name}: published {text}", url, remedy=_WITHOUT_LOGIN)
    if not setting.sources:
        platforms = RepositoryKey((host_key,) if host_key else (), on_host=True, pin=repository.fingerprint)
        setting = dataclasses.replace(platforms, pin=setting.pin or platforms.pin)
    return RepositoryLocation(text, url=url, key=setting, priority=repository.priority)


def upload(services: Host, directory: Path, target: str) -> None:
    """Copy a directory to the services host, and index its RPMs if it has no metadata."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    if size > _UPLOAD_LIMIT:
        raise UsageError(
            f"from_repo {directory}: {size / 1e9:.1f} GB are too much to be copied",
            hint="serve the directory over http and give its URL, or choose a directory with fewer packages",
        )
    services.put_tree(directory, target)
    index = (
        f"cd {shlex.quote(target)}; chmod --recursive a+rX .; "
        '[ -d repodata ] || createrepo_c --quiet --workers "$(nproc)" .'
    )
    services.script(index, Request(about="index the packages of the directory"))


def list_packages(services: Host, url: str, globs: Sequence[str]) -> list[PublishedPackage]:
    """Return the product's packages in a repository, newest first; raise TestbedError if it cannot be read."""
    lines = _run_script(services, url, ["list", url, *globs])
    return [_read_package(line, url) for line in lines]


def _read_package(line: str, url: str) -> PublishedPackage:
    """Return a package as the metadata has it; raise TestbedError for a name or version that no package has.

    Nobody signs metadata, and dnf's configuration on hosts names the packages:
    a name of two lines would add a line to it, one with an asterisk would stand for others.
    """
    with _readable(url):
        fields = json.loads(line)
        package = PublishedPackage(built=fields.pop("built"), rpm=Rpm.model_validate(fields))
    if not is_nevra(package.rpm.nevra):
        raise TestbedError(f"repository {url} cannot be used: {package.rpm.nevra[:200]!r} is no name of a package")
    return package


@contextmanager
def _readable(url: str) -> Iterator[None]:
    """Raise TestbedError, which names the repository, where the block cannot read what it says of a package."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # text that is no Unicode, too
        raise TestbedError(f"repository {url} cannot be used: it has a package that cannot be one") from None


def check(services: Host, url: str, rpms: Sequence[Rpm], key: str) -> SignatureCheck:
    """Download packages on the services host and check their checksums and signatures.

    ``key`` is the file of the only accepted key on that host; empty for none.
    """
    lines = _run_script(services, url, ["fetch", url, key or "-", *(rpm.nevra for rpm in rpms)])
    with _readable(url):
        results = [_CheckedPackage.model_validate_json(line) for line in lines]
    unsigned = [result for result in results if not _is_signed(result)]
    problems = [f"{result.nevra}: {_signature_problem(result, bool(key))}" for result in unsigned]
    return SignatureCheck(
        headers={result.nevra: result.header for result in results},
        signers=tuple(dict.fromkeys(result.signer for result in results if result.signer)),
        problems=tuple(problems),
    )


def _is_signed(result: _CheckedPackage) -> bool:
    return "signatures OK" in result.said and "NOT OK" not in result.said


def _signature_problem(result: _CheckedPackage, key: bool) -> str:
    if not result.signer:
        return "is not signed"
    return f"{'is not signed with that key' if key else 'no key to check it with'} ({result.signer})"


def _run_script(services: Host, url: str, args: Sequence[str]) -> list[str]:
    script = (shipped.folder("build_ws") / "hosts" / "offered.py").read_text()
    argv = ["python3", "-I", "-c", script, *args]
    env = proxies.variables_for_candidate()
    completed = services.run(Request(argv, env=env, check=False, about=f"look at {url}"))
    if completed.returncode == _UNUSABLE_STATUS or completed.timed_out:
        lines = completed.stderr.strip().splitlines()
        reason = lines[-1] if lines and not completed.timed_out else f"no end within {completed.seconds:.0f} s"
        raise TestbedError(
            f"repository {url} cannot be used: {reason[:300]}",
            hint="is it served, and can the testbed's hosts reach it? A directory of this machine needs no server",
            evidence=completed.output,
        )
    if not completed.ok:
        raise TestbedError(f"host services: dnf looks at {url}: {completed.reason}", evidence=completed.output)
    if completed.left_out:  # from its middle
        raise TestbedError(
            f"repository {url} cannot be used: its listing of the product's packages has "
            f"{len(completed.stdout) + completed.left_out:,} bytes, more than are read",
            hint="--from-repo DIRECTORY or a URL with fewer versions of them",
        )
    return completed.stdout.splitlines()


def choose(packages: Sequence[PublishedPackage], required: set[str], *, pin: str, where: str) -> PackageSet:
    """Return the packages of one version: the newest, or the newest that ``pin`` names.

    ``packages`` are sorted, newest first; ``required`` are names.  ``pin`` is
    VERSION, VERSION-RELEASE (of a Release with dots also its beginning) or a
    NEVRA.  Raises InstallError with the nearest versions if none matches, or
    with the required packages that the version lacks.
    """
    if not packages:
        raise InstallError(f"{where} offers no package of the product")
    required_packages = [package for package in packages if package.rpm.name in required] or list(packages)
    candidates = packages if pin else required_packages
    first = next((package for package in candidates if not pin or _matches_pin(package.rpm, pin)), None)
    if first is None:
        evrs = list(dict.fromkeys(f"{package.rpm.version}-{package.rpm.release}" for package in required_packages))
        close = _nearest_versions(pin, [package.rpm for package in required_packages]) or evrs[:1]
        raise InstallError(
            f"{where} has no {pin}; nearest: {', '.join(close)}", evidence="offered:\n" + "\n".join(evrs)
        )
    of_version = {package.rpm.nevra: package for package in packages if package.evr == first.evr}
    missing = sorted(required - {package.rpm.name for package in of_version.values()})
    if missing:
        raise InstallError(
            f"{where} has {first.rpm.version}-{first.rpm.release} without {', '.join(missing)}, "
            "which the product's roles install",
            evidence="offered of this version:\n" + "\n".join(of_version),
        )
    return PackageSet(
        rpms=tuple(package.rpm for package in of_version.values()),
        built=max(package.built for package in of_version.values()),
    )


def _nearest_versions(pin: str, rpms: Sequence[Rpm]) -> list[str]:
    """Return up to three versions that are most like a pin, as VERSION-RELEASE."""
    version = next((pin.removeprefix(f"{rpm.name}-") for rpm in rpms if pin.startswith(f"{rpm.name}-")), pin)
    close = commit_versions.nearest(version.partition("-")[0], dict.fromkeys(rpm.version for rpm in rpms))
    matches = [f"{rpm.version}-{rpm.release}" for upstream in close for rpm in rpms if rpm.version == upstream]
    return list(dict.fromkeys(matches))[:3]


def before(packages: Sequence[PublishedPackage], package_set: PackageSet) -> list[PublishedPackage]:
    """Return the packages of earlier final versions (without those whose Release starts with ``0.``)."""
    position = max(index for index, package in enumerate(packages) if package.rpm in package_set.rpms)
    evr = (package_set.rpms[0].epoch, package_set.version, package_set.release)
    names = {rpm.name for rpm in package_set.rpms}
    return [
        package
        for package in packages[position + 1 :]
        if package.evr != evr and not package.rpm.release.startswith("0.") and package.rpm.name in names
    ]


def _matches_pin(rpm: Rpm, pin: str) -> bool:
    full = f"{rpm.version}-{rpm.release}"
    epoch = f"{rpm.epoch}:{full}"
    forms = [rpm.version, full, epoch, f"{epoch}.{rpm.arch}", rpm.nevra, rpm.nevra.removesuffix(f".{rpm.arch}")]
    forms += [f"{rpm.name}-{full}", f"{rpm.name}-{rpm.version}"]
    is_prefix = "-" in pin and any(form.startswith(f"{pin}.") for form in (full, epoch, f"{rpm.name}-{full}"))
    return pin in forms or is_prefix

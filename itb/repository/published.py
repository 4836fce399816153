"""Packages that were published elsewhere: locating a repository, listing its packages, choosing a version.

The testbed's services host reads the repositories, with the platform's own
dnf: it sees what the other hosts will see.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from itb import versions
from itb.config.platform import Platform
from itb.containers.host import FileSpec, Host
from itb.data import shipped
from itb.errors import InstallError, TestbedError, UsageError
from itb.model import Record, Rpm
from itb.process.request import Request
from itb.util.files import expand, resolve
from itb.util.yamlfile import nearest

KEY_NAME = "RPM-GPG-KEY-itb"  # file name of the key that itb publish exports
_UNUSABLE_STATUS = 3  # exit status of offered.py: the repository is unusable
_UPLOAD_LIMIT = 2 << 30  # bytes of a directory that is copied to the services host
_FINGERPRINT = re.compile(r"^fpr:+([0-9A-F]{40,64}):", re.MULTILINE)

# A repository's own key may be beside its metadata, as on many servers, or where itb publish exports it.
_FIND_KEY = """
for name in repodata/repomd.xml.key "$3"; do
    if curl --silent --show-error --fail --location --max-time 30 --output "$2" "$1/$name" 2>/dev/null &&
        grep --quiet 'BEGIN PGP PUBLIC KEY' "$2"; then
        echo "$1/$name"
        exit
    fi
done
rm -f "$2"
"""


@dataclass(frozen=True)
class Location:
    """The place of published packages: a ``url``, or a ``directory`` of this machine.

    ``shown`` names it in messages.  ``keys`` are a URL, files of this machine,
    or, with ``host_key``, a glob on the platform's hosts.
    """

    shown: str
    url: str = ""
    directory: Path | None = None
    keys: tuple[str, ...] = ()
    host_key: bool = False
    priority: int = 99


class Offered(Record):
    """A package of a repository; ``built`` in seconds since the epoch."""

    rpm: Rpm
    built: int = 0

    @property
    def evr(self) -> tuple[int, str, str]:
        """Return epoch, version and release, which all packages of one build share."""
        return self.rpm.epoch, self.rpm.version, self.rpm.release


class Choice(Record):
    """The packages of one version of the product; ``built`` in seconds since the epoch."""

    rpms: tuple[Rpm, ...]
    built: int = 0

    @property
    def version(self) -> str:
        """Return the version of all its packages."""
        return self.rpms[0].version

    @property
    def release(self) -> str:
        """Return the release of all its packages."""
        return self.rpms[0].release


class Signatures(Record):
    """The signatures of packages: the header of each by NEVRA, the signers, and why some are not signed."""

    headers: dict[str, str]
    signers: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()


def locate(platform: Platform, text: str, key: str) -> Location:
    """Return the location that ``--from-repo`` names on a platform; UsageError if it cannot be used there."""
    name_or_path = text.removeprefix("file://") if text.startswith("file://") else text
    if "://" in name_or_path:
        return _locate_url(text, key)
    if "/" in name_or_path or name_or_path in (".", ".."):
        folder = resolve(expand(name_or_path))
        if not folder.is_dir():
            raise UsageError(f"from_repo {text}: no such directory")
        if not any(folder.rglob("*.rpm")) and not (folder / "repodata").is_dir():
            raise UsageError(f"from_repo {text}: neither RPMs nor a YUM repository are in this directory")
        return Location(str(folder), directory=folder, keys=_key_file(key) or _keys_in(folder))
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
    keys = _key_file(key) or ((host_key,) if host_key else ())
    return Location(text, url=url, keys=keys, host_key=not key, priority=repository.priority)


def _locate_url(text: str, key: str) -> Location:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https", "ftp") or not parts.hostname:
        raise UsageError(f"from_repo {text[:200]}: http, https or ftp is expected, or a directory")
    if parts.password:
        raise UsageError(
            "from_repo: a password in a URL would be seen by every host and log",
            hint="copy the packages to a directory and give that",
        )
    if parts.hostname in ("localhost", "::1") or parts.hostname.startswith("127."):
        raise UsageError(
            f"from_repo {text[:200]}: every host of the testbed is its own {parts.hostname}",
            hint="name this machine by its address on the network, or give the directory that is served",
        )
    return Location(text, url=text.rstrip("/"), keys=_key_file(key))


def _key_file(key: str) -> tuple[str, ...]:
    """Return the key that ``--repo-key`` names, a URL or an absolute path; UsageError if it is no key."""
    if not key or ("://" in key and not key.startswith("file://")):
        return (key,) if key else ()
    path = expand(key.removeprefix("file://")).absolute()
    if not path.is_file() or b"BEGIN PGP PUBLIC KEY" not in path.read_bytes():
        raise UsageError(f"repo_key {key}: not a file with an ASCII-armored public key")
    return (str(path),)


def _keys_in(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(map(str, [*folder.glob("RPM-GPG-KEY*"), *folder.glob("repodata/repomd.xml.key")])))


def upload(services: Host, directory: Path, target: str) -> None:
    """Copy a directory's RPMs and metadata to the services host, and index them if there is no metadata."""
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


def provide_key(services: Host, location: Location, url: str, target: str) -> str:
    """Copy the repository's key to ``target`` on the services host; return its source, empty if it has no key."""
    source = ", ".join(location.keys)
    if location.keys and location.host_key:
        script = f'mkdir -p "$(dirname "$1")"; cat -- {location.keys[0]} > "$1"'
        services.script(script, Request([target], about=f"read {source}"))
        return source
    if location.keys and "://" not in source:
        services.put(FileSpec(target, b"\n".join(Path(path).read_bytes() for path in location.keys)))
        return source
    if location.keys:
        fetch = ["curl", "--silent", "--show-error", "--fail", "--location", "--max-time", "60", "--create-dirs",
                 "--output", target, source]  # fmt: skip
        completed = services.run(Request(fetch, check=False))
        if not completed.ok:
            raise TestbedError(f"key {source} cannot be had: {completed.reason}", evidence=completed.output)
        return source
    request = Request([url.rstrip("/"), target, KEY_NAME], about="look for a key")
    return services.script(_FIND_KEY, request).stdout.strip()


def fingerprints(services: Host, path: str) -> list[str]:
    """Return the fingerprints of the primary keys in a file; TestbedError if there is none."""
    listed = services.run(Request(["gpg", "--batch", "--with-colons", "--show-keys", path], check=False))
    keys = re.split(r"^pub:", listed.stdout, flags=re.MULTILINE)[1:]
    digests = [match[1] for key in keys if (match := _FINGERPRINT.search(key))]
    if not digests:
        raise TestbedError(f"host services: no public key in {path}", evidence=listed.output)
    return digests


def list_packages(services: Host, url: str, globs: Sequence[str]) -> list[Offered]:
    """Return the product's packages in a repository, newest first; TestbedError if it cannot be used."""
    lines = _run_offered(services, url, ["list", url, *globs])
    return [
        Offered(built=int(fields.pop("built")), rpm=Rpm.model_validate(fields))
        for fields in map(json.loads, lines)
    ]


def check(services: Host, url: str, rpms: Sequence[Rpm], key: str) -> Signatures:
    """Download packages on the services host, check their checksums and signatures, and return the result.

    ``key`` is the file of the only key to check with, or empty.
    """
    lines = _run_offered(services, url, ["fetch", url, key or "-", *(rpm.nevra for rpm in rpms)])
    results = [json.loads(line) for line in lines]
    unsigned = [result for result in results if not _is_signed(result)]
    bad = [f"{result['nevra']}: {_signature_problem(result, bool(key))}" for result in unsigned]
    return Signatures(
        headers={result["nevra"]: result["header"] for result in results},
        signers=tuple(dict.fromkeys(result["signer"] for result in results if result["signer"])),
        bad=tuple(bad),
    )


def _is_signed(result: dict[str, str]) -> bool:
    return "signatures OK" in result["said"] and "NOT OK" not in result["said"]


def _signature_problem(result: dict[str, str], key: bool) -> str:
    if not result["signer"]:
        return "is not signed"
    return f"{'is not signed with that key' if key else 'no key to check it with'} ({result['signer']})"


def _run_offered(services: Host, url: str, args: Sequence[str]) -> list[str]:
    script = (shipped.folder("build_ws") / "hosts" / "offered.py").read_text()
    argv = ["python3", "-I", "-c", script, *args]
    completed = services.run(Request(argv, check=False, about=f"look at {url}"))
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
    return completed.stdout.splitlines()


def choose(offered: Sequence[Offered], wanted: set[str], *, pin: str, where: str) -> Choice:
    """Return the packages of one version: the newest, or the newest that ``pin`` names.

    ``pin`` is VERSION, VERSION-RELEASE (what follows a dot in the Release
    may be left out) or a NEVRA; ``offered`` is sorted, newest first.  Raises
    InstallError naming the offered versions if there is no such one, or the
    ``wanted`` packages that it lacks.
    """
    if not offered:
        raise InstallError(f"{where} offers no package of the product")
    of_roles = [package for package in offered if package.rpm.name in wanted] or list(offered)
    candidates = offered if pin else of_roles
    first = next((package for package in candidates if not pin or _matches_pin(package.rpm, pin)), None)
    if first is None:
        evrs = list(dict.fromkeys(f"{package.rpm.version}-{package.rpm.release}" for package in of_roles))
        close = _nearest_versions(pin, [package.rpm for package in of_roles]) or evrs[:1]
        raise InstallError(
            f"{where} has no {pin}; nearest: {', '.join(close)}", evidence="offered:\n" + "\n".join(evrs)
        )
    group = {package.rpm.nevra: package for package in offered if package.evr == first.evr}
    missing = sorted(wanted - {package.rpm.name for package in group.values()})
    if missing:
        raise InstallError(
            f"{where} has {first.rpm.version}-{first.rpm.release} without {', '.join(missing)}, "
            "which the product's roles install",
            evidence="offered of this version:\n" + "\n".join(group),
        )
    return Choice(
        rpms=tuple(package.rpm for package in group.values()),
        built=max(package.built for package in group.values()),
    )


def _nearest_versions(pin: str, rpms: Sequence[Rpm]) -> list[str]:
    """Return up to three versions most like a pin, as VERSION-RELEASE."""
    version = next((pin.removeprefix(f"{rpm.name}-") for rpm in rpms if pin.startswith(f"{rpm.name}-")), pin)
    close = versions.nearest(version.partition("-")[0], dict.fromkeys(rpm.version for rpm in rpms))
    matches = [f"{rpm.version}-{rpm.release}" for upstream in close for rpm in rpms if rpm.version == upstream]
    return list(dict.fromkeys(matches))[:3]


def before(offered: Sequence[Offered], choice: Choice) -> list[Offered]:
    """Return the packages of earlier final versions, newest first; a candidate's Release starts with ``0.``."""
    position = max(index for index, package in enumerate(offered) if package.rpm in choice.rpms)
    evr = (choice.rpms[0].epoch, choice.version, choice.release)
    names = {rpm.name for rpm in choice.rpms}
    return [
        package
        for package in offered[position + 1 :]
        if package.evr != evr and not package.rpm.release.startswith("0.") and package.rpm.name in names
    ]


def _matches_pin(rpm: Rpm, pin: str) -> bool:
    full = f"{rpm.version}-{rpm.release}"
    epoch = f"{rpm.epoch}:{full}"
    forms = [rpm.version, full, epoch, f"{epoch}.{rpm.arch}", rpm.nevra, rpm.nevra.removesuffix(f".{rpm.arch}")]
    forms += [f"{rpm.name}-{full}", f"{rpm.name}-{rpm.version}"]
    is_prefix = "-" in pin and any(form.startswith(f"{pin}.") for form in (full, epoch, f"{rpm.name}-{full}"))
    return pin in forms or is_prefix

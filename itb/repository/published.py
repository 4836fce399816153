"""Packages that were published elsewhere: which repository is meant, what it offers, what is chosen of it.

Repositories are looked at from the testbed's services host, with the
platform's own dnf: what is seen is what the hosts will see.
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
from itb.util.files import expand
from itb.util.yamlfile import nearest

KEY_NAME = "RPM-GPG-KEY-itb"  # what itb publish calls the key it exports
_BROKEN = 3  # exit status of offered.py: the repository is at fault
_LARGEST = 2 << 30  # bytes of a directory that is put on the services host
_FINGERPRINT = re.compile(r"^fpr:+([0-9A-F]{40,64}):", re.MULTILINE)

# Where a repository's own key may be: beside its metadata, as many servers have it, or as itb publish exports it.
_OWN_KEY = """
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
    """Where packages are published: a ``url``, or a ``directory`` of this machine.

    ``keys`` are a URL, files of this machine, or, with ``host_key``, a glob on the platform's hosts.
    """

    said: str
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
        """What all packages of one build have in common."""
        return self.rpm.epoch, self.rpm.version, self.rpm.release


class Choice(Record):
    """The packages of one version of the product; ``built`` in seconds since the epoch."""

    rpms: tuple[Rpm, ...]
    built: int = 0

    @property
    def version(self) -> str:
        """Version of all its packages."""
        return self.rpms[0].version

    @property
    def release(self) -> str:
        """Release of all its packages."""
        return self.rpms[0].release


class Signatures(Record):
    """Whether packages are signed: how many of how many, by whom, and those that are not, with the reason."""

    headers: dict[str, str]
    signers: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()


def locate(platform: Platform, said: str, key: str) -> Location:
    """Return where ``--from-repo`` points to on a platform; UsageError for what cannot be used there."""
    local = said.removeprefix("file://") if said.startswith("file://") else said
    if "://" in local:
        return _remote(said, key)
    if "/" in local or local in (".", ".."):
        folder = expand(local).resolve()
        if not folder.is_dir():
            raise UsageError(f"from_repo {said}: no such directory")
        if not any(folder.rglob("*.rpm")) and not (folder / "repodata").is_dir():
            raise UsageError(f"from_repo {said}: neither RPMs nor a YUM repository are in this directory")
        return Location(str(folder), directory=folder, keys=_key_file(key) or _own_keys(folder))
    known = platform.published.get(local)
    if known is None:
        names = sorted(name for name, item in platform.published.items() if item.url)
        raise UsageError(
            f"platform {platform.name} has no repository {said!r}{nearest(local, names)}",
            hint=f"a URL, a directory (with a / in it) or one of the platform's: {', '.join(names) or 'none'}",
        )
    if known.refused:
        raise UsageError(
            f"platform {platform.name} cannot install from {said}: {known.refused}",
            hint="a platform OSG builds for (--platform el9), or a URL or directory with packages for this one",
        )
    try:
        url = known.url.format(**platform.settings)
        host_key = known.key.format(**platform.settings)
    except (KeyError, IndexError, ValueError) as error:
        raise UsageError(f"platform {platform.name}: published {said}: {error} is no setting of it") from None
    keys = _key_file(key) or ((host_key,) if host_key else ())
    return Location(said, url=url, keys=keys, host_key=not key, priority=known.priority)


def _remote(said: str, key: str) -> Location:
    parts = urlsplit(said)
    if parts.scheme not in ("http", "https", "ftp") or not parts.hostname:
        raise UsageError(f"from_repo {said[:200]}: http, https or ftp is expected, or a directory")
    if parts.password:
        raise UsageError(
            "from_repo: a password in a URL would be seen by every host and log",
            hint="copy the packages to a directory and give that",
        )
    if parts.hostname in ("localhost", "::1") or parts.hostname.startswith("127."):
        raise UsageError(
            f"from_repo {said[:200]}: every host of the testbed is its own {parts.hostname}",
            hint="name this machine by its address on the network, or give the directory that is served",
        )
    return Location(said, url=said.rstrip("/"), keys=_key_file(key))


def _key_file(key: str) -> tuple[str, ...]:
    """A key as it was asked for: a URL, or the absolute path of a file that is there."""
    if not key or ("://" in key and not key.startswith("file://")):
        return (key,) if key else ()
    path = expand(key.removeprefix("file://")).absolute()
    if not path.is_file() or b"BEGIN PGP PUBLIC KEY" not in path.read_bytes():
        raise UsageError(f"repo_key {key}: not a file with an ASCII-armored public key")
    return (str(path),)


def _own_keys(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(map(str, [*folder.glob("RPM-GPG-KEY*"), *folder.glob("repodata/repomd.xml.key")])))


def upload(services: Host, directory: Path, target: str) -> None:
    """Put a directory's RPMs, and its metadata if it has any, on the services host; index them if it has none."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    if size > _LARGEST:
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


def provide_key(services: Host, place: Location, url: str, target: str) -> str:
    """Put the repository's key on the services host as ``target``; return where it came from, or ""."""
    source = ", ".join(place.keys)
    if place.keys and place.host_key:
        script = f'mkdir -p "$(dirname "$1")"; cat -- {place.keys[0]} > "$1"'
        services.script(script, Request([target], about=f"read {source}"))
        return source
    if place.keys and "://" not in source:
        services.put(FileSpec(target, b"\n".join(Path(path).read_bytes() for path in place.keys)))
        return source
    if place.keys:
        fetch = ["curl", "--silent", "--show-error", "--fail", "--location", "--max-time", "60", "--create-dirs",
                 "--output", target, source]  # fmt: skip
        done = services.run(Request(fetch, check=False))
        if not done.ok:
            raise TestbedError(f"key {source} cannot be had: {done.reason}", evidence=done.output)
        return source
    request = Request([url.rstrip("/"), target, KEY_NAME], about="look for a key")
    return services.script(_OWN_KEY, request).stdout.strip()


def fingerprints(services: Host, path: str) -> list[str]:
    """Fingerprints of the primary keys in a file; TestbedError if there is none."""
    shown = services.run(Request(["gpg", "--batch", "--with-colons", "--show-keys", path], check=False))
    keys = re.split(r"^pub:", shown.stdout, flags=re.MULTILINE)[1:]
    found = [match[1] for key in keys if (match := _FINGERPRINT.search(key))]
    if not found:
        raise TestbedError(f"host services: no public key in {path}", evidence=shown.output)
    return found


def look(services: Host, url: str, globs: Sequence[str]) -> list[Offered]:
    """Return the product's packages in a repository, newest first; TestbedError if it is at fault."""
    lines = _offered(services, url, ["list", url, *globs])
    return [
        Offered(built=int(item.pop("built")), rpm=Rpm.model_validate(item))
        for item in map(json.loads, lines)
    ]


def check(services: Host, url: str, rpms: Sequence[Rpm], key: str) -> Signatures:
    """Download packages on the services host and look at their checksums and signatures.

    ``key`` is the file of the only key that counts, or empty.
    """
    lines = _offered(services, url, ["fetch", url, key or "-", *(rpm.nevra for rpm in rpms)])
    seen = [json.loads(line) for line in lines]
    bad = [f"{item['nevra']}: {_why(item, bool(key))}" for item in seen if not _good(item)]
    return Signatures(
        headers={item["nevra"]: item["header"] for item in seen},
        signers=tuple(dict.fromkeys(item["signer"] for item in seen if item["signer"])),
        bad=tuple(bad),
    )


def _good(item: dict[str, str]) -> bool:
    return "signatures OK" in item["said"] and "NOT OK" not in item["said"]


def _why(item: dict[str, str], key: bool) -> str:
    if not item["signer"]:
        return "is not signed"
    return f"{'is not signed with that key' if key else 'no key to check it with'} ({item['signer']})"


def _offered(services: Host, url: str, args: Sequence[str]) -> list[str]:
    script = (shipped.folder("build_ws") / "hosts" / "offered.py").read_text()
    argv = ["python3", "-I", "-c", script, *args]
    done = services.run(Request(argv, check=False, about=f"look at {url}"))
    if done.returncode == _BROKEN or done.timed_out:
        said = done.stderr.strip().splitlines()
        reason = said[-1] if said and not done.timed_out else f"no end within {done.seconds:.0f} s"
        raise TestbedError(
            f"repository {url} cannot be used: {reason[:300]}",
            hint="is it served, and can the testbed's hosts reach it? A directory of this machine needs no server",
            evidence=done.output,
        )
    if not done.ok:
        raise TestbedError(f"host services: dnf looks at {url}: {done.reason}", evidence=done.output)
    return done.stdout.splitlines()


def choose(offered: Sequence[Offered], wanted: set[str], *, pin: str, where: str) -> Choice:
    """Return the packages of one version: the newest, or the newest that ``pin`` names.

    ``pin`` is VERSION, VERSION-RELEASE (what follows a dot in the Release
    may be left out) or a NEVRA; ``offered`` is sorted, newest first.  Raises
    InstallError naming what is there if there is no such version, or what it
    lacks of the ``wanted`` packages.
    """
    if not offered:
        raise InstallError(f"{where} offers no package of the product")
    named = [item for item in offered if item.rpm.name in wanted] or list(offered)
    first = next((item for item in (offered if pin else named) if not pin or _is_meant(item.rpm, pin)), None)
    if first is None:
        there = list(dict.fromkeys(f"{item.rpm.version}-{item.rpm.release}" for item in named))
        close = _nearest(pin, [item.rpm for item in named]) or there[:1]
        raise InstallError(
            f"{where} has no {pin}; nearest: {', '.join(close)}", evidence="offered:\n" + "\n".join(there)
        )
    group = {item.rpm.nevra: item for item in offered if item.evr == first.evr}
    missing = sorted(wanted - {item.rpm.name for item in group.values()})
    if missing:
        raise InstallError(
            f"{where} has {first.rpm.version}-{first.rpm.release} without {', '.join(missing)}, "
            "which the product's roles install",
            evidence="offered of this version:\n" + "\n".join(group),
        )
    return Choice(
        rpms=tuple(item.rpm for item in group.values()),
        built=max(item.built for item in group.values()),
    )


def _nearest(pin: str, rpms: Sequence[Rpm]) -> list[str]:
    """Return the up to three versions most like the one asked for, as VERSION-RELEASE."""
    version = next((pin.removeprefix(f"{rpm.name}-") for rpm in rpms if pin.startswith(f"{rpm.name}-")), pin)
    close = versions.nearest(version.partition("-")[0], dict.fromkeys(rpm.version for rpm in rpms))
    found = [f"{rpm.version}-{rpm.release}" for near in close for rpm in rpms if rpm.version == near]
    return list(dict.fromkeys(found))[:3]


def before(offered: Sequence[Offered], chosen: Choice) -> list[Offered]:
    """Return what is offered of final versions below the chosen one, newest first (candidates' Release: 0.*)."""
    position = max(index for index, item in enumerate(offered) if item.rpm in chosen.rpms)
    evr = (chosen.rpms[0].epoch, chosen.version, chosen.release)
    names = {rpm.name for rpm in chosen.rpms}
    return [
        item
        for item in offered[position + 1 :]
        if item.evr != evr and not item.rpm.release.startswith("0.") and item.rpm.name in names
    ]


def _is_meant(rpm: Rpm, pin: str) -> bool:
    full = f"{rpm.version}-{rpm.release}"
    epoch = f"{rpm.epoch}:{full}"
    forms = [rpm.version, full, epoch, f"{epoch}.{rpm.arch}", rpm.nevra, rpm.nevra.removesuffix(f".{rpm.arch}")]
    forms += [f"{rpm.name}-{full}", f"{rpm.name}-{rpm.version}"]
    short = "-" in pin and any(form.startswith(f"{pin}.") for form in (full, epoch, f"{rpm.name}-{full}"))
    return pin in forms or short

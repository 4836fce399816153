"""The keys that published packages are checked with: which are trusted, and how they come to the services host.

A key that comes by the same open way as the packages proves nothing: who can
change those can change the key.  A fingerprint that the user or the platform
pins does prove it, however the key came.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from itb.containers.host import FileSpec, Host
from itb.errors import InstallError, TestbedError, UsageError
from itb.process.request import Request
from itb.util import ownership
from itb.util.files import expand, resolve
from itb.util.redact import redact

KEY_NAME = "RPM-GPG-KEY-itb"  # file name of the public key that itb publish writes
REMEDY = (
    "--repo-key URL|FILE|FINGERPRINT names the key they are signed with; "
    "--allow-unsigned takes them as they are, and the report says so"
)
_FINGERPRINT_LINE = re.compile(r"^fpr:+([0-9A-F]{40,64}):", re.MULTILINE)
_FINGERPRINT = re.compile(r"(?:0x)?((?:[0-9A-Fa-f]{4} *){10}|[0-9A-Fa-f]{64})")  # of OpenPGP version 4, or 5 and 6
_UNSUPPORTED_PROTOCOL = 1  # curl's exit status; here: the server leads to an address without https

# curl may use these protocols only, also where it is led to; "=" stands for nothing else.
HTTPS_ONLY = ("--proto", "=https", "--proto-redir", "=https")
_ANY_WAY = ("--proto", "=http,https,ftp", "--proto-redir", "=http,https")  # for what a fingerprint vouches for
_CURL = ("curl", "--silent", "--show-error", "--fail", "--location", "--max-filesize", "1000000")

# The key of a repository is beside its metadata on many servers; itb publish writes it to the top.
_FIND_KEY = """
url=$1 target=$2 own=$3
shift 3
for name in repodata/repomd.xml.key "$own"; do
    "$@" --max-time 30 --output "$target" "$url/$name" 2>/dev/null && status=0 || status=$?
    if [ "$status" = 0 ] && grep --quiet 'BEGIN PGP PUBLIC KEY' "$target"; then
        echo "found $url/$name"
        exit
    elif [ "$status" = 1 ]; then
        echo "open $url/$name"
    fi
done
rm -f "$target"
"""

# Leaves nothing but one key in a file: what else is in it would be trusted, too.
_PICK_KEY = """
export GNUPGHOME=$(mktemp -d)
trap 'rm -rf "$GNUPGHOME"' EXIT
gpg --batch --quiet --import "$1" 2>/dev/null || :
gpg --batch --quiet --armor --export "$2" >"$1.pinned"
mv -- "$1.pinned" "$1"
"""


@dataclass(frozen=True)
class RepositoryKey:
    """The key of a repository of published packages, as settings and platform name it.

    ``sources`` are a URL, files of this machine, or with ``on_host`` a glob of
    files on the platform's hosts; without any, the key is looked for in the
    repository.  Only the key of the fingerprint ``pin`` counts, if there is one.
    """

    sources: tuple[str, ...] = ()
    on_host: bool = False
    pin: str = ""

    @property
    def is_url(self) -> bool:
        """Return whether the key is to be downloaded from a URL of its own."""
        return any("://" in source for source in self.sources)


NO_KEY = RepositoryKey()


def read_setting(key: str) -> RepositoryKey:
    """Return the key of setting ``repo_key``; raise UsageError if it is no key, or comes by an open way."""
    if match := _FINGERPRINT.fullmatch(key.strip()):
        return RepositoryKey(pin=match[1].replace(" ", "").upper())
    if not key:
        return NO_KEY
    if "://" in key and not key.startswith("file://"):
        if not is_https(key):
            raise UsageError(
                f"repo_key {key[:200]}: a key that does not come by https is anybody's key",
                hint="give a URL with https, a file, or the key's fingerprint (gpg --show-keys FILE prints it)",
            )
        check_url("repo_key", key, remedy="download the key, and give the file or its fingerprint")
        return RepositoryKey((key,))
    path = expand(key.removeprefix("file://")).absolute()
    if path.is_file():
        ownership.check(path)  # who can change it can have anybody's packages taken
    if not _is_key(path):
        raise UsageError(f"repo_key {key}: not a fingerprint, nor a file with an ASCII-armored public key")
    return RepositoryKey((str(path),))


def check_url(setting: str, url: str, *, remedy: str) -> None:
    """Raise UsageError for a URL that hosts cannot or shall not get: it is in their files and logs.

    ``remedy`` says what may be given instead of one with a login.
    """
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https", "ftp") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of brackets without an address, or a port that is no number
        is_whole = False
    if "@" in url.partition("://")[2].partition("/")[0] or redact(url) != url:
        message = f"{setting}: a user, password or token in a URL would be seen by every host and log"
        raise UsageError(message, hint=remedy)
    if not is_whole or not url.isprintable() or re.search(r"\s", url):
        raise UsageError(f"{setting} {url[:200]}: http, https or ftp is expected, or a file or directory")
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        raise UsageError(
            f"{setting} {url[:200]}: every host of the testbed is its own {host}",
            hint="name this machine by its address on the network, or give a file or directory of it",
        )


def is_https(url: str) -> bool:
    """Return whether what comes from a URL can be changed by its server only."""
    return url.lower().startswith("https://")


def in_folder(folder: Path) -> tuple[str, ...]:
    """Return the paths of the keys that a directory of packages has beside them.

    Hosts get what is in these files: a link that leads out of the directory, and
    a file that is no key, could be anything that its user can read.  Of a directory that
    others can change no key counts: they could change it with the packages.
    """
    found = sorted([*folder.glob("RPM-GPG-KEY*"), *folder.glob("repodata/repomd.xml.key")])
    inside = [path for path in found if resolve(path).is_relative_to(resolve(folder))]
    return tuple(str(path) for path in inside if path.is_file() and _is_users_alone(path) and _is_key(path))


def _is_users_alone(path: Path) -> bool:
    """Return whether nobody but this user and root can change a file, or put another in its place."""
    try:
        ownership.check(path)
    except UsageError:
        return False
    return True


def _is_key(path: Path) -> bool:
    """Return whether a file is regular and has an ASCII-armored public key; UsageError for somebody else's."""
    return path.is_file() and b"BEGIN PGP PUBLIC KEY" in ownership.read(path)


def refuse_open_way(name: str, url: str, key: RepositoryKey) -> None:
    """Raise UsageError if the key of the repository at ``url`` would be looked for there without https."""
    if url and not is_https(url) and not key.sources and not key.pin:
        scheme = url.partition("://")[0]
        raise UsageError(
            f"from_repo {name}: its key would come by plain {scheme} like the packages: "
            "who can change these on their way can change the key, too",
            hint=f"give its URL with https if it has one; {REMEDY}",
        )


def provide(services: Host, key: RepositoryKey, url: str, target: str) -> str:
    """Copy the key of a repository to ``target`` on the services host; return its source, empty if there is none.

    ``url`` is the repository's.  Raises TestbedError if it cannot be had,
    InstallError if it would come by an open way, or is not the pinned one.
    """
    source = _fetch(services, key, url, target)
    if source and key.pin:
        _pick(services, key.pin, source, target)
    return source


def _fetch(services: Host, key: RepositoryKey, url: str, target: str) -> str:
    source = ", ".join(key.sources)
    if key.sources and key.on_host:
        script = f'mkdir -p "$(dirname "$1")"; cat -- {key.sources[0]} > "$1"'
        services.script(script, Request([target], about=f"read {source}"))
    elif key.is_url:
        fetch = [*_CURL, *HTTPS_ONLY, "--max-time", "60", "--create-dirs", "--output", target, source]
        completed = services.run(Request(fetch, check=False))
        if completed.returncode == _UNSUPPORTED_PROTOCOL:
            raise _open_way(source)
        if not completed.ok:
            raise TestbedError(f"key {source} cannot be downloaded: {completed.reason}", evidence=completed.output)
    elif key.sources:
        services.put(FileSpec(target, b"\n".join(ownership.read(Path(path)) for path in key.sources)))
    else:
        return _find(services, key, url, target)
    return source


def _find(services: Host, key: RepositoryKey, url: str, target: str) -> str:
    """Look for the key in the repository itself; return its URL, empty if there is none."""
    refuse_open_way(url, url, key)
    curl = [*_CURL, *(_ANY_WAY if key.pin else HTTPS_ONLY)]
    request = Request([url.rstrip("/"), target, KEY_NAME, *curl], about="look for a key")
    ways = dict(line.split(maxsplit=1) for line in services.script(_FIND_KEY, request).stdout.splitlines())
    if "found" not in ways and "open" in ways:
        raise _open_way(ways["open"])
    return ways.get("found", "")


def _open_way(source: str) -> InstallError:
    return InstallError(
        f"key {source}: the server leads to an address without https, where anybody could change it", hint=REMEDY
    )


def _pick(services: Host, pin: str, source: str, target: str) -> None:
    """Leave nothing but the pinned key in a file of the services host; raise InstallError if it is not in it."""
    offered = fingerprints(services, target)
    if pin in offered:
        services.script(_PICK_KEY, Request([target, pin], about="pick the pinned key"))
        offered = fingerprints(services, target)
    if offered != [pin]:
        raise InstallError(
            f"key from {source} has the fingerprint {', '.join(offered)}, not the pinned {pin}",
            hint="is the pinned one right? A new key is announced where its owners are known",
        )


def fingerprints(services: Host, path: str) -> list[str]:
    """Return the fingerprints of the primary keys in a file; raise TestbedError if it has none."""
    completed = services.run(Request(["gpg", "--batch", "--with-colons", "--show-keys", path], check=False))
    if found := parse_fingerprints(completed.stdout):
        return found
    raise TestbedError(f"host services: no public key in {path}", evidence=completed.output)


def parse_fingerprints(listing: str) -> list[str]:
    """Return the fingerprints of the primary keys in what ``gpg --with-colons`` lists."""
    keys: Sequence[str] = re.split(r"^pub:", listing, flags=re.MULTILINE)[1:]
    return [match[1] for key in keys if (match := _FINGERPRINT_LINE.search(key))]

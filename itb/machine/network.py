"""Examining which servers this machine reaches (mirror, registry), and its clock.

Failed downloads of a run are read from the tools' output instead (``itb/process/downloads.py``).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests

from itb.config.platform import Platform
from itb.machine.requirements import Finding, bad, ok, warn
from itb.util import proxies
from itb.util.redact import redact

TIMEOUT = 5.0  # seconds for one server
_SKEW_WARN, _SKEW_BAD = 5.0, 60.0  # seconds; CEs allow a token's times to differ by about a minute


@dataclass(frozen=True)
class ServerCheck:
    """Whether a server answers: ``problem`` is empty if so; ``skew`` is this clock minus its own, in seconds."""

    url: str
    problem: str = ""
    skew: float | None = None


def check_server(url: str) -> ServerCheck:
    """Request a URL and return whether its server answers; a status of 500 or more is a problem."""
    try:
        response = requests.get(url, timeout=TIMEOUT, stream=True, headers={"Cache-Control": "no-cache"})
        response.close()
    except requests.exceptions.RequestException as error:
        return ServerCheck(url, _problem(url, error))
    if response.status_code >= 500:
        return ServerCheck(url, f"HTTP status {response.status_code}")
    return ServerCheck(url, skew=_skew(response.headers.get("Date", "")))


def _problem(url: str, error: requests.exceptions.RequestException) -> str:
    """Return an error in one short line; the message of requests itself nests three exceptions."""
    if isinstance(error, requests.exceptions.Timeout):
        return f"no answer within {TIMEOUT:.0f} s"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refuses"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted here"
    host = urlsplit(url).hostname or ""
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return f"the name {host} is not known"
    return "no connection"


def _skew(date: str) -> float | None:
    try:
        return time.time() - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def examine(platform: Platform, options: Mapping[str, str], *, images_there: bool) -> Iterator[Finding]:
    """Examine the mirror and the registry of a platform, and the clock.

    If the images exist already, a server that does not answer is only a
    warning.
    """
    settings = {**platform.settings, **options}
    registry = _registry_host(platform.base.image)
    urls = {f"registry {registry}": f"https://{registry}/v2/"}
    if settings.get("mirror"):
        urls["mirror"] = f"{settings['mirror'].rstrip('/')}/dists/{settings.get('suite', '')}/InRelease"
    with ThreadPoolExecutor(max_workers=len(urls)) as pool:
        checks = dict(zip(urls, pool.map(check_server, urls.values()), strict=True))
    # A platform that can start from a mirror does not need the registry.
    needed = "mirror" if platform.base.debian and "mirror" in urls else f"registry {registry}"
    for name, check in checks.items():
        yield _rate_server(f"{platform.name}: {name}", check, needed=name == needed, images_there=images_there)
    yield _rate_clock([check.skew for check in checks.values() if check.skew is not None])


def _rate_server(name: str, check: ServerCheck, *, needed: bool, images_there: bool) -> Finding:
    if not check.problem:
        return ok(name, check.url)
    result = f"{check.url}: {check.problem}"
    remedy = "check network, name resolution and proxy (http_proxy, https_proxy, no_proxy)"
    if needed and not images_there:
        return bad(name, result, remedy)
    if needed:
        return warn(name, result, f"{remedy}; until then the images that are there are used")
    return ok(name, f"{result}; not needed where the mirror answers")


def examine_proxies() -> Finding:
    """Examine the proxies of the environment: which there are, and who uses them."""
    values = {name: value for name, value in proxies.variables().items() if value}
    if not values:
        return ok("proxies", "none in the environment")
    shown = ", ".join(f"{name}={redact(value.rpartition('@')[2])}" for name, value in values.items())
    if proxies.have_login(f"{name}={value}" for name, value in values.items()):
        remedy = "hosts get no proxy with a login: give them one without, or a mirror within reach"
        return warn("proxies", f"{shown} (with a login, which is not shown)", remedy)
    return ok("proxies", f"{shown}: for git, images, and dnf as it downloads; hosts do not keep them")


def _rate_clock(skews: list[float]) -> Finding:
    if not skews:
        remedy = "look at date -u: a wrong clock makes tokens void"
        return warn("clock", "no server answered to compare with", remedy)
    skew = min(skews, key=abs)
    # Whole seconds: the header has no fractions, and the answer took a moment.
    difference = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the servers'"
    if abs(skew) > _SKEW_BAD:
        return bad("clock", difference, "set the clock: timedatectl set-ntp true")
    if abs(skew) > _SKEW_WARN:
        return warn("clock", difference, "set the clock: timedatectl set-ntp true")
    return ok("clock", difference)


def _registry_host(image: str) -> str:
    """Return the host that serves an image (docker.io is served by another name)."""
    host, slash, _ = image.partition("/")
    if not slash or ("." not in host and ":" not in host):
        host = "docker.io"
    return "registry-1.docker.io" if host == "docker.io" else host

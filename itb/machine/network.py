"""Examining what this machine reaches (mirror, registry, names), and its clock."""

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

TIMEOUT = 5.0  # seconds for one server
_SKEW_WARN, _SKEW_BAD = 5.0, 60.0  # seconds; CEs allow a token's times to differ by about a minute


@dataclass(frozen=True)
class Answer:
    """The answer of a server; ``skew`` is this machine's clock minus the server's, in seconds."""

    url: str
    problem: str = ""
    skew: float | None = None


def ask(url: str) -> Answer:
    """Ask a server for its headers and return its answer; a status of 500 or more is a problem."""
    try:
        response = requests.get(url, timeout=TIMEOUT, stream=True, headers={"Cache-Control": "no-cache"})
        response.close()
    except requests.exceptions.RequestException as error:
        return Answer(url, _problem(url, error))
    if response.status_code >= 500:
        return Answer(url, f"HTTP status {response.status_code}")
    return Answer(url, skew=_skew(response.headers.get("Date", "")))


def _problem(url: str, error: requests.exceptions.RequestException) -> str:
    """Return one short line for an error: the message of requests nests three exceptions."""
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

    If the images exist already, a server that does not answer is a warning
    only.
    """
    settings = {**platform.settings, **options}
    registry = _registry_host(platform.base.image)
    urls = {f"registry {registry}": f"https://{registry}/v2/"}
    if settings.get("mirror"):
        urls["mirror"] = f"{settings['mirror'].rstrip('/')}/dists/{settings.get('suite', '')}/InRelease"
    with ThreadPoolExecutor(max_workers=len(urls)) as pool:
        answers = dict(zip(urls, pool.map(ask, urls.values()), strict=True))
    # A platform that can start from a mirror does not need the registry.
    needed = "mirror" if platform.base.debian and "mirror" in urls else f"registry {registry}"
    for name, answer in answers.items():
        yield _rate_answer(f"{platform.name}: {name}", answer, needed=name == needed, images_there=images_there)
    yield _rate_clock([answer.skew for answer in answers.values() if answer.skew is not None])


def _rate_answer(name: str, answer: Answer, *, needed: bool, images_there: bool) -> Finding:
    if not answer.problem:
        return ok(name, answer.url)
    result = f"{answer.url}: {answer.problem}"
    remedy = "check network, name resolution and proxy (http_proxy, https_proxy, no_proxy)"
    if needed and not images_there:
        return bad(name, result, remedy)
    if needed:
        return warn(name, result, f"{remedy}; until then the images that are there are used")
    return ok(name, f"{result}; not needed where the mirror answers")


def _rate_clock(skews: list[float]) -> Finding:
    if not skews:
        remedy = "look at date -u: a wrong clock makes tokens void"
        return warn("clock", "no server answered to compare with", remedy)
    skew = min(skews, key=abs)
    # Whole seconds: the header has no more, and the answer took a moment.
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

"""Trying again what trouble of the infrastructure kept from working, a few times, and never silently.

What was tried again is told to whoever collects it in the same thread: the
journal does, for the case that is going on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

DEFAULT_RETRIES = 2  # default of the setting ``retries``
_FIRST_PAUSE = 0.5  # seconds; each further one is twice as long

_collector: ContextVar[list[str] | None] = ContextVar("retries", default=None)


@contextmanager
def collect_causes() -> Iterator[list[str]]:
    """Collect the causes of what is tried again while the block runs."""
    causes: list[str] = []
    before = _collector.set(causes)
    try:
        yield causes
    finally:
        _collector.reset(before)


def describe_retries(causes: list[str]) -> str:
    """Say how often something was tried again and why; the empty string if it was not."""
    if not causes:
        return ""
    return f"{len(causes)} {'retry' if len(causes) == 1 else 'retries'}: {causes[-1]}"


def retry_while(
    work: Callable[[], T], cause_of: Callable[[T], str], *, times: int, wait: Callable[[float], object]
) -> T:
    """Do some work again, up to ``times`` times, as long as ``cause_of`` its result names passing trouble.

    ``wait`` waits so many seconds, or less.
    """
    pause = _FIRST_PAUSE
    for _ in range(times):
        result = work()
        cause = cause_of(result)
        if not cause:
            return result
        if (causes := _collector.get()) is not None:
            causes.append(cause)
        wait(pause)
        pause *= 2
    return work()

_TAIL = 20  # lines at the end of an output: what ended a program stands there, what it got over stands above


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# What all tools repeat of the kernel's and the resolver's own words.
_SOCKETS = r"connection (?:refused|reset|timed out)|network is unreachable|no route to host"
_NAMES = r"could not resolve|temporary failure (?:in name resolution|resolving)"
# could not resolve host, could not connect, partial file, timeout, TLS handshake, empty reply, receive failure
_CURL = r"(?:6|7|18|28|35|52|56)"

GIT = _any(
    _SOCKETS,
    _NAMES,
    r"resolve hostname|failed to connect|couldn't connect|timed out|early eof|hung up|returned error: 5\d\d",
    r"ssl|certificate|recv failure|empty reply|proxy",
)
DNF = _any(
    rf"Curl error \({_CURL}\)|Status code: 50[234]",
    r"Cannot download repomd\.xml|All mirrors were tried",
)
# dnf got no package to look at: the repository's fault in any case, whether or not another try helps.
REPOSITORY = _any(r"Curl error|Cannot download|Failed to download|Could not resolve host|All mirrors were tried")
# podman (storage, network) and docker while another process of theirs works on the same.
ENGINE = _any(
    r"database is locked|resource temporarily unavailable|layer not known|connection (?:refused|reset)",
    r"i/o timeout|TLS handshake timeout|unexpected EOF|failed to (?:acquire|obtain) (?:the )?lock",
    r"device or resource busy",
    r"locating (?:item named|image with ID)",  # podman 4.3 lists images while one is removed
)
# Whatever fills an image: apt, dnf, curl, and engines that pull.
_DOWNLOAD = _any(
    _SOCKETS,
    _NAMES,
    DNF.pattern,
    rf"curl: \({_CURL}\)|returned error: 5\d\d|Status code: 5\d\d|(?:HTTP status:?|from registry) 5\d\d",
    r"\b5\d\d\s+(?:Internal Server Error|Bad Gateway|Service (?:Temporarily )?Unavailable|Gateway Time-?out)",
    r"Failed to fetch|Hash Sum mismatch|File has unexpected size",
    r"Connection failed|unable to connect|could not connect",
    r"timed out|i/o timeout|handshake timeout|Client\.Timeout|deadline exceeded|server misbehaving",
    r"unexpected EOF|\bEOF$",
)
# No second try cures these, even if the output names something of the above as well.
_LASTING = _any(
    r"(?:Status code|returned error|HTTP status|from registry):? 4\d\d",
    r"\b4\d\d\s+(?:Bad Request|Unauthorized|Forbidden|Not Found|Gone)",
    r"manifest unknown|name unknown|no such host|unauthorized|(?<!permission )denied|File not found - ",
    r"No space left|quota exceeded|enough free space|more space needed|Read-only file system",
    r"certificate|x509|be verified|no longer valid|not valid yet",
)


def find_line(pattern: re.Pattern[str], text: str) -> str:
    """Return the first line that names trouble of a kind, or the empty string."""
    return next((line.strip() for line in text.splitlines() if pattern.search(line)), "")


def find_download_trouble(text: str) -> str:
    """Return the line that says what kept a download from ending, if another try may cure it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()][-_TAIL:]
    if any(_LASTING.search(line) for line in lines):
        return ""
    return next((line for line in reversed(lines) if _DOWNLOAD.search(line)), "")

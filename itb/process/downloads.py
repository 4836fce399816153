"""Failed downloads, as git, apt, dnf, curl and engines report them: the URL, the reason, whether to try again.

Messages about a mirror, repository or registry that does not answer are made
from this, where the download was needed: of images (``itb/platforms/mirror.py``),
of packages on a host (``itb/install/dnf.py``), of what a build requires
(``itb/build/release_manager.py``), of a product's source (``itb/source/git.py``).
``itb doctor`` asks the servers itself (``itb/machine/network.py``).
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TAIL = 20  # lines at the end of an output that are read: those above are of failures that the program survived

# apt and apt-get: "E: Failed to fetch URL  reason"; dnf and librepo: "Curl error (7): reason for URL [detail]".
_APT_ERROR = re.compile(r"^E: Failed to fetch (?P<url>\S+)\s+(?P<reason>\S.*)$", re.MULTILINE)
_DNF_ERROR = re.compile(r"Curl error \(\d+\): (?P<reason>(?:(?!Curl error).)+?) for (?P<url>\w+://\S+)")


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# Messages of the kernel and the resolver, which all tools repeat.
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
# dnf could not read a repository: the testbed's fault in any case, whether or not another try helps.
REPOSITORY = _any(r"Curl error|Cannot download|Failed to download|Could not resolve host|All mirrors were tried")
# Tools that make images: apt, dnf, curl, and engines that pull.
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
# Errors that another try does not cure, even if the output has one of the above as well.
_LASTING = _any(
    r"(?:Status code|returned error|HTTP status|from registry):? 4\d\d",
    r"\b4\d\d\s+(?:Bad Request|Unauthorized|Forbidden|Not Found|Gone)",
    r"manifest unknown|name unknown|no such host|unauthorized|(?<!permission )denied|File not found - ",
    r"No space left|quota exceeded|enough free space|more space needed|Read-only file system",
    r"certificate|x509|be verified|no longer valid|not valid yet",
)


def find_line(pattern: re.Pattern[str], text: str) -> str:
    """Return the first line that matches one of the patterns above, or the empty string."""
    return next((line.strip() for line in text.splitlines() if pattern.search(line)), "")


def find_transient_error(text: str) -> str:
    """Return the line of an output that says why a download failed, if another try may cure it; else empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()][-_TAIL:]
    if any(_LASTING.search(line) for line in lines):
        return ""
    return next((line for line in reversed(lines) if _DOWNLOAD.search(line)), "")


class FailedDownload(NamedTuple):
    """A URL that a tool could not download, and the reason that it prints."""

    url: str
    reason: str


def find_failed_download(text: str) -> FailedDownload | None:
    """Return the first failed download that the end of a tool's output names; None if it names none."""
    end = "\n".join(text.splitlines()[-_TAIL:])
    match = _APT_ERROR.search(end) or _DNF_ERROR.search(end)
    return FailedDownload(match["url"], match["reason"].strip()) if match else None

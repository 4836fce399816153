"""Which errors of apt, dnf, curl, podman and git another try may cure, and which none will."""

from __future__ import annotations

import re

import pytest

from itb.process import downloads

APT_503 = """\
E: Failed to fetch http://m/pool/j/jq_1.7.1-6_amd64.deb  503  Service Unavailable [IP: 10.0.0.1 80]
E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?
"""
APT_404 = APT_503.replace("503  Service Unavailable", "404  Not Found")
PULL = 'Error: initializing source docker://r.example/x:9: Get "https://r.example/v2/": '
PASSING = [
    APT_503,
    "E: Failed to fetch http://mirror/InRelease  Hash Sum mismatch\n   Hashes of expected file:",
    "W: Failed to fetch http://mirror/InRelease  Temporary failure resolving 'mirror'\nE: Some index.",
    "W: Failed to fetch http://m/InRelease  Could not connect to m:80, connection timed out",
    # apt's second sentence follows from the first.
    "E: Failed to fetch http://m/InRelease  503  Service Unavailable\nE: The repository 'http://m' is not signed.",
    "Error: pinging container registry r:5: invalid status code from registry 503 (Service Unavailable)",
    "curl: (6) Could not resolve host: repo.example.org",
    "curl: (7) Failed to connect to repo.example.org port 443: Connection refused",
    "curl: (28) Operation timed out after 30001 milliseconds with 0 bytes received",
    "curl: (56) Recv failure: Connection reset by peer",
    "curl: (22) The requested URL returned error: 503",
    "Errors during downloading metadata for repository 'epel':\n  - Status code: 503 for https://m/x",
    "Failed to download metadata for repo 'baseos': Cannot prepare internal mirrorlist: Curl error (35): TLS",
    f"{PULL}dial tcp 10.0.0.1:443: connect: connection refused",
    f"{PULL}dial tcp: lookup r.example on 10.0.0.53:53: server misbehaving",
    f"{PULL}net/http: TLS handshake timeout",
    f"{PULL}EOF",
    "Error: reading blob sha256:00: fetching blob: received unexpected HTTP status: 502 Bad Gateway",
    "Error: copying system image from manifest list: writing blob: happened during read: unexpected EOF",
]
LASTING = [
    APT_404,
    f"{APT_404}{APT_503}",
    "curl: (22) The requested URL returned error: 404\nError: All mirrors were tried",
    "  - Status code: 404 for https://m/x.rpm\nError: Cannot download x.rpm: All mirrors were tried",
    "Error: initializing source docker://r/x:9: reading manifest 9 in r/x: manifest unknown: manifest unknown",
    "Error: pinging container registry r:5: invalid status code from registry 404 (Not Found)",
    "E: The repository 'http://m trixie InRelease' is not signed.",
    "Error: reading manifest: requested access to the resource is denied; connection reset",
    f"{PULL}dial tcp: lookup r.example on 10.0.0.53:53: no such host",
    f"{PULL}x509: certificate signed by unknown authority",
    "E: Failed to fetch http://m/x.deb  Error writing to file - write (28: No space left on device)",
    "E: You don't have enough free space in /var/cache/apt/archives/.",
    "W: Failed to fetch http://m/InRelease  The following signatures couldn't be verified: NO_PUBKEY 6ED0",
    "bare.sh: line 7: dnff: command not found",
    "E: Unable to locate package no-such-thing",
    "",
]


@pytest.mark.parametrize("text", PASSING)
def test_passing(text: str) -> None:
    assert downloads.find_transient_error(text) in [line.strip() for line in text.splitlines()]


@pytest.mark.parametrize("text", LASTING)
def test_lasting(text: str) -> None:
    assert downloads.find_transient_error(text) == ""


def test_the_cause_is_the_line_that_says_it() -> None:
    assert downloads.find_transient_error(APT_503) == APT_503.splitlines()[0]


def test_what_a_program_got_over_is_no_cause() -> None:
    """apt tries again by itself: the line that ended the script is far below."""
    noise = "curl: (7) Failed to connect to m port 80: Connection refused\n" + "unpacking\n" * 30
    assert downloads.find_transient_error(f"{noise}bare.sh: line 9: x: unbound variable") == ""


def test_a_size_is_no_status() -> None:
    assert downloads.find_transient_error(
        "Need to get 404 kB of archives.\nE: Failed to fetch http://m/x.deb  Connection failed"
    )


def test_a_nice_value_that_cannot_be_raised_denies_nothing() -> None:
    niced = "warning: Unable to reset nice value: Permission denied\ncurl: (56) Recv failure"
    assert downloads.find_transient_error(niced) == "curl: (56) Recv failure"


REACHED = "- Curl error (28): Timeout was reached for https://m"
FULL = "Curl error (23): Failed writing received data"
NO_NAME = "fatal: unable to access 'x': Could not resolve host: x"


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        (downloads.DNF, f"x\n  {REACHED}", REACHED),
        (downloads.DNF, "frontend.service: start timed out: connection refused", ""),
        (downloads.DNF, FULL, ""),
        (downloads.REPOSITORY, FULL, FULL),
        (downloads.GIT, NO_NAME, NO_NAME),
        (downloads.GIT, "fatal: repository 'x' not found", ""),
    ],
)
def test_each_tool_has_its_own_words(kind: re.Pattern[str], text: str, wanted: str) -> None:
    assert downloads.find_line(kind, text) == wanted

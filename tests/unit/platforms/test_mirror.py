"""The URL, the cause and the option to set, of what tools say of a mirror that does not answer."""

from __future__ import annotations

import pytest

from itb.platforms.mirror import download_error

SETTINGS = {
    "base": "auto",
    "mirror": "http://127.0.0.1:9/debian",
    "security": "http://security.debian.org/debian-security",
}
# As mmdebstrap, apt-get and dnf print it.
MMDEBSTRAP = """\
Err:2 http://127.0.0.1:9/debian trixie-updates InRelease
  Unable to connect to 127.0.0.1:9:
E: Failed to fetch http://127.0.0.1:9/debian/dists/trixie/InRelease  \
Could not connect to 127.0.0.1:9 (127.0.0.1). - connect (111: Connection refused)
E: Failed to fetch http://127.0.0.1:9/debian/dists/trixie-updates/InRelease  Unable to connect to 127.0.0.1:9:
E: Some index files failed to download. They have been ignored, or old ones used instead.
E: apt-get update --error-on=any -oAPT::Status-Fd=<$fd> -oDpkg::Use-Pty=false failed
I: main() received signal PIPE: waiting for setup...
E: mmdebstrap failed to run
"""
APT = "E: Failed to fetch http://security.debian.org/debian-security/dists/InRelease  404  Not Found [IP: ::1 80]"
DNF = """\
Errors during downloading metadata for repository 'baseos':
  - Curl error (6): Couldn't resolve host name for https://repo.almalinux.org/almalinux/9/repomd.xml \
[Could not resolve host: repo.almalinux.org]
Error: Failed to download metadata for repo 'baseos': Cannot download repomd.xml
"""


@pytest.mark.parametrize(
    ("output", "message", "option"),
    [
        (
            MMDEBSTRAP,
            "http://127.0.0.1:9/debian/dists/trixie/InRelease cannot be downloaded: "
            "Could not connect to 127.0.0.1:9 (127.0.0.1). - connect (111: Connection refused)",
            "mirror",
        ),
        (
            APT,
            "http://security.debian.org/debian-security/dists/InRelease cannot be downloaded: "
            "404  Not Found [IP: ::1 80]",
            "security",
        ),
        (
            DNF,
            "https://repo.almalinux.org/almalinux/9/repomd.xml cannot be downloaded: Couldn't resolve host name",
            "mirror",
        ),
    ],
)
def test_the_cause_is_the_mirror(output: str, message: str, option: str) -> None:
    error = download_error("deb13", SETTINGS, output)
    assert error is not None
    assert error.message == f"platform deb13: {message}"
    assert f"platform_options: {{deb13: {{{option}: URL}}}} in itb.yaml" in error.hint
    assert error.evidence == output


@pytest.mark.parametrize("output", ["", "E: Unable to locate package x", APT + "\nfine" * 30])
def test_no_other_failure_is_taken_for_it(output: str) -> None:
    assert download_error("deb13", SETTINGS, output) is None

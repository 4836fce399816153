"""Texts that cannot be a source or a reference are refused before git sees them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from itb.errors import UsageError
from itb.source import git, resolve
from itb.source.origin import Origin, locate
from itb.util import known_secrets, redact


@pytest.mark.parametrize(
    "ref",
    [
        "a b", "a\nb", "a\tb", "a\x00b", "a~1", "HEAD^", "v1..v2", "a:b", "a?", "a*", "a[b", "a\\b", "@", "a@{1}",
        ".hidden", "a/.b", "a//b", "/a", "a/", "a.lock", "a.",
    ],
)  # fmt: skip
def test_impossible_reference(ref: str) -> None:
    with pytest.raises(UsageError, match="cannot exist") as caught:
        resolve.check(ref)
    assert repr(ref) in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "ref", ["", "-x", "--upload-pack=x", "$(reboot)", "a;b", "'a'", '"', "é", "日本", "a&b|c", "v1.0", "pr/1"]
)
def test_strange_but_possible_reference(ref: str) -> None:
    resolve.check(ref)


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/glideinWMS/glideinwms.git", "http://host/x", "ssh://git@host/x", "git://host/x",
        "file:///srv/x.git", "git@github.com:glideinWMS/glideinwms", "host:path/to/x",
    ],
)  # fmt: skip
def test_urls(text: str) -> None:
    assert locate(text) == Origin(text, text)


@pytest.mark.parametrize(
    "text", ["", "nowhere", "./nowhere", "-oProxyCommand=x:y", "--upload-pack=x", "ext::sh -c id", "ftp://host/x",
             "host:-x", "a\nb:c", "host::x", "x://y"],
)  # fmt: skip
def test_neither_folder_nor_url(text: str) -> None:
    with pytest.raises(UsageError, match="neither a folder"):
        locate(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://[::1", "is not a valid URL: Invalid IPv6 URL"),
        ("http://[bad]/x", "is not a valid URL: 'bad' does not appear to be an IPv4 or IPv6 address"),
        ("ssh://host:port/x", "is not a valid URL: Port could not be cast"),
        ("~nouser-of-itb/x", "no home folder of this user here"),
        ("a" * 5000, "cannot be looked at: File name too long"),
        ("ftp://" + "a" * 5000, "is neither a folder here nor a URL"),
    ],
)
def test_sources_nothing_can_be_made_of(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        locate(text)
    assert len(caught.value.message) < 400
    assert text[:6] in caught.value.message


def test_a_long_url_is_a_url() -> None:
    assert locate("https://host/" + "a" * 5000).local is None


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "git@host:it's $(a) folder; é"
    folder.mkdir()
    assert locate(str(folder)).local == folder


def test_a_file_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(UsageError, match="is a file"):
        locate(str(tmp_path / "x"))


def test_credentials_of_a_url_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_secrets, "_texts", set())
    origin = locate("https://someone:hunter2hunter2@host:8443/x.git")
    assert origin.display_name == "https://host:8443/x.git"
    assert "hunter2" not in f"{origin.address} {origin!r}"  # git's command line is for everybody to see
    assert origin.env["ITB_GIT_PASSWORD"] == "hunter2hunter2"
    assert "hunter2" not in redact.redact("fatal: hunter2hunter2")
    assert locate("https://someone@host/x").display_name == "https://host/x"
    user = locate("https://someone@host/x")  # whose password the user's own helper may know
    assert user.address == "https://host/x"
    name = ("credential.https://host.username", "someone")
    assert (user.env["GIT_CONFIG_KEY_0"], user.env["GIT_CONFIG_VALUE_0"]) == name
    assert redact.redact("someone") == "someone"


@pytest.mark.parametrize("token", ["ghp_a1b2c3", "glpat-a1", "0123456789abcdef0123", "x%2Fy-0123456789abc"])
def test_a_token_in_the_place_of_a_urls_user_is_not_shown(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_secrets, "_texts", set())
    origin = locate(f"https://{token}@host/x.git")
    assert token not in f"{origin.address} {origin.display_name} {origin!r}"
    assert origin.env["ITB_GIT_USER"] == unquote(token)
    assert [origin.env[f"GIT_CONFIG_KEY_{number}"] for number in (0, 1)] == [
        "credential.helper",
        "credential.https://host.helper",
    ]
    assert token not in redact.redact(f"remote: {token} {unquote(token)} https://{token}@host")


def test_a_password_in_a_url_of_ssh_is_dropped() -> None:
    assert locate("ssh://me:hunter2hunter2@host/x").address == "ssh://me@host/x"
    assert locate("ssh://me@host/x").display_name == "ssh://me@host/x"


def test_environment_never_asks_and_means_no_other_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/elsewhere/index")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    for user_config in (True, False):
        env = git.environment(user_config=user_config)
        assert "GIT_DIR" not in env
        assert "GIT_INDEX_FILE" not in env
        assert env["GIT_TERMINAL_PROMPT"] == "0"
        assert "BatchMode=yes" in env["GIT_SSH_COMMAND"]
    assert "GIT_CONFIG_COUNT" not in git.environment(user_config=False)
    assert "GIT_CONFIG_COUNT" in git.environment(user_config=True)


def test_clones_of_different_sources_differ(tmp_path: Path) -> None:
    one, two = (git.cached_clone_path(tmp_path, url) for url in ("https://a/glideinwms.git", "https://b/glideinwms.git"))
    assert one != two
    assert one.name.startswith("glideinwms-")
    strange = git.cached_clone_path(tmp_path, "/a/../$(x); é\n")
    assert strange.parent == tmp_path / "sources"

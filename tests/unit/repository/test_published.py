"""Locating a published repository, and choosing its packages by version, by NEVRA or the newest."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import cast

import pytest

from itb.config import lookup
from itb.config.platform import PublishedRepository
from itb.config.settings import Settings
from itb.containers.host import FileSpec, Host
from itb.errors import InstallError, TestbedError, UsageError
from itb.install import dnf
from itb.model import Build, InstalledPackage, Repo, Rpm
from itb.process.request import Request
from itb.process.result import Completed
from itb.repository import keys, published, server
from itb.repository.keys import RepositoryKey
from itb.repository.published import PublishedPackage
from itb.run.phases import published as phases_published

KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
WANTED = {"glideinwms-factory", "glideinwms-vofrontend"}


def offered(
    *evrs: str, names: tuple[str, ...] = ("factory", "vofrontend", "libs"), epoch: int = 0
) -> list[PublishedPackage]:
    """Return packages of these versions, newest first, as dnf would list them."""
    packages = []
    for evr in evrs:
        version, _, release = evr.partition("-")
        for name in names:
            rpm = Rpm(name=f"glideinwms-{name}", epoch=epoch, version=version, release=release, arch="noarch",
                      file="x.rpm", sha256="0", size=1)  # fmt: skip
            packages.append(PublishedPackage(rpm=rpm))
    return packages


OSG = offered("3.11.3-0.1.rc1.osg24.el9", "3.11.2-2.osg24.el9", "3.11.2-1.osg24.el9", "3.10.17-1.osg24.el9")


@pytest.mark.parametrize(
    ("pin", "chosen"),
    [
        ("", "3.11.3-0.1.rc1.osg24.el9"),
        ("3.11.2", "3.11.2-2.osg24.el9"),
        ("3.11.2-1", "3.11.2-1.osg24.el9"),
        ("3.10.17-1.osg24.el9", "3.10.17-1.osg24.el9"),
        ("0:3.10.17-1", "3.10.17-1.osg24.el9"),
        ("glideinwms-factory-3.10.17-1", "3.10.17-1.osg24.el9"),
        ("glideinwms-factory-3.10.17", "3.10.17-1.osg24.el9"),
        ("glideinwms-libs-3.11.2-1.osg24.el9.noarch", "3.11.2-1.osg24.el9"),
    ],
)
def test_version_is_chosen(pin: str, chosen: str) -> None:
    package_set = published.choose(OSG, WANTED, pin=pin, where="here")
    assert {f"{rpm.version}-{rpm.release}" for rpm in package_set.rpms} == {chosen}
    assert len(package_set.rpms) == 3


@pytest.mark.parametrize("pin", ["3.11.2-3", "3.1", "3.11.2-1.osg", "3.11", "3.10.17-", "glideinwms-factory"])
def test_no_such_version(pin: str) -> None:
    with pytest.raises(InstallError, match=r"^here has no .*; nearest: 3\.1") as caught:
        published.choose(OSG, WANTED, pin=pin, where="here")
    assert caught.value.exit_code == 7
    assert "3.10.17-1.osg24.el9" in caught.value.evidence


@pytest.mark.parametrize("pin", ["3.10.18", "3.10.18-1", "glideinwms-factory-3.10.18-1.osg24.el9"])
def test_nearest_version(pin: str) -> None:
    with pytest.raises(InstallError, match=r"nearest: 3\.10\.17-1\.osg24\.el9"):
        published.choose(OSG, WANTED, pin=pin, where="here")


def test_epoch_counts() -> None:
    mixed = [*offered("3.10.17-1", epoch=1), *offered("3.11.2-1")]
    newest = published.choose(mixed, WANTED, pin="", where="x").rpms[0]
    assert newest.nevra == "glideinwms-factory-1:3.10.17-1.noarch"
    assert published.choose(mixed, WANTED, pin="1:3.10.17-1", where="x").rpms[0].epoch == 1


def test_half_a_version_is_no_candidate() -> None:
    """The newest version is tested, or none: testing an older one instead would be a false pass."""
    half = [*offered("3.11.4-1", names=("factory",)), *OSG]
    with pytest.raises(InstallError, match=r"has 3\.11\.4-1 without glideinwms-vofrontend"):
        published.choose(half, WANTED, pin="", where="here")
    with pytest.raises(InstallError, match="offers no package"):
        published.choose([], WANTED, pin="", where="here")


def test_a_package_that_went_on_alone_is_not_the_newest() -> None:
    """The version is that of the packages that the roles install, not of a sub-package that left the product."""
    stray = [*offered("9.0-1", names=("stray",)), *OSG]
    assert published.choose(stray, WANTED, pin="", where="here").version == "3.11.3"


def test_earlier_final_version() -> None:
    newest = published.choose(OSG, WANTED, pin="", where="here")
    below = published.before(OSG, newest)
    assert published.choose(below, WANTED, pin="", where="here").release == "2.osg24.el9"
    last = published.choose(OSG, WANTED, pin="3.10.17", where="here")
    assert published.before(OSG, last) == []


def test_names_are_the_platforms() -> None:
    el9 = lookup.load_platform("el9")
    location = published.locate(el9, "osg-testing", "")
    assert location.url == "https://repo.osg-htc.org/osg/24-main/el9/testing/$basearch"
    assert (location.key.sources, location.key.on_host) == (("/etc/pki/rpm-gpg/RPM-GPG-KEY-OSG-*",), True)
    for platform in ("el8", "el9", "el10"):
        for name in ("osg", "osg-testing", "osg-development"):
            assert published.locate(lookup.load_platform(platform), name, "").url
    with pytest.raises(UsageError, match=r"el9 has no repository 'osg-testin'; did you mean 'osg-testing'"):
        published.locate(el9, "osg-testin", "")
    with pytest.raises(UsageError, match=r"deb13 cannot install from osg: OSG's packages are built for"):
        published.locate(lookup.load_platform("deb13"), "osg", "")


def test_url_or_directory(tmp_path: Path) -> None:
    deb13 = lookup.load_platform("deb13")
    assert published.locate(deb13, "https://x.org/el9/", "").url == "https://x.org/el9"
    for bad in ("http://localhost:80/x", "http://127.0.0.2/x", "gopher://x/y", "http:///x", "http://u:p@x.org/"):
        with pytest.raises(UsageError):
            published.locate(deb13, bad, "")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UsageError, match="neither RPMs nor"):
        published.locate(deb13, str(tmp_path), "")
    (tmp_path / "a.rpm").write_text("x")
    (tmp_path / "RPM-GPG-KEY-itb").write_text(KEY)
    location = published.locate(deb13, f"file://{tmp_path}", "")
    assert location.name == str(tmp_path), "a report names a directory so that it is found from anywhere"
    assert (location.directory, location.key.sources) == (tmp_path, (str(tmp_path / "RPM-GPG-KEY-itb"),))
    (tmp_path / "RPM-GPG-KEY-more").write_text(KEY)
    assert len(published.locate(deb13, str(tmp_path), "").key.sources) == 2
    with pytest.raises(UsageError, match="nor a file with an ASCII-armored public key"):
        published.locate(deb13, str(tmp_path), str(tmp_path / "a.rpm"))
    with pytest.raises(UsageError, match="no such directory"):
        published.locate(deb13, str(tmp_path / "no"), "")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"nevra": "1.0"}, "none is named"),
        ({"allow_unsigned": True}, "none is named"),
        ({"from_repo": "http://x.org/a", "ref": "main"}, "one run tests one of them"),
        ({"from_repo": "http://x.org/a", "source": "/x"}, "one run tests one of them"),
        ({"from_repo": "osg"}, "built for Enterprise Linux"),
    ],
)
def test_contradictions(settings: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        phases_published.check(Settings.model_validate(settings), [lookup.load_platform("deb13")])


def test_directory_without_a_key(tmp_path: Path) -> None:
    """A run fails before it starts anything."""
    (tmp_path / "a.rpm").write_text("x")
    settings = Settings(from_repo=str(tmp_path))
    deb13 = [lookup.load_platform("deb13")]
    with pytest.raises(UsageError, match="no key to check its packages with"):
        phases_published.check(settings, deb13)
    phases_published.check(settings.model_copy(update={"allow_unsigned": True}), deb13)
    (tmp_path / "RPM-GPG-KEY-x").write_text(KEY)
    phases_published.check(settings, deb13)


@pytest.mark.parametrize("name", ["RPM-GPG-KEY-x", "repodata/repomd.xml.key"])
def test_only_keys_of_the_directory_itself_are_sent_to_hosts(tmp_path: Path, name: str) -> None:
    """Neither a file that a link leads to, nor one that is no key, nor one that never ends."""
    folder, private = tmp_path / "packages", tmp_path / "private"
    (folder / "repodata").mkdir(parents=True)
    private.write_text(f"{KEY}secret")
    (folder / name).symlink_to(private)
    (folder / "RPM-GPG-KEY-a").write_text("secret")
    os.mkfifo(folder / "RPM-GPG-KEY-b")
    (folder / "RPM-GPG-KEY-c").symlink_to("/dev/zero")
    assert keys.in_folder(folder) == ()
    (folder / "RPM-GPG-KEY-d").write_text(KEY)
    (folder / "RPM-GPG-KEY-e").symlink_to("RPM-GPG-KEY-d")
    assert keys.in_folder(folder) == (str(folder / "RPM-GPG-KEY-d"), str(folder / "RPM-GPG-KEY-e"))


def test_no_key_counts_that_others_can_change(tmp_path: Path) -> None:
    """Who can change the packages of a directory, too, would have them believed."""
    key = tmp_path / "RPM-GPG-KEY-x"
    key.write_text(KEY)
    assert keys.in_folder(tmp_path) == keys.read_setting(str(key)).sources == (str(key),)
    for path, mode in ((key, 0o666), (tmp_path, 0o777)):
        before = path.stat().st_mode
        path.chmod(mode)
        assert keys.in_folder(tmp_path) == ()
        with pytest.raises(UsageError, match="can be written by everybody"):
            keys.read_setting(str(key))
        path.chmod(before)


OWNER = "0123456789ABCDEF0123456789ABCDEF01234567"


@pytest.mark.parametrize(
    ("repository", "key", "words"),
    [
        ("http://x.org/a", "", "its key would come by plain http like the packages"),
        ("ftp://x.org/a", "", "its key would come by plain ftp like the packages"),
        ("https://x.org/a", "http://x.org/key", "a key that does not come by https is anybody's"),
        ("http://x.org/a", "ftp://x.org/key", "a key that does not come by https is anybody's"),
    ],
)
def test_key_that_anybody_could_change_is_no_key(repository: str, key: str, words: str) -> None:
    """Without a key from elsewhere a run does not even start; the remedies are named."""
    deb13 = [lookup.load_platform("deb13")]
    with pytest.raises(UsageError, match=words) as caught:
        phases_published.check(Settings(from_repo=repository, repo_key=key), deb13)
    assert "https" in caught.value.hint
    assert "fingerprint" in caught.value.hint.lower()
    if not key:
        phases_published.check(Settings(from_repo=repository, allow_unsigned=True), deb13)


@pytest.mark.parametrize("key", [OWNER, f"0x{OWNER.lower()}", " ".join([OWNER[:20], OWNER[20:].lower()])])
def test_fingerprint_is_a_key(key: str) -> None:
    deb13 = lookup.load_platform("deb13")
    assert published.locate(deb13, "http://x.org/a", key).key == RepositoryKey(pin=OWNER)
    phases_published.check(Settings(from_repo="http://x.org/a", repo_key=key), [deb13])
    with pytest.raises(UsageError, match="not a fingerprint, nor a file"):
        published.locate(deb13, "http://x.org/a", OWNER[:16])


def test_fingerprint_of_the_platforms_repository() -> None:
    """It goes with the platform's key, or that of the repository; the user's own comes before it."""
    el9 = lookup.load_platform("el9")
    pinned = el9.published["osg"].model_copy(update={"fingerprint": OWNER})
    el9 = el9.model_copy(update={"published": {"osg": pinned, "bare": pinned.model_copy(update={"key": ""})}})
    assert published.locate(el9, "osg", "").key.pin == OWNER
    assert published.locate(el9, "osg", "").key.on_host
    assert published.locate(el9, "bare", "").key == RepositoryKey(on_host=True, pin=OWNER)
    assert published.locate(el9, "osg", "B" * 40).key.pin == "B" * 40
    assert published.locate(el9, "osg", "https://x.org/key").key == RepositoryKey(("https://x.org/key",))


class _Recorder:
    """Records the files that would be put on a host, and answers rpm's query."""

    role = "factory"

    def __init__(self, answer: str = "", *, left_out: int = 0) -> None:
        self.files: dict[str, str] = {}
        self.answer, self.left_out = answer, left_out

    def put(self, *files: FileSpec, **_: object) -> None:
        self.files |= {file.path: file.content.decode() for file in files}

    def run(self, request: Request) -> Completed:
        return Completed(tuple(request.argv), 0, self.answer, "", 0.1, left_out=self.left_out)


def test_repository_file() -> None:
    """Other versions of the product are excluded; signatures are checked unless the repository says no."""
    host = _Recorder()
    repo = Repo(id="itb-candidate", url="https://x.org/el9", key_url="https://k", key_fingerprint="F", packages=1,
                 repo_gpgcheck=False, include=("a-1-1.noarch", "ab-1-1.noarch"), priority=98)  # fmt: skip
    server.enable(cast("Host", host), repo, ["a*"])
    text = host.files["/etc/yum.repos.d/itb-candidate.repo"]
    candidate, rest = text.split("[itb-candidate-rest]")
    for line in ("baseurl=https://x.org/el9", "gpgcheck=1", "repo_gpgcheck=0", "gpgkey=https://k"):
        assert line in candidate.splitlines()
        assert line in rest.splitlines()
    assert {"includepkgs=a-1-1.noarch ab-1-1.noarch", "priority=1"} <= set(candidate.splitlines())
    assert {"excludepkgs=a*", "priority=98"} <= set(rest.splitlines())
    server.enable(cast("Host", host), repo.model_copy(update={"gpgcheck": False, "key_url": ""}), ["a*"])
    text = host.files["/etc/yum.repos.d/itb-candidate.repo"]
    assert "gpgcheck=0" in text.splitlines()
    assert "gpgkey" not in text


def test_installed_is_what_is_published() -> None:
    (package,) = offered("1.0-1", names=("factory",))
    rpm = package.rpm.model_copy(update={"header": "abc"})
    commit = phases_published.unresolved_commit("g", "http://x", "")
    build = Build(commit=commit, platform="el9", directory="", rpms=(rpm,), published="http://x")
    packages = [InstalledPackage(nevra=rpm.nevra, origin="itb-candidate", candidate=True)]
    dnf.check_headers(cast("Host", _Recorder("abc\n")), packages, build)
    with pytest.raises(InstallError, match=r"installed is not what http://x holds: glideinwms-factory-1\.0-1"):
        dnf.check_headers(cast("Host", _Recorder("abd\n")), packages, build)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "glideinwms-x\ngpgcheck=0\nx="}, {"name": "glideinwms-*"}, {"name": "glideinwms-x y"},
        {"version": "1\n[other]\nbaseurl=http://x.org"}, {"release": "1\x1b[31m"}, {"arch": "no\narch"},
        {"name": ""},
    ],
)  # fmt: skip
def test_a_name_in_the_metadata_is_no_line_of_dnfs_configuration(changed: dict[str, str]) -> None:
    """The metadata is not signed: a server by http, or who is between, could end the check of signatures."""
    fields = offered("1.0-1", names=("factory",))[0].rpm.model_dump() | {"built": 1}
    good = _Recorder(json.dumps(fields))
    (package,) = published.list_packages(cast("Host", good), "http://x.org", ["glideinwms*"])
    assert package.rpm.name == "glideinwms-factory"
    bad = _Recorder(json.dumps(fields | changed))
    with pytest.raises(TestbedError, match="is no name of a package"):
        published.list_packages(cast("Host", bad), "http://x.org", ["glideinwms*"])


@pytest.mark.parametrize("url", ["http://x.org/a\ngpgcheck=0", "http://x.org/a b", "https://x.org/\x1b[31m"])
def test_a_url_is_one_word_of_dnfs_configuration(url: str) -> None:
    with pytest.raises(UsageError, match="http, https or ftp is expected"):
        published.locate(lookup.load_platform("deb13"), url, OWNER)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://me:word@x.org/KEY", "a user, password or token in a URL"),
        ("https://me@x.org/KEY", "a user, password or token in a URL"),
        ("https://x.org/KEY?private_token=password", "a user, password or token in a URL"),
        ("https://x.org/KEY?X-Amz-Date=1&X-Amz-Signature=password", "a user, password or token in a URL"),
        ("https://localhost/KEY", "is its own localhost"),
        ("https://127.0.0.1/KEY", "is its own 127.0.0.1"),
        ("https://x.org/a b", "is expected"),
        ("https://x.org/a\n--output", "is expected"),
        ("https:///KEY", "is expected"),
        ("https://[x.org/KEY", "is expected"),
        ("https://x.org:port/KEY", "is expected"),
    ],
)
def test_url_of_a_key_is_checked_like_that_of_a_repository(url: str, words: str) -> None:
    """The login in it was an argument of curl on the services host."""
    deb13 = lookup.load_platform("deb13")
    for repository, key in ((url, OWNER), ("https://x.org/a", url)):
        with pytest.raises(UsageError, match=words) as caught:
            published.locate(deb13, repository, key)
        assert "word" not in caught.value.message.replace("a user, password or token", "")


def test_login_in_the_url_of_a_platforms_repository() -> None:
    """The user may give it there by platform_options."""
    deb13 = lookup.load_platform("deb13")
    with_login = PublishedRepository(url="https://me:word@{host}/", key="")
    platform = deb13.model_copy(update={"published": {"own": with_login}, "settings": {"host": "x.org"}})
    with pytest.raises(UsageError, match="a user, password or token in a URL"):
        published.locate(platform, "own", "")


@pytest.mark.parametrize("built", [10**18, -1, None, "x", [1], 1e400])
def test_time_that_no_package_was_built_at(built: object) -> None:
    """It ended the run with an error of the calendar, which named no repository."""
    fields = offered("1.0-1", names=("factory",))[0].rpm.model_dump() | {"built": built}
    with pytest.raises(TestbedError, match=r"repository http://x\.org cannot be used: it has a package that"):
        published.list_packages(cast("Host", _Recorder(json.dumps(fields))), "http://x.org", ["g*"])


@pytest.mark.parametrize(
    "line", ["{", "5", "[1]", "{}", '{"built": 1}', '{"built": ' + "9" * 5000 + "}", "[" * 9**5],
)
def test_listing_that_is_no_listing(line: str) -> None:
    with pytest.raises(TestbedError, match=r"repository http://x\.org cannot be used: it has a package that"):
        published.list_packages(cast("Host", _Recorder(line)), "http://x.org", ["g*"])
    with pytest.raises(TestbedError, match=r"repository http://x\.org cannot be used: it has a package that"):
        published.check(cast("Host", _Recorder(line)), "http://x.org", [], "")


def test_listing_that_is_too_long() -> None:
    """The middle of it is not there, nor would be packages in it."""
    line = json.dumps(offered("1.0-1", names=("factory",))[0].rpm.model_dump() | {"built": 1})
    cut = _Recorder(line, left_out=1)
    for read in (
        lambda: published.list_packages(cast("Host", cut), "http://x.org", ["g*"]),
        lambda: published.check(cast("Host", cut), "http://x.org", [], ""),
    ):
        with pytest.raises(TestbedError, match=r"repository http://x\.org cannot be used: its listing"):
            read()

"""Packages that go wrong in every way they can: signed, served, installed and verified for real.

One host serves the candidate's repository over HTTPS and installs from it;
its packages are made in the build workspace from one spec.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from itb.containers.host import FileSpec, Host
from itb.errors import InstallError, TestbedError
from itb.install import configure
from itb.install import dnf as install_dnf
from itb.model import Build, Commit, InstalledPackage, Repo, Rpm, SigningKey
from itb.process.request import Request
from itb.repository import server as repository_server
from itb.testbed.certificates import RunCA
from itb.testbed.testbed import install_trust
from itb.util import files

GLOBS = ("probe*",)
SPEC = r"""
Name: probe
Version: 1.0
Release: 1
Summary: Packages that go wrong
License: none
BuildArch: noarch
%description
.
%package good
Summary: good
%package post
Summary: post
%package pre
Summary: pre
%package needs
Summary: needs
Requires: no-such-thing >= 3
%package asks
Summary: asks
Requires: probe-needs
%package clash-a
Summary: a
%package clash-b
Summary: b
%package over
Summary: a file of another repository's package
%package owner
Summary: owner
%package kills
Summary: kills
%package slow
Summary: slow
%description good
%description post
%description pre
%description needs
%description asks
%description clash-a
%description clash-b
%description over
%description owner
%description kills
%description slow
%install
mkdir -p %{buildroot}/etc %{buildroot}/usr/share/probe %{buildroot}/usr/bin
for name in good owner post pre; do echo $name > %{buildroot}/usr/share/probe/$name; done
echo x > %{buildroot}/etc/probe.conf
echo a > %{buildroot}/usr/share/probe/clash
echo x > %{buildroot}/usr/bin/curl
%files good
%config(noreplace) /etc/probe.conf
/usr/share/probe/good
%files post
/usr/share/probe/post
%files pre
/usr/share/probe/pre
%files needs
%files asks
%files clash-a
/usr/share/probe/clash
%files clash-b
%ghost /usr/share/probe/clash
%files over
/usr/bin/curl
%files owner
/usr/share/probe/owner
%files kills
%files slow
%post post
echo "probe: cannot find the certificate" >&2
exit 3
%pre pre
echo "probe: user could not be made" >&2
exit 1
%post owner
chown nobody /usr/share/probe/owner
chmod 600 /usr/share/probe/owner
%post kills
kill -9 $$
%post slow
sleep 600
"""
_KEY_FILE = f"{repository_server.ROOT}/candidate/RPM-GPG-KEY-itb"
# What every writer to rpm's database does first.
_WRITER = """
import fcntl, os, signal, socket
lock = open("/var/lib/rpm/.rpm.lock", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
signal.pause()
"""


@pytest.fixture(scope="module")
def rpms(module_hosts: Callable[..., Host], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the packages; clash-b carries another content of the same file than clash-a."""
    builder = module_hosts("build")
    builder.put(FileSpec("/tmp/a/probe.spec", SPEC.encode()))
    other = SPEC.replace("echo a >", "echo b >").replace("%ghost ", "")
    builder.put(FileSpec("/tmp/b/probe.spec", other.encode()))
    for side in "ab":
        builder.call("rpmbuild", "--quiet", "-bb", "--define", f"_topdir /tmp/{side}", f"/tmp/{side}/probe.spec")
    builder.script(
        "rm /tmp/a/RPMS/noarch/probe-clash-b-*; mv /tmp/b/RPMS/noarch/probe-clash-b-* /tmp/a/RPMS/noarch"
    )
    folder = tmp_path_factory.mktemp("rpms")
    builder.run(Request(["tar", "-C", "/tmp/a/RPMS/noarch", "-cf", "-", "."], stdout_to=folder / "all.tar"))
    builder.engine.runner.run(Request(["tar", "-C", str(folder), "-xf", str(folder / "all.tar")]))
    (folder / "all.tar").unlink()
    return folder


@pytest.fixture(scope="module")
def build(rpms: Path) -> Build:
    """What a build would have said of them."""
    nobody = "0" * 40
    commit = Commit(
        product="probe", source="s", ref="r", kind="tag", id=nobody, tree=nobody, date="", subject="",
        version="1.0",
    )  # fmt: skip
    made = tuple(
        Rpm(
            name=path.name.removesuffix("-1.0-1.noarch.rpm"), version="1.0", release="1", arch="noarch",
            file=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), size=path.stat().st_size,
        )
        for path in sorted(rpms.glob("*.rpm"))
    )  # fmt: skip
    return Build(commit=commit, platform="deb13", directory=str(rpms), rpms=made)


@pytest.fixture(scope="module")
def host(module_hosts: Callable[..., Host], tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A services host that trusts its own certificate authority."""
    names = ["services-workspace.glideinwms.org", repository_server.REPO_HOST, repository_server.TOKEN_HOST]
    aliases = [option for name in names[1:] for option in ("--add-host", f"{name}:127.0.0.1")]
    made = module_hosts("services", *aliases, fqdn=names[0])
    install_trust(made, RunCA.load_or_create(tmp_path_factory.mktemp("ca"), name="test"), names=names)
    return made


@pytest.fixture(scope="module")
def served(host: Host, build: Build, tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """The candidate's repository, and the host pointed at it."""
    key = repository_server.prepare(host, {"itb/jwks.json": b"{}"}, tmp_path_factory.mktemp("key") / "key")
    log = tmp_path_factory.mktemp("log") / "publish.log"
    repo = repository_server.sign_and_serve(host, build, log=log, key=key)
    repository_server.enable(host, repo, GLOBS)
    return repo


@pytest.fixture
def clean(host: Host) -> Iterator[Host]:
    """The host; probe packages go after the test."""
    yield host
    host.script("rpm -qa 'probe*' | xargs -r rpm -e --noscripts; rm -rf /etc/probe.conf*")


def dnf(host: Host, tmp_path: Path, *packages: str, timeout: float = 120) -> None:
    install_dnf.dnf_install(host, packages, log=tmp_path / "install.log", timeout=timeout)


def test_served_over_https_and_signed(host: Host, served: Repo, build: Build) -> None:
    assert served.packages == len(build.rpms) == 11
    seen = host.call("curl", "--silent", "--show-error", "--fail", f"https://{repository_server.TOKEN_HOST}/itb/jwks.json")
    assert seen.stdout == "{}"
    signed = host.script('rpmkeys --checksig "$1"/*.rpm', Request([f"{repository_server.ROOT}/candidate"])).stdout
    assert signed.count("signatures OK") == 11


def test_good_one(clean: Host, served: Repo, build: Build, tmp_path: Path) -> None:
    dnf(clean, tmp_path, "probe-good")
    packages = install_dnf.installed_packages(clean, GLOBS)
    ours = [item for item in packages if item.candidate]
    assert [(item.nevra, item.origin) for item in ours] == [("probe-good-1.0-1.noarch", served.id)]
    assert "1 package: probe-good-1.0-1.noarch" in install_dnf.check_origin(
        packages, build, served.id, ["probe-good"]
    )
    install_dnf.verify_files(clean, packages)
    others = {item.origin for item in packages if not item.candidate}
    assert served.id not in others


def test_configuration_right_in_etc_is_compared_and_none_is_no_error(
    clean: Host, served: Repo, build: Build, tmp_path: Path
) -> None:
    """Not every product has a folder of its own there."""
    dnf(clean, tmp_path, "probe-good", "probe-owner")
    good, owner = (
        list(install_dnf.installed_packages(clean, (name,))) for name in ("probe-good", "probe-owner")
    )
    script, log = tmp_path / "role" / "configure.sh", tmp_path / "configure.log"
    script.parent.mkdir()

    def configured(packages: list[InstalledPackage], text: str) -> None:
        script.write_text(text)
        configure.configure(clean, script, {}, log=log, timeout=60, shipped_by=packages)

    configured(good, "true")
    assert configure.differences(clean) == ""
    configured([], "echo y >/etc/probe.conf")
    diff = configure.differences(clean)
    assert configure.changed_files(diff) == ["/etc/probe.conf"]
    assert "-x\n+y\n" in diff
    configured(owner, "true")
    assert configure.differences(clean) == ""


def test_origin_that_is_another(clean: Host, served: Repo, build: Build) -> None:
    clean.call("rpm", "--install", f"{repository_server.ROOT}/candidate/probe-clash-a-1.0-1.noarch.rpm")
    packages = install_dnf.installed_packages(clean, GLOBS)
    with pytest.raises(InstallError, match=r"not the candidate's: probe-clash-a-1\.0-1\.noarch \(from "):
        install_dnf.check_origin(packages, build, served.id, ["probe-clash-a"])


def test_asked_for_but_absent(host: Host, served: Repo, build: Build) -> None:
    with pytest.raises(InstallError, match="asked for but not installed: probe-post"):
        install_dnf.check_origin(install_dnf.installed_packages(host, GLOBS), build, served.id, ["probe-post"])


@pytest.mark.parametrize(
    ("packages", "message"),
    [
        (
            ["probe-post"],
            r"^%post scriptlet of probe-post-1\.0-1\.noarch failed, exit status 3: probe: cannot find the cert",
        ),
        (
            ["probe-pre"],
            r"^%prein? scriptlet of probe-pre-1\.0-1\.noarch failed, exit status 1: probe: user could not be",
        ),
        (["probe-kills"], r"^%post scriptlet of probe-kills-1\.0-1\.noarch failed, signal 9$"),
        (["probe-needs"], r"nothing provides no-such-thing >= 3 needed by probe-needs-1\.0-1\.noarch"),
        (["probe-asks"], r"nothing provides no-such-thing >= 3 needed by probe-needs-1\.0-1\.noarch"),
        (
            ["probe-clash-a", "probe-clash-b"],
            r"file /usr/share/probe/clash conflicts between attempted installs of probe-c",
        ),
        (["probe-over"], r"file /usr/bin/curl .*conflicts with file from package curl"),
        (["probe-nothing"], r"No match for argument: probe-nothing"),
    ],
)
def test_reasons(clean: Host, served: Repo, tmp_path: Path, packages: list[str], message: str) -> None:
    with pytest.raises(InstallError, match=message) as caught:
        dnf(clean, tmp_path, *packages)
    assert caught.value.evidence
    assert caught.value.log == tmp_path / "install.log"


def test_scriptlet_that_does_not_end(clean: Host, served: Repo, tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="no end within 8 s"):
        dnf(clean, tmp_path, "probe-slow", timeout=8)
    clean.script("pkill -9 -f 'sleep 600' || true; rm -f /var/cache/dnf/*.pid /var/lib/rpm/.rpm.lock")


def test_files_that_deviate(clean: Host, served: Repo, tmp_path: Path) -> None:
    dnf(clean, tmp_path, "probe-owner")
    with pytest.raises(
        InstallError, match=r"/usr/share/probe/owner: mode, owner differ \(\.M\.\.\.U"
    ):
        install_dnf.verify_files(clean, install_dnf.installed_packages(clean, GLOBS))
    clean.call("rm", "/usr/share/probe/owner")
    with pytest.raises(InstallError, match=r"missing .* /usr/share/probe/owner"):
        install_dnf.verify_files(clean, install_dnf.installed_packages(clean, GLOBS))


def test_other_repositories_leave_the_candidate_alone(host: Host, served: Repo) -> None:
    listed = host.call("bash", "-c", "grep -H excludepkgs /etc/yum.repos.d/*.repo").stdout
    assert "itb-candidate" not in listed
    assert "excludepkgs=probe*" in listed
    repository_server.enable(host, served, GLOBS)
    assert host.call("bash", "-c", "grep -H excludepkgs /etc/yum.repos.d/*.repo").stdout == listed


_UNSIGN = """
cp -a "$1" /root/saved
cd "$1"
rpmsign --delsign probe-good-*.rpm
createrepo_c --quiet .
gpg --homedir /root/.gnupg-itb --batch --yes --armor --detach-sign repodata/repomd.xml
dnf --quiet clean all
"""


def test_package_nobody_signed(clean: Host, served: Repo, tmp_path: Path) -> None:
    folder = f"{repository_server.ROOT}/candidate"
    clean.script(_UNSIGN, Request([folder]))
    try:
        with pytest.raises(TestbedError, match=r"probe-good-1\.0-1\.noarch\.rpm is not signed"):
            dnf(clean, tmp_path, "probe-good")
    finally:
        clean.script('rm -rf "$1"; mv /root/saved "$1"', Request([folder]))


def test_metadata_nobody_signed(clean: Host, served: Repo, tmp_path: Path) -> None:
    folder = f"{repository_server.ROOT}/candidate"
    damage = 'cp -a "$1" /root/saved; echo >> "$1/repodata/repomd.xml"; dnf --quiet clean all'
    clean.script(damage, Request([folder]))
    try:
        with pytest.raises(TestbedError, match="Bad GPG signature"):
            dnf(clean, tmp_path, "probe-good")
    finally:
        clean.script('rm -rf "$1"; mv /root/saved "$1"', Request([folder]))


@pytest.mark.parametrize(("change", "code"), [('chmod 0 "$1"', 403), ('mv "$1" "$1.away"', 404)])
def test_a_package_that_is_not_given_is_the_testbeds(
    clean: Host, served: Repo, tmp_path: Path, change: str, code: int
) -> None:
    """As with umask 077, when nginx was not allowed to read the packages."""
    file = f"{repository_server.ROOT}/candidate/probe-good-1.0-1.noarch.rpm"
    clean.script(f"{change}; dnf --quiet clean all", Request([file]))
    try:
        with pytest.raises(TestbedError, match=f"Status code: {code} for {served.url}probe-good-1.0"):
            dnf(clean, tmp_path, "probe-good")
    finally:
        clean.script('[ ! -e "$1.away" ] || mv "$1.away" "$1"; chmod 644 "$1"', Request([file]))


def test_repository_that_is_down_is_the_testbeds(clean: Host, served: Repo, tmp_path: Path) -> None:
    clean.call("systemctl", "stop", "nginx")
    try:
        with pytest.raises(TestbedError, match="Cannot download"):
            dnf(clean, tmp_path, "probe-good")
    finally:
        clean.call("systemctl", "start", "nginx")
    assert (tmp_path / "install.log").read_text().count("Curl error (7)") >= 3


def test_signing_needs_nobody_elses_rpm_database(
    host: Host, served: Repo, build: Build, tmp_path: Path
) -> None:
    """The candidate and the version it upgrades are signed at once; rpm refuses a second writer."""
    key = SigningKey(fingerprint=served.key_fingerprint)
    host.call("systemd-run", "--quiet", "--unit=writer", "--property=Type=notify", "python3", "-c", _WRITER)
    try:
        assert not host.run(Request(["rpmkeys", "--import", _KEY_FILE], check=False)).ok
        repo = repository_server.sign_and_serve(host, build, log=tmp_path / "log", key=key, name="earlier")
    finally:
        host.call("systemctl", "stop", "writer")
    assert repo.packages == len(build.rpms)


def test_rpm_that_changed_or_cannot_be_signed(host: Host, build: Build, tmp_path: Path) -> None:
    """Both are the testbed's trouble, said with the package's name or what was being done."""
    (tmp_path / "broken.rpm").write_text("no package")
    rpm = build.rpms[0].model_copy(update={"file": "broken.rpm"})
    changed = build.model_copy(update={"directory": str(tmp_path), "rpms": (rpm,)})
    rpm = rpm.model_copy(update={"sha256": files.sha256(tmp_path / "broken.rpm")})
    unsignable = changed.model_copy(update={"rpms": (rpm,)})
    key = SigningKey(fingerprint="0" * 40)
    for broken, said in ((changed, "broken.rpm in .*: not as built any more"), (unsignable, "sign and index")):
        with pytest.raises(TestbedError, match=said):
            repository_server.sign_and_serve(host, broken, log=tmp_path / "log", key=key, name="other")

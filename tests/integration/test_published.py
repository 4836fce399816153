"""A repository of somebody else's, looked at with a platform's real dnf and rpm."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from itb.containers.host import FileSpec, Host
from itb.errors import TestbedError
from itb.model import Repo
from itb.process.request import Request
from itb.repository import published, server

GLOBS = ("probe*",)
URL = "file:///srv/there"
SPEC = """
Name: probe-one
Version: %{v}
Release: %{r}
Summary: One of two
License: none
BuildArch: noarch
%package -n probe-two
Summary: The other
%package -n a-neighbour
Summary: What is published with it
%description
.
%description -n probe-two
.
%description -n a-neighbour
.
%files
%files -n probe-two
%files -n a-neighbour
"""
EVRS = ("1.9-1", "1.10-0.1.rc1", "1.10-1", "1.2-3")
MAKE = """
cd /root
for evr in "$@"; do
    rpmbuild -bb --quiet --define '_rpmdir /srv/there' --define "v ${evr%-*}" --define "r ${evr#*-}" probe.spec
done
createrepo_c --quiet /srv/there
cp -r /srv/there /srv/broken
echo nonsense > /srv/broken/repodata/repomd.xml
cp -r /srv/there /srv/changed
find /srv/changed -name 'probe-one-1.10-1.*' -exec truncate --size=-1 {} +
rm -f /etc/yum.repos.d/*
"""


@pytest.fixture(scope="module")
def host(module_hosts: Callable[..., Host]) -> Host:
    """A host with several versions of a product in one repository, and two ways it can be broken."""
    builder = module_hosts("build")
    builder.put(FileSpec("/root/probe.spec", SPEC.encode()), then=MAKE, request=Request(EVRS))
    return builder


def test_versions_are_in_rpms_order(host: Host) -> None:
    """Newest first over all packages, whatever they are called; candidates below their final version."""
    offered = published.list_packages(host, URL, GLOBS)
    order = list(dict.fromkeys(f"{item.rpm.version}-{item.rpm.release}" for item in offered))
    assert order == ["1.10-1", "1.10-0.1.rc1", "1.9-1", "1.2-3"]
    assert {item.rpm.name for item in offered} == {"probe-one", "probe-two"}
    assert all(len(item.rpm.sha256) == 64 and item.built for item in offered)
    newest = published.choose(offered, {"probe-one", "probe-two"}, pin="", where=URL)
    assert newest.version == "1.10"
    earlier = published.choose(published.before(offered, newest), {"probe-one"}, pin="", where=URL)
    assert (earlier.version, len(earlier.rpms)) == ("1.9", 2)


def test_hosts_see_the_chosen_version_only(host: Host) -> None:
    """Of the product; what is published with it they may use."""
    offered = published.list_packages(host, URL, GLOBS)
    package_set = published.choose(offered, {"probe-one"}, pin="probe-two-1.9", where=URL)
    there = Repo(id="itb-candidate", url=URL, key_url="", key_fingerprint="", packages=2, gpgcheck=False,
                 repo_gpgcheck=False, include=tuple(rpm.nevra for rpm in package_set.rpms))  # fmt: skip
    server.enable(host, there, GLOBS)
    seen = host.call("dnf", "--quiet", "repoquery", "--queryformat", "%{repoid} %{name}-%{version}\n").stdout
    lines = set(seen.split("\n")) - {""}
    assert {line for line in lines if "probe" in line} == {
        "itb-candidate probe-one-1.9", "itb-candidate probe-two-1.9"
    }  # fmt: skip
    assert "itb-candidate-rest a-neighbour-1.10" in lines
    assert not any(line.startswith("itb-candidate ") and "neighbour" in line for line in lines)


def test_unsigned_packages_are_named(host: Host) -> None:
    offered = published.list_packages(host, URL, GLOBS)
    rpms = published.choose(offered, {"probe-one"}, pin="1.2", where=URL).rpms
    check = published.check(host, URL, rpms, "")
    assert len(check.problems) == 2
    assert all("is not signed" in line for line in check.problems)
    for rpm in rpms:
        file = f"/srv/there/noarch/{rpm.name}-1.2-3.noarch.rpm"
        assert host.call("rpm", "-qp", "--qf", "%{SHA256HEADER}", file).stdout == check.headers[rpm.nevra]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///srv/nowhere", "repository file:///srv/nowhere cannot be used: .*nowhere/repodata/repomd.xml"),
        ("file:///srv/broken", "repository file:///srv/broken cannot be used: .*repomd.xml parser error"),
        ("http://127.0.0.1:9/x", "cannot be used: http://127.0.0.1:9/x/repodata/repomd.xml: .*connect"),
    ],
)
def test_repository_that_cannot_be_used(host: Host, url: str, words: str) -> None:
    with pytest.raises(TestbedError, match=words):
        published.list_packages(host, url, GLOBS)


def test_package_that_is_not_what_the_index_says(host: Host) -> None:
    url = "file:///srv/changed"
    rpms = published.choose(published.list_packages(host, url, GLOBS), {"probe-one"}, pin="1.10-1", where=url).rpms
    with pytest.raises(TestbedError, match=f"repository {url} cannot be used"):
        published.check(host, url, rpms, "")

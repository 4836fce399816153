"""The converter on real packages, with real dpkg-deb, rpmbuild and rpm, inside a host of platform deb13."""

from __future__ import annotations

import itertools
import textwrap

import pytest

from itb.containers.host import FileSpec, Host
from itb.data import shipped
from itb.debtorpm import versions
from itb.process.request import Request
from tests.conftest import NewHost

# Every pair of these is compared by dpkg and by rpm.
_VERSIONS = """
1.0~rc1-1 1.0~rc1-2 1.0~~a-1 1.0-1 1.0-1~deb13u1 1.0-1+b1 1.0-1+deb13u1 1.0-1.1 1.0 1.0-0 1.0.1-1 1.0+dfsg-1
1.0+git20240101-1 1.2-1 1.10-1 1:0.5-1 2:0.1-1 23.9.6+dfsg-2.1 23.9.6+dfsg-2.1+b10 9.0-1 10.0-1
"""
VERSIONS = _VERSIONS.split()

BUILD = r"""
set -euo pipefail
cd /tmp
rm -rf made && mkdir -p made/p && cd made/p
mkdir -p DEBIAN etc bin sbin lib/x86_64-linux-gnu usr/bin usr/share/doc/odd usr/share/man/man1 'usr/share/odd dir'
cat >DEBIAN/control <<'END'
Package: odd
Version: 2:1.0~rc1-3+b1
Architecture: amd64
Maintainer: Nobody <nobody@example.org>
Depends: bash (>= 5), no-such-thing | coreutils
Provides: virtual-odd (= 7)
Breaks: bash (<< 1)
Description: 100% odd
 Text.
END
echo shipped >etc/odd.conf && echo /etc/odd.conf >DEBIAN/conffiles
printf '#!/bin/sh\necho "$DPKG_MAINTSCRIPT_NAME:$DPKG_MAINTSCRIPT_PACKAGE:$1:$2:$#" >>/tmp/scripts\n
deb-systemd-helper enable odd.service\nsystemctl is-enabled odd.service >>/tmp/scripts || :\n' >DEBIAN/postinst
printf '#!/bin/bash\necho "prerm $1" >>/tmp/scripts\n' >DEBIAN/prerm
chmod 755 DEBIAN/postinst DEBIAN/prerm
printf '#!/bin/sh\necho old place\n' >bin/odd-tool && chmod 755 bin/odd-tool && ln bin/odd-tool bin/odd-hard
ln -s odd-tool bin/odd-link
touch usr/share/doc/odd/copyright usr/share/doc/odd/README usr/share/man/man1/odd.1
cd 'usr/share/odd dir'
touch 'a b' 'per%cent' '%{name}' 'star*' 'qu?e' 'br[a]' 'q"uote' "ap'os" 'back\slash' 'dol$x' 'ünï' 'cur{a,b}' \
    ' lead' 'trail ' '#h' ./-dash ';semi'
cd ../../..
touch usr/bin/shadowed && chgrp shadow usr/bin/shadowed && chmod 2755 usr/bin/shadowed
cp /usr/lib/x86_64-linux-gnu/libcap.so.2.* lib/x86_64-linux-gnu/libodd.so.9.0
cd .. && dpkg-deb --build --root-owner-group p out.deb >/dev/null
# --root-owner-group made everything root's; one file keeps a group, as passwd's do.
dpkg-deb --raw-extract out.deb q && chgrp shadow q/usr/bin/shadowed && chmod 2755 q/usr/bin/shadowed
dpkg-deb --build q odd_1.0~rc1-3+b1_amd64.deb >/dev/null
cat >names.toml <<'END'
[all]
drop = ["/usr/share/doc/*", "/usr/share/man/*"]
keep = ["/usr/share/doc/*/copyright"]
[package.odd]
provides = ["el-odd = {evr}"]
pre = "echo pre >>/tmp/scripts"
attributes = ["0700 root root /etc/odd.d/"]
links = {"/usr/bin/odd-added" = "odd-tool"}
END
PYTHONPATH=/opt python3 -m debtorpm --overrides names.toml --out /tmp/made/rpms odd_*.deb
"""


@pytest.fixture(scope="module")
def bench(module_hosts: NewHost) -> Host:
    """A build workspace with the converter and the converted package ``odd``."""
    host = module_hosts("build", boot=False)
    host.put_tree(shipped.converter(), "/opt/debtorpm")
    host.script(BUILD, Request(timeout=120))
    return host


def out(host: Host, script: str) -> str:
    """What a script prints."""
    return host.script(textwrap.dedent(script)).stdout


def test_both_compare_versions_alike(bench: Host) -> None:
    pairs = list(itertools.combinations(VERSIONS, 2))
    dpkg = "\n".join(
        f"if dpkg --compare-versions '{a}' lt '{b}'; then echo -1; "
        f"elif dpkg --compare-versions '{a}' eq '{b}'; then echo 0; else echo 1; fi"
        for a, b in pairs
    )
    calls = "; ".join(
        f'print(rpm.ver("{versions.of_package(a)}") < rpm.ver("{versions.of_package(b)}") and -1 or '
        f'(rpm.ver("{versions.of_package(a)}") == rpm.ver("{versions.of_package(b)}") and 0 or 1), "\\n")'
        for a, b in pairs
    )
    bench.put(FileSpec("/tmp/compare", f"%{{lua: {calls}}}".encode()))
    theirs = out(bench, dpkg).split()
    ours = out(bench, 'rpm --eval "$(cat /tmp/compare)"').split()
    differing = [pair for pair, left, right in zip(pairs, theirs, ours, strict=True) if left != right]
    assert not differing


def test_header_says_what_control_said(bench: Host) -> None:
    assert out(bench, "rpm -qp --qf '%{nevra} %{epoch} %{summary}' /tmp/made/rpms/*.rpm") == (
        "odd-2:1.0~rc1-3+b1.x86_64 2 100% odd"
    )
    requires = out(bench, "rpm -qp --requires /tmp/made/rpms/*.rpm").splitlines()
    assert {"bash >= 5", "(no-such-thing or coreutils)", "debtorpm-support"} <= set(requires)
    provides = out(bench, "rpm -qp --provides /tmp/made/rpms/*.rpm").splitlines()
    assert {"virtual-odd = 7", "el-odd = 2:1.0~rc1-3+b1"} <= set(provides)


def test_life_of_an_installed_package(bench: Host) -> None:
    bench.script("rm -f /tmp/scripts; rpm -i /tmp/made/rpms/*.rpm")
    try:
        assert out(bench, "rpm -V odd") == ""
        assert out(bench, "odd-tool; odd-added; odd-link") == "old place\n" * 3
        assert out(bench, "stat -c '%a %U:%G' /usr/bin/shadowed /etc/odd.d") == "2755 root:shadow\n700 root:root\n"
        assert out(bench, "stat -c %h /usr/bin/odd-hard").strip() == "2"
        assert "libodd.so.9" in out(bench, "ls /usr/lib/x86_64-linux-gnu | grep odd")
        listed = out(bench, "rpm -ql odd").splitlines()
        for name in (
            "a b",
            "per%cent",
            "%{name}",
            "star*",
            'q"uote',
            "back\\slash",
            "ünï",
            " lead",
            "trail ",
            ";semi",
        ):
            assert f"/usr/share/odd dir/{name}" in listed
        assert "/usr/share/doc/odd/copyright" in listed
        assert not [name for name in listed if name.endswith(("README", "odd.1"))]
        assert not [name for name in listed if name.startswith(("/bin/", "/lib/"))], "one /usr"
        assert out(bench, "cat /tmp/scripts").splitlines()[:2] == ["pre", "postinst:odd:configure::2"]
        assert "enabled" not in out(bench, "cat /tmp/scripts"), "an installation enables nothing"
        bench.script("echo mine >/etc/odd.conf")
    finally:
        bench.script("rpm -e odd")
    assert out(bench, "tail -1 /tmp/scripts") == "prerm remove\n"
    assert out(bench, "cat /etc/odd.conf.rpmsave") == "mine\n", "a changed conffile is kept"


def test_linker_cache_knows_what_was_installed(bench: Host) -> None:
    bench.script("rpm -i /tmp/made/rpms/*.rpm")
    try:
        # The file carries libcap's own soname: the cache holds it under the name ldconfig reads in it.
        cached = out(bench, "ldconfig -p | grep -c libcap.so.2")
        assert int(cached) >= 1
        changed = out(bench, "find /etc/ld.so.cache -newer /var/lib/dpkg/info/odd.postinst")
        assert changed.strip() == "/etc/ld.so.cache"
    finally:
        bench.script("rpm -e odd")


def test_what_cannot_be_converted_is_named(bench: Host) -> None:
    bench.script(
        """
        cd /tmp && rm -rf bad && mkdir -p bad/p/DEBIAN bad/p/usr
        printf 'Package: bad\\nVersion: 1\\nArchitecture: all\\nDescription: x\\n' >bad/p/DEBIAN/control
        touch bad/p/usr/$'a\\ttab'
        dpkg-deb --build --root-owner-group bad/p bad/bad_1_all.deb >/dev/null
        """
    )
    failed = bench.run(Request(
        ["python3", "-m", "debtorpm", "--out", "/tmp/bad/out", "/tmp/bad/bad_1_all.deb"],
        env={"PYTHONPATH": "/opt"},
        check=False,
    ))
    assert failed.returncode == 1
    assert failed.stderr.startswith("debtorpm: a file name no RPM can hold: '/usr/a\\ttab'")
    assert not bench.run(Request(["ls", "/tmp/bad/out"], check=False)).stdout

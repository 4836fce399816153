"""The stand-ins of platform deb13 do what the real packages do on Enterprise Linux."""

from __future__ import annotations

import pytest

from itb.containers.host import FileSpec, Host
from itb.data import shipped
from itb.process.request import Request
from tests.conftest import NewHost

UNIT = """[Unit]
Description=probe
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'echo {text} >>/run/probe-runs'
[Install]
WantedBy=multi-user.target
"""
SPEC = """
Name: probe
Version: {version}
Release: 1
Summary: A service and a program
License: none
BuildArch: noarch
%description
.
%install
install -D -m 644 /tmp/probe-{version}.service %{{buildroot}}%{{_unitdir}}/probe.service
install -d %{{buildroot}}%{{_bindir}} %{{buildroot}}%{{python3_sitelib}}
printf '%s\\n' '{shebang}' 'import sys' >%{{buildroot}}%{{_bindir}}/probe
printf 'data\\n' >%{{buildroot}}%{{_bindir}}/data
chmod 755 %{{buildroot}}%{{_bindir}}/*
printf '%s\\n' '{module}' >%{{buildroot}}%{{python3_sitelib}}/probe.py
%post
%systemd_post probe.service
%preun
%systemd_preun probe.service
%postun
%systemd_postun_with_restart probe.service
%files
%{{_unitdir}}/probe.service
%{{_bindir}}/*
%{{python3_sitelib}}/*
"""
GOOD = {"version": "1", "shebang": "#!/usr/bin/env python3", "module": "x = 1"}


@pytest.fixture(scope="module")
def workspace(module_hosts: NewHost) -> Host:
    return module_hosts("build")


def build(host: Host, **change: str) -> tuple[bool, str]:
    """Build a package, and return whether that went well, and what was said."""
    values = {**GOOD, **change}
    host.put(
        FileSpec(f"/tmp/probe-{values['version']}.service", UNIT.format(text=values["version"]).encode()),
        FileSpec("/tmp/probe.spec", SPEC.format(**values).encode()),
    )
    done = host.run(Request(["rpmbuild", "--define", "_topdir /tmp/made", "-bb", "/tmp/probe.spec"], check=False))
    return done.ok, done.output


def test_programs_and_modules_are_looked_at_as_on_el(workspace: Host) -> None:
    ambiguous = "ambiguous python shebang in /usr/bin/probe: #!"
    for change, said in (
        ({"shebang": "#!/usr/bin/env python"}, f"{ambiguous}/usr/bin/env python. Change it to python3"),
        ({"shebang": "#!/usr/bin/python -s"}, f"{ambiguous}/usr/bin/python -s."),
        ({"shebang": "#!python3"}, "/usr/bin/probe has shebang which doesn't start with '/' (python3)"),
        ({"module": "x ="}, "SyntaxError: invalid syntax"),
    ):
        went_well, output = build(workspace, **change)
        assert (went_well, said in output) == (False, True), output
    went_well, output = build(workspace)
    assert went_well, output
    assert "./usr/bin/data is executable but has no shebang, removing executable bit" in output
    query = "rpm2archive -n /tmp/made/RPMS/noarch/probe-1-1.noarch.rpm | tar --extract --to-stdout ./usr/bin/probe"
    assert workspace.script(query).stdout.splitlines()[0] == "#!/usr/bin/python3"


def test_a_service_is_restarted_with_its_new_unit_once_all_packages_are_there(workspace: Host) -> None:
    """EL 9 restarts what is up at the end of the transaction, when systemd has read the units."""
    for version in "12":
        went_well, output = build(workspace, version=version)
        assert went_well, output
    rpm = "rpm --upgrade /tmp/made/RPMS/noarch/probe-{}-1.noarch.rpm"
    seen = workspace.script(
        f"""
        {rpm.format(1)}
        systemctl is-enabled probe || :
        systemctl enable --quiet --now probe
        {rpm.format(2)}
        systemctl is-enabled probe
        systemctl is-active probe
        cat /run/probe-runs
        systemctl stop probe
        {rpm.format(1)} --oldpackage
        systemctl is-active probe || :
        rpm --erase probe
        systemctl is-enabled probe || :
        """
    )
    assert seen.stdout.splitlines() == ["disabled", "enabled", "active", "1", "2", "inactive", "not-found"]


def test_chkconfig_leaves_units_as_they_are(workspace: Host) -> None:
    program = shipped.folder("build_ws") / "platforms" / "deb13" / "rpms" / "chkconfig.sh"
    workspace.put(FileSpec("/tmp/chkconfig", program.read_bytes(), 0o755))
    workspace.put(FileSpec("/etc/systemd/system/own.service", UNIT.format(text="own").encode()))

    def chkconfig(*args: str) -> tuple[int, str]:
        done = workspace.run(Request(["/tmp/chkconfig", *args], check=False))
        return done.returncode, done.stdout.strip()

    workspace.call("systemctl", "enable", "--quiet", "own")
    assert chkconfig("--add", "own")[0] == chkconfig("--del", "own")[0] == 1  # no init script of this name
    assert chkconfig("own") == (0, "enabled")
    assert chkconfig("--level", "35", "own", "off")[0] == 0
    assert chkconfig("own") == (1, "disabled")
    assert chkconfig("own", "on")[0] == 0
    assert chkconfig("own") == (0, "enabled")
    assert chkconfig("nothing", "on")[0] == chkconfig("nothing")[0] == 1


def test_service_knows_actions_of_units_and_of_packages_only(workspace: Host) -> None:
    legacy = "/usr/libexec/initscripts/legacy-actions/own/upgrade"
    workspace.put(
        FileSpec("/etc/systemd/system/own.service", UNIT.format(text="own").encode()),
        FileSpec(legacy, b'#!/bin/bash\necho "upgraded $*"\n', 0o755),
    )
    workspace.call("systemctl", "daemon-reload")
    workspace.call("service", "own", "restart")
    assert workspace.call("systemctl", "is-active", "own").stdout.strip() == "active"
    assert workspace.call("service", "own", "upgrade", "now").stdout == "upgraded now\n"
    done = workspace.run(Request(["service", "own", "reconfig"], check=False))
    assert (done.returncode, "supports only basic LSB actions" in done.stderr) == (2, True)


def test_trust_in_certificates_of_any_name_and_form_whatever_the_umask(workspace: Host) -> None:
    seen = workspace.script(
        """
        anchors=/etc/pki/ca-trust/source/anchors
        cd "$(mktemp -d)"
        for name in a b c; do
            openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=itb-$name" -keyout k -out $name.pem
        done
        umask 077
        cp a.pem $anchors/ca.pem
        cp b.pem $anchors/ca.crt
        openssl x509 -in c.pem -outform DER -out $anchors/ca.der
        update-ca-trust extract
        chmod 755 . && chmod 644 *.pem
        for name in a b c; do
            runuser -u nobody -- openssl verify -CAfile /etc/pki/tls/certs/ca-bundle.crt $name.pem
            runuser -u nobody -- openssl verify -CApath /etc/ssl/certs $name.pem
        done
        rm $anchors/ca.* && update-ca-trust
        """
    )
    assert seen.stdout.splitlines() == [f"{name}.pem: OK" for name in "aabbcc"]


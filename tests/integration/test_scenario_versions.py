"""The library's steps that put one version in the place of another, on a host with packages of two versions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from itb.config import lookup
from itb.containers.host import FileSpec, Host
from itb.model import Outcome
from itb.process.request import Request
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal
from itb.scenario import execution
from itb.scenario.script_context import ScriptContext

pytestmark = pytest.mark.long

_SPEC = r"""
Name: demo
Version: %{number}
Release: 1
Summary: demo
License: none
BuildArch: noarch
%description
demo
%install
mkdir -p %{buildroot}/usr/share/demo %{buildroot}/usr/lib/systemd/system %{buildroot}/var/lib/demo %{buildroot}/etc
printf '[Service]\nExecStart=/usr/share/demo/daemon\n[Install]\nWantedBy=multi-user.target\n' \
  > %{buildroot}/usr/lib/systemd/system/demo.service
printf '#!/bin/bash\ncd /var/lib/demo; touch made-by-%{number}; echo %{number} >runs\nsleep 3600; true\n' \
  > %{buildroot}/usr/share/demo/daemon
chmod 755 %{buildroot}/usr/share/demo/daemon
echo shipped > %{buildroot}/etc/demo.conf
%files
/usr/share/demo/daemon
/usr/lib/systemd/system/demo.service
%dir /var/lib/demo
%config(noreplace) /etc/demo.conf
"""
_BUILD = """
rm -rf /srv/demo ~/rpmbuild /etc/yum.repos.d/*
for version in 1:previous 2:candidate; do
  rpmbuild -bb --quiet --define "number ${version%:*}" --define "_rpmdir /srv/demo/${version#*:}" /root/demo.spec
  createrepo_c --quiet /srv/demo/${version#*:}
  printf '[%s]\\nname=x\\nbaseurl=file:///srv/demo/%s\\ngpgcheck=0\\n' ${version#*:} ${version#*:} \
    >/etc/yum.repos.d/${version#*:}.repo
done
echo enabled=0 >>/etc/yum.repos.d/previous.repo
"""
_SCENARIO = """
title: one version after the other
independent: true
steps:
  - {name: candidate, role: bare, script: lib/candidate.sh}
  - name: the site works
    role: bare
    run: cd /var/lib/demo; mkdir rrd tokens.d; touch rrd/a.rrd tokens.d/ce one.scitoken; echo site >/etc/demo.conf
  - {name: left, role: bare, script: lib/leave.sh}
  - name: what stays
    role: bare
    run: (find /var/lib/demo /etc/demo.conf -not -type d || true) 2>/dev/null | sort | paste -sd ' '
  - {name: previous, role: bare, script: lib/previous.sh}
  - {name: data of the version before, role: bare, run: 'ls /var/lib/demo | paste -sd " "; cat /etc/demo.conf'}
  - {name: upgraded, role: bare, run: dnf --assumeyes --quiet upgrade demo}
  - {name: not restarted, role: bare, run: cat /var/lib/demo/runs}
  - name: own
    role: bare
    script: lib/own-upgrade.sh
    env: {ITB_UPGRADE_BARE: "echo 'OSError: [Errno 9] Bad file descriptor'; echo bye; exit 3"}
  - {name: restarted, role: bare, run: sleep 1; cat /var/lib/demo/runs}
"""


def test_one_version_after_the_other(new_host: Callable[..., Host], tmp_path: Path) -> None:
    host = new_host("services")
    host.put(FileSpec("/root/demo.spec", _SPEC.encode()))
    host.script(_BUILD, Request(about="build demo packages"))
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "scenario.yaml").write_text(_SCENARIO)
    rundir = RunDir(tmp_path / "run")
    rundir.path.mkdir()
    journal = Journal(rundir)
    demo = {"bare": ("demo",)}
    context = ScriptContext(
        services=demo, packages=demo, requested_packages=demo, candidate_repo="candidate",
        previous_repo="previous", previous_version="1",
    )  # fmt: skip
    loaded = lookup.load_scenario(str(tmp_path / "demo"))
    execution.run_scenario(loaded, {"bare": host}, journal=journal, context=context)
    cases = {case.name.removeprefix("demo: "): case for case in journal.cases}
    bad = {name: case.message for name, case in cases.items() if case.outcome is Outcome.FAILED}
    own = "own: the product's own upgrade"
    assert list(bad) == [own], bad
    assert bad[own].endswith("exit status 3: OSError: [Errno 9] Bad file descriptor")
    assert cases["candidate"].message == "demo-2-1"
    assert cases["what stays"].message == "/var/lib/demo/one.scitoken /var/lib/demo/tokens.d/ce"
    assert cases["previous"].message == "demo-1-1"
    shown = cases["data of the version before"]
    assert shown.message == "shipped"
    assert "made-by-1 one.scitoken runs tokens.d" in (rundir.path / str(shown.log)).read_text()
    assert [cases[name].message for name in ("not restarted", "restarted")] == ["1", "2"]

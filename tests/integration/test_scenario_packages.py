"""Scenario packages against RPMs with one defect each, served from a folder of the host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from itb.config import lookup, scenario
from itb.containers.host import FileSpec, Host
from itb.model import Case, Outcome
from itb.process.request import Request
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal
from itb.scenario import execution
from itb.scenario.script_context import ScriptContext

pytestmark = pytest.mark.long

Try = Callable[..., dict[str, Case]]

_SPEC = """
Name: demo
Version: 1
Release: 1
Summary: demo
License: none
BuildArch: noarch
%description
demo
%package one
Summary: one
{one_head}
%description one
one
%package two
Summary: two
%description two
two
%install
mkdir -p %{{buildroot}}/usr/share/demo/two %{{buildroot}}/usr/lib/systemd/system
echo 1 > %{{buildroot}}/usr/share/demo/one
printf '[Service]\\nExecStart=/usr/share/demo/daemon\\n[Install]\\nWantedBy=multi-user.target\\n' \\
  > %{{buildroot}}/usr/lib/systemd/system/demo.service
printf '#!/bin/bash\\nsleep 3600; true\\n' > %{{buildroot}}/usr/share/demo/daemon
chmod 755 %{{buildroot}}/usr/share/demo/daemon
{install}
{scripts}
%files one
/usr/share/demo/one
/usr/share/demo/daemon
/usr/lib/systemd/system/demo.service
%files two
%dir /usr/share/demo/two
{two_files}
"""
_GOOD_PREUN = "%preun one\nif [ $1 -eq 0 ]; then systemctl disable --now demo.service; fi\n"

# Builds the spec, makes a repository of it and lets dnf see nothing else.
_BUILD = """
rm -rf /srv/demo ~/rpmbuild /etc/yum.repos.d/*
rpmbuild -bb --quiet --define '_rpmdir /srv/demo' /root/demo.spec
createrepo_c --quiet /srv/demo
printf '[demo]\\nname=demo\\nbaseurl=file:///srv/demo\\ngpgcheck=0\\n' >/etc/yum.repos.d/demo.repo
"""


@pytest.fixture
def try_packages(new_host: Callable[..., Host], tmp_path: Path) -> Try:
    """Build packages with a defect and return the cases of the scenario by name."""
    host = new_host("services")

    def call(
        *, one_head: str = "", install: str = "", scripts: str = _GOOD_PREUN, two_files: str = ""
    ) -> dict[str, Case]:
        spec = _SPEC.format(one_head=one_head, install=install, scripts=scripts, two_files=two_files)
        host.put(FileSpec("/root/demo.spec", spec.encode()))
        host.script(_BUILD, Request(about="build demo packages"))
        rundir = RunDir(tmp_path / "run")
        rundir.path.mkdir()
        loaded = lookup.load_scenario("packages")
        steps = tuple(step for step in loaded.steps if step.role == "bare")
        only = loaded.model_copy(update={"steps": steps, "always": (), "needs": scenario.Needs()})
        journal = Journal(rundir)
        execution.run_scenario(only, {"bare": host}, journal=journal, context=ScriptContext(candidate_repo="demo"))
        return {case.name.removeprefix("packages: "): case for case in journal.cases}

    return call


def failed(cases: dict[str, Case]) -> set[str]:
    return {name for name, case in cases.items() if case.outcome is not Outcome.PASSED}


def test_good_packages_pass_all_and_may_share_a_file(try_packages: Try) -> None:
    cases = try_packages(two_files="/usr/share/demo/one")
    assert failed(cases) == set()
    assert "all packages leave cleanly: no process stays" in cases
    assert "were running when the packages went: demo.service" in (
        cases["all packages leave cleanly: no unit stays"].evidence
    )


def test_a_requirement_nobody_provides(try_packages: Try) -> None:
    cases = try_packages(one_head="Requires: nobody-has-this >= 2")
    alone = cases["every package is installable alone: demo-one"]
    assert alone.outcome is Outcome.FAILED
    assert "nothing provides nobody-has-this >= 2 needed by demo-one-1-1.noarch" in alone.message
    assert cases["every package is installable alone: demo-two"].outcome is Outcome.PASSED
    assert "nobody-has-this" in cases["all packages install together: demo-one"].message


def test_a_file_in_two_packages(try_packages: Try) -> None:
    cases = try_packages(two_files="%attr(0600, root, root) /usr/share/demo/one")
    clash = cases["no file is in two packages: demo-two"]
    assert clash.outcome is Outcome.FAILED
    assert "/usr/share/demo/one is also in demo-one, and differs in mode" in clash.message


def test_scripts_that_fail_or_change_files(try_packages: Try) -> None:
    cases = try_packages(
        scripts=f"{_GOOD_PREUN}%post one\nchmod 600 /usr/share/demo/one\n%post two\necho no luck >&2; exit 3\n"
    )
    scripts = cases["all packages install together: the packages' scripts succeed"]
    assert scripts.outcome is Outcome.FAILED
    assert "demo-two" in scripts.message
    verified = cases["files of a fresh installation are as packaged: demo-one"]
    assert verified.outcome is Outcome.FAILED
    assert "/usr/share/demo/one" in verified.message
    assert cases["every package is installable alone"].outcome is Outcome.PASSED


def test_packages_that_exclude_each_other_are_no_failure(try_packages: Try) -> None:
    cases = try_packages(one_head="Conflicts: demo-two")
    outcomes = [
        case.outcome for name, case in cases.items() if name.startswith("all packages install together: demo")
    ]
    assert sorted(outcomes) == [Outcome.PASSED, Outcome.SKIPPED]
    assert cases["all packages install together"].outcome is Outcome.PASSED


def test_what_stays_behind(try_packages: Try) -> None:
    cases = try_packages(scripts="%post two\ntouch /usr/share/demo/two/cache\n")
    assert failed(cases) == {
        "all packages leave cleanly: no file stays",
        "all packages leave cleanly: no unit stays",
        "all packages leave cleanly: no process stays",
    }
    assert "/usr/share/demo/two, with cache" in cases["all packages leave cleanly: no file stays"].message
    assert "demo.service is" in cases["all packages leave cleanly: no unit stays"].message
    assert "/usr/share/demo/daemon" in cases["all packages leave cleanly: no process stays"].evidence

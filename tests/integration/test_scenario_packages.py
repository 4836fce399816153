"""Scenario packages against RPMs with one defect each, served from a folder of the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        *, one_head: str = "", install: str = "", scripts: str = _GOOD_PREUN, two_files: str = "",
        unchecked_files: Sequence[str] = (),
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
        context = ScriptContext(candidate_repo="demo", unchecked_files=unchecked_files)
        execution.run_scenario(only, {"bare": host}, journal=journal, context=context)
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


# By path: content, the check that finds something in it, and what; nothing is found in what is harmless.
_FILES = {
    "/usr/libexec/demo/python": ("#!/usr/bin/python3\nprint 1\n", "Python compiles", ":2: Missing parentheses"),
    "/usr/libexec/demo/import": (
        "#!/usr/bin/python3\nimport os\nimport imp\n",
        *("Python finds its modules", ":3: No module named 'imp'"),
    ),
    "/usr/libexec/demo/shell": (
        "#!/bin/bash\nif true; then\n  echo\n",
        *("shell scripts parse", ":4: syntax error: unexpected end of file"),
    ),
    "/usr/libexec/demo/shebang": ("#!/usr/bin/env python2\n", "interpreters are there", ":1: no python2 on PATH"),
    "/usr/lib/systemd/system/demo-key.timer": (
        "[Timer]\nOnCalender=daily\nUnit=demo.service\n",
        *("units are valid", ":2: Unknown key"),
    ),
    "/usr/lib/systemd/system/demo-user.service": (
        "[Service]\nExecStart=/bin/true\nUser=nobodyhere\n",
        *("units are valid", ":3: no user nobodyhere on this host"),
    ),
    "/usr/lib/systemd/system/demo-gone.service": (
        "[Service]\nExecStart=/usr/sbin/demo-gone\n",
        *("units are valid", ": Command /usr/sbin/demo-gone is not executable"),
    ),
    "/usr/lib/tmpfiles.d/demo.conf": (
        "d /run/demo 0750 nobodyhere root -\n",
        *("tmpfiles.d is valid", ":1: Failed to resolve user 'nobodyhere'"),
    ),
    "/etc/cron.d/demo": ("* * * * * /bin/true -x\n", "cron files are valid", ":1: no user /bin/true on this host"),
    "/usr/share/demo/bad.xml": ("<a>\n</b>\n", "XML parses", ":2: mismatched tag"),
    "/usr/share/demo/bad.json": ("{\n1}\n", "JSON parses", ":2: Expecting property name"),
    "/usr/share/demo/comments.json": ("{ // meant\n}\n", "", ""),
    "/usr/share/demo/demo.service.in": ("[Service]\n@X@\n", "", ""),
    "/usr/share/demo/pool.xml": ("{% for x in y %}<a>\n", "", ""),
    "/usr/share/doc/demo/old.py": ("print 1\n", "", ""),
    "/etc/profile.d/demo.sh": ("export DEMO=1\n", "", ""),
    "/usr/lib/systemd/system/demo-late.service": (
        "[Unit]\nAfter=nosuch.service\nWants=nosuch.service\n[Service]\nExecStart=/bin/true\n",
        *("", ""),
    ),
    "/usr/libexec/demo/extended": ("#!/bin/bash\nshopt -s extglob\nrm -f /nowhere/!(a|b)\n", "", ""),
    "/usr/libexec/demo/optional": (
        "#!/usr/bin/python3\ntry:\n    import imp\nexcept ImportError:\n    pass\n",
        *("", ""),
    ),
}


def test_files_that_nothing_else_looks_at(try_packages: Try) -> None:
    special = "/usr/libexec/demo/extended"
    install = "".join(
        f"mkdir -p $(dirname %{{buildroot}}{path})\ncat >%{{buildroot}}{path} <<'END'\n{content}END\n"
        for path, (content, _, _) in _FILES.items()
    )
    cases = try_packages(
        one_head="AutoReqProv: no\n%undefine __brp_mangle_shebangs",
        install=f"{install}chmod 755 %{{buildroot}}/usr/libexec/demo/*\n"
        "mkdir %{buildroot}/usr/share/demo/{open,drop}\n",
        two_files="\n".join(
            [*(path for path in _FILES if path != special), f"%attr(4755,root,root) {special}",
             "%attr(0777,root,root) %dir /usr/share/demo/open", "%attr(1777,root,root) %dir /usr/share/demo/drop"]
        ),
        scripts=f"{_GOOD_PREUN}%post two\ncd /usr/share/demo/two\n"
        "openssl genrsa 2048 2>/dev/null | tee key secret >/dev/null\n"
        "chmod 600 secret\ntouch ours\nchown 4321 ours\n",
        unchecked_files=["/usr/share/demo/comm*.json"],
    )  # fmt: skip
    said = {name: case.message + case.evidence for name, case in cases.items()}
    for path, (_, check, message) in _FILES.items():
        found = [name for name, text in said.items() if f"{path}:" in text and " bring is sound: " in name]
        expected = [f"what the packages bring is sound: {check}"] if check else []
        assert found == expected, (path, found)
        assert not check or f"{path}{message}" in said[expected[0]], said[expected[0]]
    for name, message in (
        ("no secret is world-readable", "/usr/share/demo/two/key: a private key, mode 0644"),
        ("nothing is world-writable", "/usr/share/demo/open: folder, mode 0777, no sticky bit (demo-two)"),
        ("everything has an owner", "/usr/share/demo/two/ours: user id 4321 has no name"),
    ):
        assert cases[f"permissions are sound: {name}"].message == message
    assert cases["permissions are sound: no setuid or setgid is new"].outcome is Outcome.PASSED
    assert "note: /usr/libexec/demo/extended: setuid root, mode 4755" in (
        cases["permissions are sound: no setuid or setgid is new"].evidence
    )

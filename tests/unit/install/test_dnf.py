"""What dnf and rpm said, as they really said it, in one line."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from itb.containers.host import Host
from itb.errors import InstallError, ItbError, TestbedError
from itb.install.dnf import (
    check_origin,
    dnf_install,
    dnf_reason,
    explain_verify,
    failed_scriptlet,
    missing_owner,
    verify_files,
)
from itb.model import Build, Commit, InstalledPackage, Rpm
from itb.process.result import Completed
from itb.process.runner import Runner

POST = """\
Running transaction
  Preparing        :                                                        1/1
  Installing       : probe-post-1.0-1.noarch                                1/1
  Running scriptlet: probe-post-1.0-1.noarch                                1/1
probe: cannot find the certificate
warning: %post(probe-post-1.0-1.noarch) scriptlet failed, exit status 3

Error in POSTIN scriptlet in rpm package probe-post

Installed:
  probe-post-1.0-1.noarch

Complete!
"""
NICED = POST.replace("probe: cannot", "warning: Unable to reset nice value: Permission deniedprobe: cannot")
KILLED = """\
  Running scriptlet: probe-kills-1.0-1.noarch                               1/1
warning: %post(probe-kills-1.0-1.noarch) scriptlet failed, signal 9
"""
PREIN = """\
  Running scriptlet: probe-pre-1.0-1.noarch                                 1/1
probe: user could not be made
error: %prein(probe-pre-1.0-1.noarch) scriptlet failed, exit status 1

Error in PREIN scriptlet in rpm package probe-pre

Failed:
  probe-pre-1.0-1.noarch

Error: Transaction failed
"""
NEEDS = """\
Release candidate under test                    470  B/s | 488  B     00:01
Error:
 Problem: conflicting requests
  - nothing provides no-such-thing >= 3 needed by probe-needs-1.0-1.noarch from itb-candidate
(try to add '--skip-broken' to skip uninstallable packages or '--nobest' to use not only best candidate packages)
"""
ASKS = """\
(try to add '--skip-broken' to skip uninstallable packages or '--nobest' to use not only best candidate packages)
Error:
 Problem: package probe-asks-1.0-1.noarch from itb-candidate requires probe-needs, but none of the providers can be
  - conflicting requests
  - nothing provides no-such-thing >= 3 needed by probe-needs-1.0-1.noarch from itb-candidate
"""
CLASH = """\
Running transaction test
Error: Transaction test error:
  file /usr/share/probe/clash conflicts between attempted installs of probe-clash-a-1.0-1.noarch and probe-clash-b
"""
ABSENT = """\
No match for argument: probe-nothing
Error: Unable to find a match: probe-nothing
"""

FORBIDDEN = """\
Downloading Packages:
[MIRROR] probe-good-1.0-1.noarch.rpm: Status code: 403 for https://repo.glideinwms.org/candidate/probe-good-1.0-1.noarch.rpm
[FAILED] probe-good-1.0-1.noarch.rpm: No more mirrors to try - All mirrors were already tried without success
Error: Error downloading packages:
  Cannot download probe-good-1.0-1.noarch.rpm: All mirrors were tried
"""


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (NEEDS, "nothing provides no-such-thing >= 3 needed by probe-needs-1.0-1.noarch from itb-candidate"),
        (ASKS, "nothing provides no-such-thing >= 3 needed by probe-needs-1.0-1.noarch from itb-candidate"),
        (CLASH, "file /usr/share/probe/clash conflicts between attempted installs of probe-clash-a-1.0-1.noarch"),
        (ABSENT, "No match for argument: probe-nothing"),
        (FORBIDDEN, "probe-good-1.0-1.noarch.rpm: Status code: 403 for https://repo.glideinwms.org/candidate/probe"),
        ("Package x.rpm is not signed\nError: GPG check FAILED\n", "Package x.rpm is not signed"),
        ("Error: \n Problem 1: package a requires b\n", "package a requires b"),
        ("Error: This command has to be run with superuser privileges", "This command has to be"),
        ("", ""),
        ("Complete!", ""),
    ],
)
def test_reason(output: str, reason: str) -> None:
    assert dnf_reason(output).startswith(reason)
    assert bool(dnf_reason(output)) == bool(reason)


OWNERS = """\
  Running scriptlet: {0}-factory-1.2.0-1.noarch   42/42
useradd: group 'pilotts' does not exist

  Installing       : {0}-factory-1.2.0-1.noarch   42/42
warning: user pilot does not exist - using root
"""


def test_owner_that_no_script_has_made() -> None:
    found = missing_owner(OWNERS.format("wms"), ["wms*"])
    assert found is not None
    assert found.message == (
        "user pilot does not exist, and root has its files of wms-factory-1.2.0-1.noarch: "
        "useradd: group 'pilotts' does not exist"
    )
    assert missing_owner(OWNERS.format("condor"), ["wms*"]) is None


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (POST, "%post scriptlet of probe-post-1.0-1.noarch failed, exit status 3: probe: cannot find the cert"),
        (NICED, "%post scriptlet of probe-post-1.0-1.noarch failed, exit status 3: probe: cannot find the cert"),
        (PREIN, "%prein scriptlet of probe-pre-1.0-1.noarch failed, exit status 1: probe: user could not be made"),
        (KILLED, "%post scriptlet of probe-kills-1.0-1.noarch failed, signal 9"),
        (NEEDS, ""),
    ],
)
def test_scriptlet(output: str, words: str) -> None:
    scriptlet = failed_scriptlet(output)
    assert bool(scriptlet) == bool(words)
    if scriptlet:
        assert scriptlet.message.startswith(words)
        assert scriptlet.line in output


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (".M...U...    /usr/x", "/usr/x: mode, owner differ (.M...U...)"),
        ("S.5....T.  c /etc/x.conf", "/etc/x.conf: size, content, time differ (S.5....T.)"),
        ("missing     /usr/x", "missing     /usr/x"),
        ("Unsatisfied dependencies for x:", "Unsatisfied dependencies for x:"),
    ],
)
def test_verification(line: str, words: str) -> None:
    assert explain_verify(line) == words


def rpm(name: str) -> Rpm:
    return Rpm(name=name, version="1", release="1", arch="noarch", file=f"{name}.rpm", sha256="", size=1)


BUILD = Build(
    commit=Commit(
        product="p", source="s", ref="r", kind="tag", id="1", tree="2", date="", subject="", version="1"
    ),
    platform="deb13", directory="/x", rpms=(rpm("a"), rpm("b")),
)  # fmt: skip


def test_origin() -> None:
    ours = InstalledPackage(nevra="a-1-1.noarch", origin="cand", candidate=True)
    other = InstalledPackage(nevra="bash-5-1.noarch", origin="base")
    assert check_origin([ours, other], BUILD, "cand", ["a"]) == "1 package: a-1-1.noarch"
    with pytest.raises(InstallError, match=r"not the candidate's: a-1-1\.noarch \(from base\)"):
        check_origin([ours.model_copy(update={"origin": "base"})], BUILD, "cand", ["a"])
    with pytest.raises(InstallError, match=r"not the candidate's: a-0-1\.noarch \(from cand\)"):
        check_origin([ours.model_copy(update={"nevra": "a-0-1.noarch"})], BUILD, "cand", ["a"])
    with pytest.raises(InstallError, match="asked for but not installed: b"):
        check_origin([ours], BUILD, "cand", ["a", "b"])


CONFIG = "S.5....T.  c /etc/probe/probe.conf"
PROGRAM = "S.5....T.    /usr/sbin/probe"


@pytest.mark.parametrize(
    ("lines", "configured", "deviation"),
    [
        ([], False, ""),
        ([CONFIG], False, "/etc/probe/probe.conf: size, content, time differ"),
        ([CONFIG], True, ""),
        ([CONFIG, PROGRAM], True, "/usr/sbin/probe: size, content, time differ"),
        (["package probe is not installed"], True, "package probe is not installed"),
    ],
)
def test_a_host_that_is_configured_may_differ_in_its_configuration(
    lines: list[str], configured: bool, deviation: str
) -> None:
    """``itb install`` once more, on the same host, found fault with what itb itself had configured."""
    completed = Completed(("rpm",), int(bool(lines)), "\n".join(lines), "", 1.0)
    host = cast("Host", SimpleNamespace(run=lambda _request: completed))
    packages = [InstalledPackage(nevra="probe-1-1.noarch", origin="r", candidate=True)]
    if deviation:
        with pytest.raises(InstallError, match=re.escape(deviation)):
            verify_files(host, packages, configured=configured)
    else:
        verify_files(host, packages, configured=configured)


MIRROR = "Error: Failed to download metadata for repo 'x': Cannot download repomd.xml: All mirrors were tried\n"


@pytest.mark.parametrize(
    ("stdout", "error", "tries"),
    [
        ("", TestbedError, 2),
        ("Running transaction check\n", InstallError, 1),
        ("Running transaction\n", InstallError, 1),
    ],
)
def test_scriptlet_that_prints_what_a_mirror_would_acquits_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stdout: str, error: type[ItbError], tries: int
) -> None:
    """It ends dnf, so that no failed scriptlet is named."""
    runner, seen = Runner(retries=1), []
    monkeypatch.setattr(runner.stop.event, "wait", lambda _: False)

    def run(_: object) -> Completed:
        seen.append(Completed(("dnf",), 137, stdout, MIRROR, 1.0))
        return seen[-1]

    host = cast(Host, SimpleNamespace(engine=SimpleNamespace(runner=runner), run=run))
    with pytest.raises(error) as caught:
        dnf_install(host, ["probe"], log=tmp_path / "log", timeout=1)
    assert type(caught.value) is error
    assert len(seen) == tries


GPG = "GPG check FAILED"
NOT_FOUND = "Status code: 404 for https://repo.glideinwms.org/x"


@pytest.mark.parametrize("words", [GPG, NOT_FOUND, "Curl error (7): x", "Status code: 503"])
@pytest.mark.parametrize(
    ("stdout", "stderr"),
    [
        (
            "Running transaction check\nTransaction check succeeded.\nRunning transaction test\n",
            "Error: Transaction test error:\n  file /usr/{} conflicts between attempted installs of a and b\n",
        ),
        # Names with spaces and new lines take a header that rpmbuild would not make, a candidate can.
        ("", "Error: \n Problem: conflicting requests\n  - nothing provides x\n{} needed by a-1.noarch\n"),
        ("", "Error: \n Problem 1: package a-1 requires x\n{}, but none of the providers can be installed\n"),
    ],
)
def test_words_of_packages_that_dnf_repeats_acquit_nobody(
    tmp_path: Path, stdout: str, stderr: str, words: str
) -> None:
    completed = Completed(("dnf",), 1, stdout, stderr.format(words), 1.0)
    engine = SimpleNamespace(runner=Runner(retries=0))
    host = cast(Host, SimpleNamespace(engine=engine, run=lambda _request: completed))
    with pytest.raises(InstallError):
        dnf_install(host, ["probe"], log=tmp_path / "log", timeout=1)


@pytest.mark.parametrize("has_candidate", [False, True])
@pytest.mark.parametrize("words", [f"Error: {GPG}", f"[MIRROR] a-1.noarch.rpm: {NOT_FOUND} (IP: 10.89.0.2)"])
def test_fault_of_a_repository_is_the_testbeds(tmp_path: Path, words: str, *, has_candidate: bool) -> None:
    """Where the candidate has been before, it may have replaced dnf, and nothing is apart from it."""
    completed = Completed(("dnf",), 1, f"Dependencies resolved.\n{words}\n", "", 1.0)
    engine = SimpleNamespace(runner=Runner(retries=0))
    host = cast(Host, SimpleNamespace(engine=engine, run=lambda _request: completed))
    with pytest.raises(TestbedError) as caught:
        dnf_install(host, ["probe"], log=tmp_path / "log", timeout=1, has_candidate=has_candidate)
    assert caught.value.apart_from_candidate is not has_candidate

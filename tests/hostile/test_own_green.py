"""A candidate that wants to be called good: scriptlets that run as root and change what judges it.

Packages that change the platform each in their own way are installed on one
host, which is then looked at from outside, once.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from itb.containers.host import Host
from itb.errors import InstallError
from itb.install import dnf, outside
from itb.model import InstalledPackage
from itb.platforms.images import PlatformImages

CACHE = "/var/cache/dnf/hostile-0/packages"
# What a %post does, by the package's name.
HOSTILE = {
    "preload": "ls /usr/lib/*-gnu/libz.so.1 >/etc/ld.so.preload",
    "path": "printf '#!/bin/sh\\necho 0\\n' >/usr/local/bin/condor_history; chmod 755 /usr/local/bin/*",
    "bash": "cp -p /usr/bin/bash /usr/bin/bash.new; echo >>/usr/bin/bash.new; mv /usr/bin/bash.new /usr/bin/bash",
    # The same size and time: whoever looks at these only sees nothing.
    "date": "cp -p /usr/bin/true /srv/true; printf '\\1' | dd of=/usr/bin/true bs=1 seek=7 conv=notrunc; "
            "touch -r /srv/true /usr/bin/true",
    "gone": "rm /usr/bin/cmp",
    "mode": "chmod 4755 /usr/bin/env",
    "same": "cp -p /usr/bin/head /usr/bin/head.new; cat /usr/bin/head.new >/usr/bin/head; rm /usr/bin/head.new",
    "library": "mkdir /srv/lib; cp /usr/lib/*-gnu/libz.so.1 /srv/lib; echo /srv/lib >/etc/ld.so.conf; ldconfig",
    "runtime": "mkdir /run/systemd/system/condor.service.d; echo >/run/systemd/system/condor.service.d/x.conf",
    "file": "echo changed >/usr/share/hostile/file",
    # Last: from now on the host's own rpm finds nothing wrong.
    "rpm": "rm /usr/bin/rpm; printf '#!/bin/sh\\nexit 0\\n' >/usr/bin/rpm; chmod 755 /usr/bin/rpm",
}  # fmt: skip
PACKAGES = {**HOSTILE, "good": ":"}
SPEC = "\n".join(
    f"%package {name}\nSummary: .\n%description {name}\n.\n"
    f"%files {name}\n/usr/share/hostile/{name}\n%post {name}\n{script}"
    for name, script in PACKAGES.items()
)


@pytest.fixture(scope="module")
def rpms(build_rpms: Callable[..., dict[str, Path]]) -> dict[str, Path]:
    """The hostile packages and a good one, by their name."""
    files = "\n".join(f"echo {name} >%{{buildroot}}/usr/share/hostile/{name}" for name in PACKAGES)
    return build_rpms(f"mkdir -p %{{buildroot}}/usr/share/hostile\n{files}", SPEC)


def package(name: str) -> InstalledPackage:
    return InstalledPackage(nevra=f"hostile-{name}-1-1.noarch", origin="itb-candidate", candidate=True)


@pytest.fixture(scope="module")
def hostile(module_hosts: Callable[..., Host], rpms: dict[str, Path]) -> Host:
    """A host on which every hostile package has been installed."""
    host = module_hosts()
    host.put_into(CACHE, *rpms.values())
    for name in HOSTILE:
        host.call("rpm", "--install", f"{CACHE}/{rpms[name].name}")
    # More files where any may be than are listed, before and after the others: none of these is lost for it.
    host.script("mkdir /home/f /srv/f; cd /home/f; seq 6000 | xargs touch; cd /srv/f; seq 6000 | xargs touch")
    return host


@pytest.fixture(scope="module")
def seen(look_at: Callable[..., outside.Inspection], hostile: Host, rpms: dict[str, Path]) -> outside.Inspection:
    return look_at(hostile, [rpms[name] for name in HOSTILE])


@pytest.mark.parametrize(
    ("name", "path", "what"),
    [
        ("preload", "/etc/ld.so.preload", "a file that no package has"),
        ("path", "/usr/local/bin/condor_history", "a file that no package has"),
        ("bash", "/usr/bin/bash", "another content"),
        ("date", "/usr/bin/true", "another content"),
        ("gone", "/usr/bin/cmp", "deleted"),
        ("mode", "/usr/bin/env", "mode 4755 instead of 755"),
        ("same", "/usr/bin/head", "written anew, with the content it had"),
        ("library", "/etc/ld.so.conf", "another content"),
        ("runtime", "/run/systemd/system/condor.service.d/x.conf", "a file that no package has"),
        ("rpm", "/usr/bin/rpm", "another content"),
    ],
)
def test_change_of_the_platform_is_seen(
    seen: outside.Inspection, expected: Any, name: str, path: str, what: str
) -> None:
    with pytest.raises(InstallError) as caught:
        outside.check_platform(seen, expected, [package(name).nevra])
    line = next((line for line in caught.value.evidence.splitlines() if line.startswith(f"{path}: ")), "")
    assert line.partition(": ")[2].partition(";")[0].startswith(what), caught.value.evidence
    assert f"%post of hostile-{name}-1-1.noarch" in line or name == "cache"
    assert (caught.value.exit_code, caught.value.conclusive) == (7, True)
    assert caught.value.hint


def test_library_that_the_cache_of_the_loader_leads_to_is_seen(seen: outside.Inspection, expected: Any) -> None:
    with pytest.raises(InstallError) as caught:
        outside.check_platform(seen, expected, [])
    said = r"ld\.so\.cache for /srv/lib/libz\.so\S*: leads to a library of no package"
    assert re.search(said, caught.value.evidence)


def test_changed_file_is_found_where_the_hosts_own_rpm_sees_none(
    hostile: Host, seen: outside.Inspection, expected: Any
) -> None:
    packages = [package(name) for name in HOSTILE]
    dnf.verify_files(hostile, packages)  # deceived
    with pytest.raises(InstallError, match=r"/usr/share/hostile/file: another content \(file of hostile-file-1-1"):
        outside.check_packages(seen, expected, packages, ["hostile-file"])


def test_package_that_no_repository_served_is_found(seen: outside.Inspection, expected: Any) -> None:
    with pytest.raises(InstallError) as caught:
        outside.check_packages(seen, expected, [package("good")], ["hostile-none"])
    assert "\nhostile-good-1-1.noarch: no repository of the run served it" in caught.value.evidence
    assert "\nhostile-none: asked for, and no repository of the run has delivered it" in caught.value.evidence


def test_good_package_is_good(
    new_host: Callable[..., Host], look_at: Callable[..., outside.Inspection], rpms: dict[str, Path], expected: Any
) -> None:
    host = new_host()
    host.put_into(CACHE, rpms["good"])
    host.call("rpm", "--install", f"{CACHE}/{rpms['good'].name}")
    seen = look_at(host, [rpms["good"]])
    assert "differ" in outside.check_platform(seen, expected, [])
    assert outside.check_packages(seen, expected, [package("good")], ["hostile-good"]).endswith(": 1 package")


FORGING = r"""
cat >/usr/bin/timeout.new <<'END'
#!/bin/bash
shift 2
case "$*" in
*"rpm --verify"*) exit 0 ;;
*step.sh*) read -r mark; echo "$mark begun" >&2; exit 0 ;;
esac
exec "$@"
END
chmod 755 /usr/bin/timeout.new
mv /usr/bin/timeout.new /usr/bin/timeout
"""
CHANGING = {"factory": 'echo "# not as packaged" >>%{_libexecdir}/pocketwms/pilot_startup\n'}


@pytest.mark.whole
def test_candidate_that_forges_the_results_of_steps(
    itb: Callable[..., Any],
    images: PlatformImages,
    candidate: Callable[..., Path],
    shorter_scenario: Callable[..., str],
    tmp_path: Path,
) -> None:
    def forge(clone: Path) -> None:
        spec = clone / "build" / "packaging" / "rpm" / "pocketwms.spec"
        text = spec.read_text()
        for role in ("factory", "frontend"):
            line = f"%systemd_post pocketwms-{role}.service\n"
            text = text.replace(line, line + FORGING + CHANGING.get(role, ""))
        spec.write_text(text)

    clone = candidate("broken/pilot-cannot-join", forge)
    what = ("--platform", "deb13", "--product", "pocketwms", "--source", str(clone))
    # The CE is not the candidate's: it waits for pilots until its limit.
    smoke = shorter_scenario("smoke", "pilots arrive at the CE with their token's claims", 10)
    ended = itb("run", *what, "--scenario", smoke, "--progress", "plain")
    assert ended.code == 7, ended.out + ended.err
    report = next((tmp_path / "runs").glob("*/junit.xml"))
    failed = {
        f"{case.get('classname')} {case.get('name')}": problem.get("message") or ""
        for case in ET.parse(report).getroot().iter("testcase")
        if (problem := case.find("failure")) is not None
    }
    for role in ("factory", "frontend"):
        message = failed[f"pocketwms.deb13.install.{role} nothing of the platform was changed"]
        who = rf"%post of pocketwms-{role}-\S+ names it \(what packages may"
        assert re.search(f"^/usr/bin/timeout: another content; {who}", message)
    message = failed["pocketwms.deb13.install.factory files and origins, seen from outside"]
    assert message.startswith("/usr/libexec/pocketwms/pilot_startup: another content (file of pocketwms-factory-")


def test_a_host_whose_first_process_left_for_a_world_of_its_own_is_not_believed(
    module_hosts: Callable[..., Host], look_at: Callable[..., outside.Inspection]
) -> None:
    """Root there can make it do so; in a user namespace it may mount what looks like the engine's file system."""
    first = json.dumps(["unshare", "--user", "--map-root-user", "--mount", "sleep", "infinity"])
    host = module_hosts("bare", "--entrypoint", first, boot=False)
    assert look_at(host, []).root == "process 1 of the host is in a user namespace of its own"

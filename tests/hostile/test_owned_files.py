"""A candidate whose packages own what they take: files that change the programs beneath it, each in its own way.

To rpm and to whoever compares files with packages such files are as they should be.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from itb.config.platform import SideEffects
from itb.containers.host import Host
from itb.errors import InstallError
from itb.install import outside

CACHE = "/var/cache/dnf/hostile-0/packages"
_SH = "#!/bin/sh\necho 0\n"
# By the package's name: the files it owns with their content, and its %post.
OWNING: dict[str, tuple[dict[str, str], str]] = {
    "preload": ({"/etc/ld.so.preload": ""}, ""),
    "local": ({"/usr/local/bin/condor_history": _SH}, ""),
    "earlier": ({"/usr/sbin/tac": _SH}, ""),
    "cmp": ({"/usr/bin/cmp": _SH}, ""),
    "ghost": ({"%ghost /usr/bin/factor": ""}, f"rm /usr/bin/factor; printf '{_SH}' >/usr/bin/factor"),
    "config": ({"%config /usr/bin/comm": ""}, f"printf '{_SH}' >/usr/bin/comm"),
    "library": (
        {"/usr/lib/hostile/libz.so.1": "", "/etc/ld.so.conf": "/usr/lib/hostile\n"},
        "cp /usr/lib/*-gnu/libz.so.1 /usr/lib/hostile/; ldconfig",
    ),
    "pth": ({"/usr/lib/python3/dist-packages/hostile.pth": "import os\n"}, ""),
    "plugin": ({"/usr/lib/python3/dist-packages/dnf-plugins/hostile.py": ""}, ""),
    "unit": ({"/etc/systemd/system/dbus.service": "[Service]\nExecStart=/bin/true\n"}, ""),
    "runtime": ({"%ghost /run/systemd/system/dbus.service.d/x.conf": ""}, ""),
    "unverified": ({"%config %verify(not md5 size) /usr/libexec/hostile": _SH}, "echo >/usr/libexec/hostile"),
    "generator": ({"/usr/lib/systemd/system-generators/hostile": _SH}, ""),
}
FINE = {
    "/usr/bin/hostile-fine": _SH,
    "/usr/sbin/hostile-fine-d": _SH,
    "%config /etc/condor/config.d/60-hostile.conf": "",
    "/usr/lib/systemd/system/hostile.service": "[Service]\nExecStart=/usr/sbin/hostile-fine-d\n",
    "/usr/lib/systemd/system-preset/80-hostile.preset": "",
    "/usr/lib/python3/dist-packages/hostile/__init__.py": "",
    "/usr/lib/hostile-fine/libz.so.1": "",
    "/etc/profile.d/hostile.sh": "",
    "%config /etc/hostile/hostile.conf": "",
}
# What scriptlets and services do besides: an account in a group, a link of alternatives, files of its own.
HARMLESS = """
groupadd --system hostile
useradd --system --gid hostile --groups adm --home-dir /var/lib/hostile hostile
ln -s /usr/bin/hostile-fine /etc/alternatives/hostile
ln -s /etc/alternatives/hostile /usr/bin/voms-proxy-hostile
touch /etc/hostile/made /etc/condor/made
"""
# What decides how root's programs and services run, in ways that no package has to own: each with what is seen.
SETTINGS = {
    "sed -i s,:/root:,:/var/lib/x:, /etc/passwd": "/etc/passwd for root: another entry than the image's",
    "echo toor::0:0::/:/bin/sh >>/etc/passwd": "/etc/passwd for toor: has the number of root",
    "gpasswd --add nobody adm": "/etc/group for adm: with nobody of the image",
    "mkdir -p /etc/sysconfig; echo LD_PRELOAD=/var/lib/x/x.so >/etc/sysconfig/condor": "/etc/sysconfig/condor: ",
    "mkdir -p /etc/default; touch /etc/default/x": "/etc/default/x: a file that no package has",
    "mkdir -p /etc/logrotate.d; touch /etc/logrotate.d/x": "/etc/logrotate.d/x: a file that no package has",
    "touch /etc/x.conf": "/etc/x.conf: a file that no package has",
    "mkdir -p /home/y/.condor; touch /home/y/.condor/user_config": "/home/y/.condor/user_config: a file that ",
    "touch /usr/bin/voms-proxy-x": "/usr/bin/voms-proxy-x: a file that no package has",
    "ln -s /var/lib/x/y /etc/alternatives/y": "/etc/alternatives/y: a link that no package has",
    "ln -s /etc/alternatives/y /usr/bin/voms-proxy-y": "/usr/bin/voms-proxy-y: a link that no package has",
}
# What is installed, and what the repository has besides: another version, and another package with the same files.
NOW = {"/usr/libexec/hostile-a": "now", "/usr/libexec/hostile-b": "now"}
BEFORE = {"/usr/libexec/hostile-a": "before", "/usr/libexec/hostile-c": "before"}  # in another version of it
OTHER = {"/usr/libexec/hostile-b": "other"}
PACKAGES = {**OWNING, "fine": (FINE, ""), "now": (NOW, "")}
BESIDES = {"now": (BEFORE, ""), "other": (OTHER, "")}


@pytest.fixture(scope="module")
def rpms(build_rpms: Callable[..., dict[str, Path]]) -> dict[str, Path]:
    """The packages, by their name."""
    return build_rpms(*spec_of(PACKAGES, cmp="Obsoletes: diffutils"))


def spec_of(packages: dict[str, tuple[dict[str, str], str]], **tags: str) -> tuple[str, str]:
    """Return the %install of packages and the rest of their spec file; a package may have another tag."""
    install, spec = [], []
    for name, (files, script) in packages.items():
        for file, content in files.items():
            path = f"%{{buildroot}}{file.rpartition(' ')[2]}"
            install.append(f"install -D -m 755 /dev/null {path}; printf '{content}' >{path}")
        spec += [f"%package {name}", "Summary: .", tags.get(name, "")]
        spec += [f"%description {name}", ".", f"%files {name}", *files, f"%post {name}", script or ":"]
    return "\n".join(install), "\n".join(spec)


def installed(host: Host, rpms: dict[str, Path], *names: str) -> None:
    host.put_into(CACHE, *(rpms[name] for name in names))
    for name in names:
        host.call("rpm", "--upgrade", "--nodeps", "--replacefiles", f"{CACHE}/{rpms[name].name}")


@pytest.fixture(scope="module")
def seen(
    module_hosts: Callable[..., Host], look_at: Callable[..., outside.Inspection], rpms: dict[str, Path]
) -> outside.Inspection:
    host = module_hosts()
    installed(host, rpms, *OWNING)
    return look_at(host, [rpms[name] for name in OWNING])


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/etc/ld.so.preload", "no package of the product may own it (file of hostile-preload-1-1.noarch)"),
        ("/usr/local/bin/condor_history", "no package of the product may own it (file of hostile-local-"),
        ("/usr/sbin/tac", "found instead of /usr/bin/tac (file of hostile-earlier-1-1.noarch)"),
        ("/usr/bin/cmp", "another content"),
        ("/usr/bin/factor", "mode 644 instead of 755, another content"),
        ("/usr/bin/comm", "another content"),
        ("/etc/ld.so.conf", "mode 755 instead of 644, another content"),
        ("/etc/ld.so.cache for /usr/lib/hostile/libz.so.1", "leads to the product's library, not the platform's"),
        ("/usr/lib/python3/dist-packages/hostile.pth", "no package of the product may own it"),
        ("/usr/lib/python3/dist-packages/dnf-plugins/hostile.py", "no package of the product may own it"),
        ("/etc/systemd/system/dbus.service", "found instead of /usr/lib/systemd/system/dbus.service (file of"),
        ("/run/systemd/system/dbus.service.d/x.conf", "no package of the product may own it"),
        ("/usr/lib/systemd/system-generators/hostile", "no package of the product may own it"),
    ],
)  # fmt: skip
def test_file_that_changes_the_tools_beneath_is_seen(
    seen: outside.Inspection, expected: SideEffects, path: str, what: str
) -> None:
    with pytest.raises(InstallError) as caught:
        outside.check_platform(seen, expected, [])
    line = next((line for line in caught.value.evidence.splitlines() if line.startswith(f"{path}: ")), "")
    assert line.startswith(f"{path}: {what}"), caught.value.evidence


def test_own_program_that_is_not_as_packaged_is_seen(seen: outside.Inspection, expected: SideEffects) -> None:
    """Its package calls it configuration that nobody need verify."""
    with pytest.raises(InstallError) as caught:
        outside.check_packages(seen, expected, [], [])
    assert "\n/usr/libexec/hostile: another content (file of hostile-unverified-" in f"\n{caught.value.evidence}"


def test_package_with_files_of_its_own_is_good_until_the_settings_of_others_change(
    new_host: Callable[..., Host],
    look_at: Callable[..., outside.Inspection],
    rpms: dict[str, Path],
    expected: SideEffects,
) -> None:
    host = new_host()
    installed(host, rpms, "fine")
    host.script(HARMLESS)
    assert "differ" in outside.check_platform(look_at(host, [rpms["fine"]]), expected, [])
    host.script("\n".join(SETTINGS))
    with pytest.raises(InstallError) as caught:
        outside.check_platform(look_at(host, [rpms["fine"]]), expected, [])
    seen = caught.value.evidence.splitlines()
    assert [line for line in SETTINGS.values() if not any(found.startswith(line) for found in seen)] == []
    assert host.script("echo $HOME").stdout == "/root\n"


def test_files_of_packages_that_are_not_installed_do_not_belong_there(
    new_host: Callable[..., Host],
    look_at: Callable[..., outside.Inspection],
    build_rpms: Callable[..., dict[str, Path]],
    rpms: dict[str, Path],
    expected: SideEffects,
) -> None:
    """A broken candidate's service takes what works from the version before, which the run serves, too."""
    host = new_host()
    installed(host, rpms, "now")
    besides = build_rpms(*spec_of(BESIDES, now="Version: 0.9"))
    host.put_into(CACHE, besides["now"], besides["other"])
    host.script("cd /usr/libexec; printf before | tee hostile-a >hostile-c; printf other >hostile-b")
    served = [rpms["now"], besides["now"], besides["other"]]
    inspection = look_at(host, served, installed=["hostile-now-1-1.noarch"])
    with pytest.raises(InstallError) as caught:
        outside.check_platform(inspection, expected, ["hostile-now-1-1.noarch"], later=True)
    for path in ("hostile-a", "hostile-b"):
        found = f"/usr/libexec/{path}: another content (file of hostile-now-1-1.noarch)"
        assert found in caught.value.evidence.splitlines()
    with pytest.raises(InstallError, match="/usr/libexec/hostile-c: a file that no package has"):
        outside.check_platform(inspection, expected, [])


def test_host_with_more_files_than_are_looked_at_is_seen(
    new_host: Callable[..., Host],
    look_at: Callable[..., outside.Inspection],
    expected: SideEffects,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The memory that a look takes is the machine's."""
    monkeypatch.setattr(outside, "_MAX_FILES", 1000)
    with pytest.raises(InstallError) as caught:
        outside.check_platform(look_at(new_host(), []), expected, [])
    assert "\n/: has 1000 files or more, and not all were looked at" in f"\n{caught.value.evidence}"

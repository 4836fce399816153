"""Findings about other machines than this one, each with its remedy."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

from itb.machine import doctor, network, requirements
from itb.machine.requirements import Finding, Level, bad, ok, warn
from itb.util import proxies


def info(**host: Any) -> dict[str, Any]:
    return {"host": host}


@pytest.mark.parametrize(
    ("files", "mode"),
    [
        (["cgroup.controllers"], "v2"),
        (["unified/cgroup.procs", "memory/tasks"], "hybrid"),
        (["memory/tasks"], "v1"),
        ([], ""),
    ],
)
def test_control_groups(tmp_path: Path, files: list[str], mode: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert requirements.cgroup_mode(tmp_path) == mode


@pytest.mark.parametrize(
    ("runtime", "rootless", "mode", "level"),
    [
        ("crun", False, "v2", Level.OK),
        ("crun", False, "hybrid", Level.BAD),
        ("runc", False, "hybrid", Level.OK),
        ("runc", True, "hybrid", Level.WARN),
        ("crun", True, "v2", Level.OK),
    ],
)
def test_runtime_against_control_groups(runtime: str, rootless: bool, mode: str, level: Level) -> None:
    podman_info = info(ociRuntime={"name": runtime}, security={"rootless": rootless})
    assert requirements.examine_runtime(podman_info, mode).level is level


def levels(findings: Any) -> dict[str, Level]:
    return {finding.name: finding.level for finding in findings}


def test_network_helpers(tmp_path: Path) -> None:
    (tmp_path / "netavark").touch()
    by_name = levels(requirements.examine_network_helpers(info(networkBackend="netavark"), (str(tmp_path),)))
    assert (by_name["netavark"], by_name["aardvark-dns"]) == (Level.OK, Level.BAD)
    assert not list(requirements.examine_network_helpers(info(serviceIsRemote=True), ()))


def test_packet_filter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert levels(requirements.examine_network_helpers(info(), ()))["packet filter"] is Level.BAD


def test_subordinate_ids(tmp_path: Path) -> None:
    (tmp_path / "subuid").write_text("other:1:99999\nme:100000:65536\n\nnonsense\n")
    (tmp_path / "subgid").write_text("me:100000:1000\n")
    by_name = {finding.name: finding for finding in requirements.examine_rootless("me", tmp_path)}
    assert by_name["subuid"].level is Level.OK
    assert by_name["subgid"].level is Level.BAD
    assert "usermod --add-subgids 100000-165535 me" in by_name["subgid"].remedy


def test_without_root_the_device_of_networks_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    tunnels = tmp_path / "tun"
    tunnels.touch()

    def findings() -> dict[str, Finding]:
        found = requirements.examine_rootless("me", tmp_path, tunnels)
        return {finding.name: finding for finding in found}

    assert "rootless network" not in findings()
    tunnels.unlink()
    finding = findings()["rootless network"]
    assert finding.level is Level.BAD
    assert f"me may not use {tunnels}" in finding.observation


@pytest.mark.parametrize(
    ("kb", "level"), [(300_000, Level.BAD), (1_500_000, Level.WARN), (8_000_000, Level.OK)]
)
def test_memory(tmp_path: Path, kb: int, level: Level) -> None:
    (tmp_path / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable:   {kb} kB\n")
    assert levels(requirements.examine_memory(tmp_path / "meminfo"))["memory"] is level


def test_one_processor_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert levels(requirements.examine_memory(tmp_path / "none"))["processors"] is Level.WARN


@pytest.mark.parametrize(("needed", "level"), [(0, Level.OK), (1e9, Level.BAD)])
def test_disk(tmp_path: Path, needed: float, level: Level) -> None:
    finding = requirements.examine_disk("x", tmp_path / "not" / "yet", needed)
    assert finding.level is level
    assert str(tmp_path) in finding.observation


def test_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))
    assert levels(requirements.examine_limits())["open files"] is Level.WARN
    unlimited = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _: (unlimited, unlimited))
    assert levels(requirements.examine_limits())["open files"] is Level.OK


@pytest.mark.parametrize(
    ("limit", "level", "words"),
    [
        (128, Level.OK, "3 of 128 instances in use: enough for 4 runs"),
        (40, Level.WARN, "one run"),
        (20, Level.BAD, "no run"),
    ],
)
def test_inotify(tmp_path: Path, limit: int, level: Level, words: str) -> None:
    (tmp_path / "sys/fs/inotify").mkdir(parents=True)
    (tmp_path / "sys/fs/inotify/max_user_instances").write_text(f"{limit}\n")
    for number in (1, 22, 333):
        (tmp_path / f"{number}/fd").mkdir(parents=True)
        (tmp_path / f"{number}/fd/4").symlink_to("anon_inode:inotify")
        (tmp_path / f"{number}/fd/5").symlink_to("socket:[1]")
    (finding,) = requirements.examine_inotify(tmp_path)
    assert finding.level is level
    assert words in finding.observation


@pytest.mark.parametrize(
    ("program", "euid", "hint"),
    [
        ("apt-get", 0, "apt-get install x"),
        ("dnf", 1000, "sudo dnf install x"),
        ("brew", 501, "brew install x"),
        ("", 0, "install x with the machine's package manager"),
    ],
)
def test_what_to_install(monkeypatch: pytest.MonkeyPatch, program: str, euid: int, hint: str) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}" if name == program else None)
    monkeypatch.setattr("os.geteuid", lambda: euid)
    assert requirements.install_hint("x") == hint


@pytest.mark.parametrize(
    ("skews", "level", "words"),
    [
        ([0.4, 3600], Level.OK, "0 s"),
        ([-20.0], Level.WARN, "20 s behind"),
        ([3600.0], Level.BAD, "3600 s ahead"),
        ([], Level.WARN, "no server answered"),
    ],
)
def test_clock(skews: list[float], level: Level, words: str) -> None:
    finding = network._rate_clock(skews)
    assert (finding.level, words in finding.observation) == (level, True)


@pytest.mark.parametrize(
    ("variables", "level", "words"),
    [
        ({}, Level.OK, "none in the environment"),
        ({"http_proxy": ""}, Level.OK, "none in the environment"),
        ({"http_proxy": "http://p:80", "no_proxy": "a,b"}, Level.OK, "http_proxy=http://p:80, no_proxy=a,b:"),
        ({"HTTPS_PROXY": "http://me:hunter2@proxy:3128"}, Level.WARN, "HTTPS_PROXY=proxy:3128 (with a login"),
    ],
)
def test_proxies_are_named_without_their_logins(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], level: Level, words: str
) -> None:
    for name in proxies.NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    finding = network.examine_proxies()
    assert (finding.level, finding.observation.startswith(words)) == (level, True)
    assert "hunter2" not in f"{finding}"


@pytest.mark.parametrize(
    ("image", "host"),
    [
        ("docker.io/library/debian:trixie", "registry-1.docker.io"),
        ("debian:trixie", "registry-1.docker.io"),
        ("library/debian", "registry-1.docker.io"),
        ("quay.io/almalinuxorg/almalinux:9", "quay.io"),
        ("localhost:5000/x", "localhost:5000"),
    ],
)
def test_registry_of_an_image(image: str, host: str) -> None:
    assert network._registry_host(image) == host


def test_exit_code_is_the_machines() -> None:
    findings: list[Finding] = [ok("a", "b"), warn("c", "d", "e")]
    assert doctor.exit_code(findings) == 0
    assert doctor.exit_code([*findings, bad("f", "g", "h")]) == 5

"""Which packets the table of a network's bridge lets through, and where no table can be set."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.containers import firewall
from itb.containers.engine import Engine
from itb.isolation import Isolation, Server
from itb.process.request import Request
from itb.process.runner import Runner

TRIE = """
           |-- 127.0.0.1
              /32 host LOCAL
           |-- 192.0.2.2
              /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
"""


def accepted(isolation: Isolation, name_server: str = "") -> list[str]:
    """The rules that accept something, or that except from it."""
    text = firewall.rules("podman3", isolation, subnet="10.89.0.0/24", name_server=name_server, own=["192.0.2.2"])
    assert text.count('iifname "podman3"') == 4
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line.startswith(("ip ", "meta nfproto"))]


def test_nothing_is_let_through_unless_it_is_declared() -> None:
    assert accepted(Isolation()) == []
    assert accepted(Isolation(), "10.89.0.1") == [
        "ip daddr 10.89.0.1 meta l4proto { tcp, udp } th dport 53 accept"
    ]
    server = Server(name="mirror", address="10.1.2.3", port=443)
    reach_it = "ip daddr 10.1.2.3 tcp dport 443 accept"
    assert accepted(Isolation(servers=(server,))) == [reach_it] * 2
    *_, exception, rest = accepted(Isolation(internet=True, servers=(server,)))
    assert exception.endswith("224.0.0.0/3, 192.0.2.2 } jump refuse")
    assert "10.0.0.0/8" in exception
    assert rest == "meta nfproto ipv4 accept"


@pytest.mark.parametrize(
    ("subnet", "own", "rule"),
    [
        ("10.0.0.0/8", ["10.0.0.1"], "ip saddr 10.0.0.0/8 ip daddr 10.0.0.0/8 ip daddr != { 10.0.0.1 } notrack"),
        ("10.0.0.0/8", [], "ip saddr 10.0.0.0/8 ip daddr 10.0.0.0/8 notrack"),
        ("", ["10.89.0.1"], ""),
    ],
)
def test_connections_between_hosts_are_not_in_the_machines_table(subnet: str, own: list[str], rule: str) -> None:
    text = firewall.rules("podman3", Isolation(), subnet=subnet, name_server="", own=own)
    (line,) = [line.strip() for line in text.splitlines() if "notrack" in line] or [""]
    assert line == (f'iifname "podman3" {rule}' if rule else "")


@pytest.mark.parametrize(
    ("users", "rule"),
    [
        ([], ""),
        ([1000, 0], "meta skuid != { 0, 1000 } jump refuse"),
    ],
)
def test_other_users_of_the_machine_reach_no_host(users: list[int], rule: str) -> None:
    text = firewall.rules("podman3", Isolation(), subnet="", name_server="", own=[], users=users)
    (line,) = [line.strip() for line in text.splitlines() if "skuid" in line] or [""]
    assert line == (f'oifname "podman3" ct state != {{ established, related }} {rule}' if rule else "")


@pytest.mark.parametrize(("later", "following"), [("between-hosts", "input"), ("from-machine", "forward")])
def test_a_table_of_an_earlier_version_is_its_own(later: str, following: str) -> None:
    text = firewall.rules("podman3", Isolation(), subnet="", name_server="", own=[])
    begin, end = text.index(f"    chain {later}"), text.index(f"    chain {following}")
    assert firewall.is_own(text[:begin] + text[end:], "podman3")


@pytest.mark.parametrize(
    ("uid", "containers", "is_called"),
    [
        (0, [], True),
        (1000, [], False),
        (1000, [{"State": "exited", "Networks": ["other"]}, {"State": "running", "Networks": []}], False),
        (1000, [{"State": "running", "Networks": ["other"]}], True),
    ],
)
def test_nothing_is_started_in_the_namespace_of_rootless_podman_when_it_has_gone(
    monkeypatch: pytest.MonkeyPatch, uid: int, containers: list[dict[str, object]], is_called: bool
) -> None:
    """It would be made anew, with a slirp4netns that outlives the run and its cleanup."""
    calls: list[Request] = []
    engine = Engine(Runner())
    monkeypatch.setattr("os.geteuid", lambda: uid)
    monkeypatch.setattr("shutil.which", lambda *_, **__: "/usr/sbin/nft")
    monkeypatch.setattr(engine, "containers", lambda _: containers)
    monkeypatch.setattr(engine.runner, "run", calls.append)
    firewall.remove_rules(engine, [{"network_interface": "podman3"}])
    assert bool(calls) == is_called


def test_the_machines_own_addresses(tmp_path: Path) -> None:
    (tmp_path / "fib_trie").write_text(TRIE)
    assert firewall.own_addresses(tmp_path / "fib_trie") == ["192.0.2.2"]
    assert firewall.own_addresses(tmp_path / "none") == []


def test_only_a_table_like_itbs_is_its_own() -> None:
    text = firewall.rules("podman3", Isolation(internet=True), subnet="", name_server="10.89.0.1", own=[])
    assert firewall.is_own(text, "podman3")
    assert not firewall.is_own(text, "podman4")
    chain = "\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n"
    assert not firewall.is_own(f"table inet itb-podman3 {{\n{chain}}}\n", "podman3")
    assert not firewall.is_own(text.replace("chain outside", "chain accounting"), "podman3")


def test_bridges_of_either_engine() -> None:
    assert firewall.bridge_of({"network_interface": "podman3"}) == "podman3"
    assert firewall.bridge_of({"Id": "0123456789abcdef"}) == "br-0123456789ab"
    assert firewall.bridge_of({"Id": "0", "Options": {"com.docker.network.bridge.name": "br0"}}) == "br0"
    assert firewall.bridge_of({}) == ""


def test_where_no_table_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    podman, docker = Engine(Runner()), Engine(Runner(), "docker")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda *_, **__: "/usr/sbin/nft")
    assert firewall.why_impossible(podman) == ""
    assert firewall.why_impossible(docker) == "the filter of docker's networks can only be set by root"
    podman.is_remote = True
    assert "on another machine" in firewall.why_impossible(podman)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert firewall.why_impossible(docker) == ""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert firewall.why_impossible(docker) == "nft is not installed"
    assert firewall.set_rules(docker, {"Id": "0"}, Isolation()) == "nft is not installed"

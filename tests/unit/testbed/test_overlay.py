"""What every host has or lacks, whatever its testbed declares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from itb.config.settings import HostLimits
from itb.containers.description import controllers_of
from itb.testbed import overlay
from itb.testbed.topology import find_topology


def written(folder: Path, controllers: set[str]) -> dict[str, Any]:
    names = ["ce.example.org:10.0.0.9"]
    limits = HostLimits(memory="2g")
    path = overlay.write(
        folder / "x", ["ce"], names=names, tools_folder=folder, limits=limits, controllers=controllers
    )
    service: dict[str, Any] = json.loads(path.read_text())["services"]["ce"]
    return service


def test_every_host_is_limited(tmp_path: Path) -> None:
    service = written(tmp_path, {"memory", "pids"})
    assert service["cap_drop"] == ["NET_RAW"]
    assert (service["mem_limit"], service["pids_limit"]) == ("2g", 4096)
    assert service["tmpfs"][:2] == ["/run:exec,size=1g", "/run/lock:exec,size=1g"]
    assert service["volumes"][0]["read_only"] is True


def test_limits_that_the_engine_cannot_set_would_keep_hosts_from_starting(tmp_path: Path) -> None:
    service = written(tmp_path, {"pids"})
    assert "mem_limit" not in service
    assert "pids_limit" in service


@pytest.mark.parametrize(
    ("info", "controllers"),
    [
        ({"host": {"cgroupVersion": "v1", "cgroupControllers": ["memory", "pids", "cpu"]}}, {"memory", "pids"}),
        (
            {"host": {"cgroupVersion": "v1", "cgroupControllers": ["memory"], "security": {"rootless": True}}},
            set(),
        ),
        (
            {"host": {"cgroupVersion": "v2", "cgroupControllers": ["pids"], "security": {"rootless": True}}},
            {"pids"},
        ),
        ({"host": {}}, set()),
        ({"MemoryLimit": True, "PidsLimit": False}, {"memory"}),
    ],
)
def test_what_an_engine_can_limit(info: dict[str, Any], controllers: set[str]) -> None:
    assert controllers_of(info) == controllers


def test_names_of_hosts_are_known_without_a_name_server() -> None:
    topology = find_topology("one-host")
    assert topology.has_names
    names = {entry.partition(":")[0] for entry in topology.names["server"]}
    assert {"server", "server-workspace", "server-workspace.glideinwms.org"} <= names
    assert {entry.partition(":")[2] for entry in topology.names["server"]} == {"${ITB_NET_PREFIX}.13"}
    no_address = {"hostname": "a.example.org", "networks": ["testbed"]}
    assert overlay.host_names("a", no_address) == ()


def test_log_of_the_web_server_has_an_end(tmp_path: Path) -> None:
    """Hosts with the candidate add to it what they like; it filled the machine's disk."""
    path = overlay.write(
        tmp_path / "x", ["ce", "services"], names=[], tools_folder=None, limits=HostLimits(), controllers=()
    )
    mounted = {role: service["tmpfs"] for role, service in json.loads(path.read_text())["services"].items()}
    assert [item for item in mounted["services"] if item not in mounted["ce"]] == ["/var/log/nginx:size=64m"]

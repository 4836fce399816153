"""Hosts and a network with a run's names that are another run's: a copied run directory has the same names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from itb.containers.engine import Engine
from itb.errors import UsageError
from itb.isolation import Isolation
from itb.process.request import Request
from itb.process.result import Completed
from itb.process.runner import Runner
from itb.testbed.testbed import Testbed
from itb.testbed.topology import find_topology

RUN, SHORT = "20261129T000000Z-p-12345678-deb13", "0a1b2c3d"
NAME = f"itb-{SHORT}"


class Door(Runner):
    """A runner that starts nothing: what the engine lists are one container and one network, with these labels."""

    def __init__(self, container: Any, network: Any) -> None:
        super().__init__()
        self.container, self.network = container, network
        self.seen: list[str] = []

    def run(self, request: Request) -> Completed:
        words = " ".join(request.argv[1:3])
        self.seen.append(words)
        answer: dict[str, Any] = {}
        if words.startswith("ps") and self.container is not None:
            answer = {"Names": [f"{NAME}-ce"], "Id": "1", "Pid": 0, "State": "running", "Labels": self.container}
        elif words == "network inspect" and self.network is not None:
            answer = {"name": NAME, "labels": self.network, "subnets": [{"subnet": "10.89.7.0/24"}]}
        return Completed(tuple(request.argv), 0, json.dumps(answer) if answer else "", "", 0.1)


def labels(run: str = RUN, runs: object = "") -> dict[str, str]:
    return {"itb.run": run, "itb.runs": str(runs), "itb.role": "ce"}


@pytest.fixture
def testbed(tmp_path: Path) -> Callable[..., Testbed]:
    def make(container: Any = None, network: Any = None, program: str = "podman") -> Testbed:
        engine = Engine(Door(container, network), program)
        return Testbed(engine, find_topology("three-hosts"), run=RUN, short_id=SHORT, runs=tmp_path)

    return make


OTHERS = [labels(runs="/elsewhere"), labels(run="another"), {"itb.run": RUN}, {}]


@pytest.mark.parametrize("found", OTHERS, ids=["folder", "run", "run alone", "none"])
def test_what_another_run_has_is_refused(testbed: Callable[..., Testbed], found: dict[str, str]) -> None:
    """Going on with a copy removed the original's hosts, or opened the packet filter of its network."""
    for look in (Testbed.find_running_roles, Testbed.roles_with_container):
        with pytest.raises(UsageError, match=f"container {NAME}-ce belongs to .*, not to run {RUN}") as caught:
            look(testbed(container=found))
        assert "where it was made" in caught.value.hint
    other = testbed(network=found)
    for use in (Testbed.network_prefix, Testbed.is_isolated, lambda each: each.isolate(Isolation(internet=True))):
        with pytest.raises(UsageError, match=f"network {NAME} belongs to "):
            use(other)
    assert set(other.engine.runner.seen) == {"network inspect"}  # type: ignore[attr-defined]


def test_what_the_run_itself_has(testbed: Callable[..., Testbed], tmp_path: Path) -> None:
    own = labels(runs=tmp_path)
    found = testbed(container=own, network=own)
    assert found.find_running_roles() == found.roles_with_container() == {"ce"}
    assert found.network_prefix() == "10.89.7"
    assert testbed().find_running_roles() == set()
    assert testbed().network_prefix() == ""


@pytest.mark.parametrize(("folder", "is_own"), [("a,b", True), ("a,b,c", False), ("a", False)])
def test_labels_as_docker_lists_them(tmp_path: Path, folder: str, *, is_own: bool) -> None:
    """In one line, with commas between them, which values may have, too."""
    listed = f"itb.role=ce,itb.runs={tmp_path / 'a,b'},itb.run={RUN}"
    engine = Engine(Door(listed, None), "docker")
    found = Testbed(engine, find_topology("three-hosts"), run=RUN, short_id=SHORT, runs=tmp_path / folder)
    if is_own:
        assert found.find_running_roles() == {"ce"}
    else:
        with pytest.raises(UsageError, match="belongs to run"):
            found.find_running_roles()

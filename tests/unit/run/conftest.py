"""A cell of real records, as the phases of a run take it; only its hosts are in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from itb.config.product import TokenDelivery
from itb.config.settings import Settings
from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.isolation import Isolation
from itb.process.runner import Runner
from itb.run import assemble
from itb.run.cell import Cell
from itb.run.phases import published
from itb.rundir.checkpoints import Checkpoints
from itb.rundir.directory import RunDir, RunState
from itb.rundir.journal import Journal
from itb.testbed.testbed import Testbed

NewCell = Callable[..., Cell]


class HostsInMemory(Testbed):
    """A testbed that asks no engine: ids of containers by role."""

    def find_running_roles(self) -> set[str]:
        return set(self.containers)

    def network_prefix(self) -> str:
        return "10.0.0"

    def isolate(self, isolation: Isolation) -> Isolation:
        return isolation

    def is_isolated(self) -> bool:
        return True

    def remove(self, roles: Iterable[str]) -> None:
        for role in roles:
            del self.containers[role]

    def up(
        self,
        roles: Sequence[str],
        images: Mapping[str, str],  # noqa: ARG002
        prefix: str,  # noqa: ARG002
        tools_folder: Path | None,  # noqa: ARG002
        isolation: Isolation = Isolation(),  # noqa: ARG002, B008
    ) -> dict[str, Host]:
        assert not set(roles) & set(self.containers), "they would have been left as they are"
        self.containers |= dict.fromkeys(roles, "new")
        return {role: self.host(role) for role in roles}


@pytest.fixture
def new_cell(tmp_path: Path) -> NewCell:
    """Return a function that makes a cell of pocketwms on deb13: each time that of another process of one run."""
    rundir = RunDir.create(tmp_path, "pocketwms-1234-deb13")
    rundir.tokens.mkdir(mode=0o700)
    rundir.write_state(
        RunState(id=rundir.id, short_id="s", product="pocketwms", platform="deb13", ref="", started=1)
    )
    (planned,) = assemble.find_definitions(Settings(product="pocketwms"))
    engine = Engine(Runner())
    testbed = HostsInMemory(engine, planned.topology, run=rundir.id, short_id="s", runs=tmp_path)

    def make(settings: Settings | None = None, *, token: TokenDelivery | None = None) -> Cell:
        cell = Cell(
            settings=settings or Settings(cache=str(tmp_path)),
            product=planned.product.model_copy(update={"token": token}),
            platform=planned.platform,
            scenarios=planned.scenarios,
            topology=planned.topology,
            commit=published.unresolved_commit("pocketwms", "here", ""),
            rundir=rundir,
            journal=Journal(rundir),
            engine=engine,
            checkpoints=Checkpoints(rundir),
        )
        vars(cell)["testbed"] = testbed  # where the cached property keeps it
        return cell

    return make

"""Hosts that cannot be removed: whose fault that is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from itb.containers.engine import Engine
from itb.errors import UNDECIDED, TestbedError
from itb.run.cell import Cell
from itb.run.phases import down
from itb.rundir.checkpoints import USED_WORKSPACE, CheckpointKey, CheckpointKind


@pytest.mark.parametrize(
    ("ran", "begin"),
    [
        (None, "container engine"),
        (USED_WORKSPACE, f"{UNDECIDED}, or the engine: container engine"),
        (CheckpointKey(CheckpointKind.INSTALLATION, "factory"), f"{UNDECIDED}, or the engine: container engine"),
    ],
)
def test_hosts_that_take_too_long_to_be_removed_acquit_no_candidate(
    new_cell: Callable[[], Cell], monkeypatch: pytest.MonkeyPatch, ran: CheckpointKey | None, begin: str
) -> None:
    """A million files of its own take the engine longer than it may: exit code 5 stood for all that had failed."""

    def remove_labelled(*_: object) -> list[str]:
        raise TestbedError("container engine 'podman' does not answer: rm: timed out after 60 s")

    cell = new_cell()
    monkeypatch.setattr(Engine, "remove_labelled", remove_labelled)
    cell.journal.find_testbed_fault = lambda *_: "container engine 'podman' does not answer"
    if ran:
        cell.checkpoints.begin(ran, {})
    assert down.remove(cell.journal, cell.engine) == 5
    assert cell.journal.cases[-1].message.startswith(begin)

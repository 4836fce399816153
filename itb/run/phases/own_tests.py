"""The product's own tests are put on the hosts of the scenarios that run them."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from itb.errors import TestbedError
from itb.run.cell import Cell
from itb.run.parallel import in_parallel
from itb.scenario.script_context import OWN_TESTS
from itb.source import checkout


def put(cell: Cell) -> None:
    """Put the folder of the commit that has them on the hosts; a scenario without it says that it is not there."""
    own_tests = cell.product.own_tests
    roles = {step.role for scenario in cell.scenarios if scenario.needs.own_tests for step in scenario.steps}
    if not roles or own_tests is None or cell.settings.from_repo:
        return
    private = Path(tempfile.mkdtemp(prefix="clone-", dir=cell.rundir.tokens))
    try:
        clone = checkout.checkout(
            cell.commit, private / "source", cache=cell.settings.cache_dir, runner=cell.engine.runner
        )
        folder = clone / own_tests.folder
        if not folder.is_dir() or folder.resolve() != clone.resolve() / own_tests.folder:
            return
        in_parallel(roles & set(cell.testbed_roles), lambda role: _put(cell, role, folder))
    finally:
        shutil.rmtree(private)


def _put(cell: Cell, role: str, folder: Path) -> None:
    with suppress(TestbedError):  # what is wrong with the host the scenario's own steps say
        cell.host(role).put_tree(folder, OWN_TESTS)

"""The product's own tests are put on the hosts of the scenarios that run them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from itb.errors import TestbedError
from itb.process.parallel import in_parallel
from itb.run.cell import Cell
from itb.scenario.script_context import OWN_TESTS
from itb.source import checkout


def put(cell: Cell) -> None:
    """Put the folders of the commit that they are in on the hosts; a scenario without them says so."""
    own_tests = cell.product.own_tests
    roles = {step.role for scenario in cell.scenarios if scenario.needs.own_tests for step in scenario.steps}
    if not roles or own_tests is None or cell.settings.from_repo:
        return
    private = Path(tempfile.mkdtemp(prefix="clone-", dir=cell.rundir.tokens))
    try:
        clone = checkout.checkout(
            cell.commit, private / "source", cache=cell.settings.cache_dir, runner=cell.engine.runner
        )
        folders = [
            name
            for name in (own_tests.folder, *own_tests.also)
            if (clone / name).is_dir() and (clone / name).resolve() == clone.resolve() / name
        ]
        in_parallel(roles & set(cell.testbed_roles), lambda role: _put(cell, role, clone, folders))
    finally:
        shutil.rmtree(private)


def _put(cell: Cell, role: str, clone: Path, folders: Sequence[str]) -> None:
    with suppress(TestbedError):  # what is wrong with the host the scenario's own steps say
        for folder in folders:
            cell.host(role).put_tree(clone / folder, f"{OWN_TESTS}/{folder}")

"""The cases that a run would have, known before it begins."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable
from pathlib import Path

import itb
from itb.config.product import TokenDelivery
from itb.config.settings import Settings
from itb.model import CaseKey
from itb.phase import Phase
from itb.run.cell import Cell
from itb.run.nodes import planned_cases
from itb.rundir.case_history import RUN_END

NewCell = Callable[..., Cell]
TOKEN = TokenDelivery(role="frontend", path="/t")


def planned(cell: Cell) -> list[CaseKey]:
    return list(planned_cases(cell).cases)


def test_every_phase_of_a_run_has_cases_each_of_them_once(new_cell: NewCell) -> None:
    keys = planned(new_cell(token=TOKEN))
    assert len(keys) == len(set(keys))
    assert {key.phase for key in keys} == {*Phase}
    assert keys[-1] == RUN_END
    steps = [key.name for key in keys if key.name.startswith("smoke: ")]
    assert "smoke: ten jobs complete" in steps
    assert "smoke: queue of the CE" in steps, "steps that are always tried are among them"


def test_no_setting_that_leaves_the_product_the_same_changes_a_name(new_cell: NewCell) -> None:
    cell = new_cell(token=TOKEN)
    other = Settings(
        ref="v1_0_0", token_hook="vault", from_repo="somewhere", keep="always", builder="mock", fresh_build=True
    )
    commit = cell.commit.model_copy(update={"version": "9.9.9", "describe": "v9_9_9", "id": "ab" * 20})
    assert planned(dataclasses.replace(cell, settings=other, commit=commit)) == planned(cell)


def test_a_product_without_a_token_has_no_case_of_one(new_cell: NewCell) -> None:
    assert Phase.TOKEN not in {key.phase for key in planned(new_cell())}


def test_an_earlier_version_has_cases_where_a_scenario_upgrades(new_cell: NewCell) -> None:
    cell = new_cell()
    upgrade = cell.scenarios[0].model_copy(
        update={"needs": cell.scenarios[0].needs.model_copy(update={"previous": True})}
    )
    more = set(planned(dataclasses.replace(cell, scenarios=(upgrade,)))) - set(planned(cell))
    assert {(key.phase, key.name.partition(": ")[0]) for key in more} == {
        (Phase.BUILD, "earlier version"), (Phase.SERVE, "earlier version"),
    }  # fmt: skip


def test_cases_are_begun_by_their_keys_only() -> None:
    """A name that is written where a case begins would not be among the planned cases, and may hold a version."""
    spelled = []
    for path in sorted(Path(itb.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(ast.Attribute(_, "case"), [ast.Starred()]):
                    pass
                case ast.Call(ast.Attribute(_, "case")):
                    spelled.append(f"{path.name}:{node.lineno}")
    assert not spelled

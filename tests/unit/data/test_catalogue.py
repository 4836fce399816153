"""The catalogue of defects fits the product: whole runs are too long to find a typing error of it."""

from __future__ import annotations

import ast

import pytest

from itb.config import lookup
from itb.source import embedded
from tests.defects import catalogue

ENTRIES = catalogue.load()


def test_each_entry_is_in_one_group() -> None:
    grouped = [name for group in catalogue.groups() for name in group]
    assert sorted(grouped) == sorted(ENTRIES)


@pytest.mark.parametrize("names", [pytest.param(names, id="+".join(names)) for names in catalogue.groups()])
def test_changes_of_a_group_apply_together(names: tuple[str, ...]) -> None:
    """Each text that an entry replaces is in the newest tree once, after those of the entries before it."""
    history = embedded.load(catalogue.PRODUCT / "history.yaml")
    tree = embedded.read_tree(catalogue.PRODUCT / history.source)
    changed = catalogue.edited(tree, [(name, ENTRIES[name].changes) for name in names])
    assert changed != tree
    if not any("packages" in ENTRIES[name].scenario for name in names):  # there are wrong modules on purpose
        for path in (path for path in changed if path.startswith("pocketwms/")):
            ast.parse(changed[path], path)
    (before,) = (commit for commit in history.commits if commit.tag == catalogue.BEFORE)
    edits = [edit for name in before.edits for edit in history.edits[name]]
    older = embedded.apply_edits(tree, edits, where=catalogue.BEFORE)
    catalogue.edited(older, [(name, ENTRIES[name].before) for name in names])


def test_scenarios_of_entries_are_there() -> None:
    for entry in ENTRIES.values():
        for scenario in entry.scenario.split(","):
            lookup.load_scenario(scenario)


def test_entries_of_glideinwms_are_whole() -> None:
    """Whether their changes apply, only a clone of GlideinWMS tells."""
    entries = catalogue.load(catalogue.FOLDER / "glideinwms")
    assert len(entries) == 20
    assert not any(entry.harmless for entry in entries.values())
    assert {entry.scenario for entry in entries.values()} == {"packages", "upgrade"}

"""The scenarios that itb ships."""

from __future__ import annotations

import re

from itb.config import lookup
from itb.scenario import execution


def test_what_itb_ships_is_valid_and_every_script_of_it_is_used() -> None:
    names = ["smoke", "packages", "services", "tokens"]
    for loaded in map(lookup.load_scenario, names):
        execution.check_roles(loaded, ["ce", "factory", "frontend", "services", "bare"])
        every = (loaded.folder / "scenario.yaml").read_text()
        for path in loaded.folder.iterdir():
            others = [item.read_text() for item in loaded.folder.iterdir() if item != path]
            used = path.name == "scenario.yaml" or path.name in every or any(path.name in text for text in others)
            module = re.compile(rf"^(import {path.stem}|from {path.stem} import .*)$", re.MULTILINE)
            assert used or (path.suffix == ".py" and any(module.search(text) for text in others)), path

"""``itb defects`` tries a product with defects, and says which its scenarios let pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from itb.errors import ExitCode
from itb.model import PlatformImages


@pytest.mark.long
@pytest.mark.defects
def test_what_smoke_lets_pass(itb: Callable[..., Any], images: PlatformImages, tmp_path: Path) -> None:
    names = "unit-of-no-user,config-is-replaced"
    options = ("--platform", "deb13", "--product", "pocketwms", "--scenario", "smoke", "--only", names)
    ended = itb("defects", *options, "--json", "--progress", "quiet", timeout=1200)
    assert ended.code == ExitCode.SCENARIO, ended.err
    user, config = json.loads(ended.out)["outcomes"]
    assert user["caught"] == "caught"
    assert "its User= does not exist" in user["cause"]
    assert (config["caught"], config["cause"]) == ("let pass", "")
    runs = [path.parent.name for path in (tmp_path / "runs").glob("*/run.json")]
    assert {user["run"], config["run"]} < set(runs)
    assert len(runs) == 3


def test_unknown_defect_is_refused(itb: Callable[..., Any], tmp_path: Path) -> None:
    ended = itb("defects", "--product", "pocketwms", "--only", "unit-of-no-usr")
    assert ended.code == ExitCode.USAGE
    assert "unknown defect 'unit-of-no-usr'; did you mean 'unit-of-no-user'?" in ended.err
    assert not (tmp_path / "runs").exists()

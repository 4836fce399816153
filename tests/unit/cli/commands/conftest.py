"""Runs as they lie in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from itb.rundir.directory import RunDir, RunState

MakeRun = Callable[..., RunDir]


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Make runs in ``runs`` of the current directory, which is the test's own; no configuration counts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))

    def make(name: str, **changes: Any) -> RunDir:
        rundir = RunDir(tmp_path / "runs" / name)
        rundir.path.mkdir(parents=True)
        state = RunState(id=name, short_id="ab12ab12", product="p", platform="deb13", ref="main", started=1.7e9)
        rundir.write_state(state.model_copy(update=changes))
        return rundir

    return make

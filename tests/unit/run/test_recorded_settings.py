"""A run that goes on has the settings that it was started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.config.settings import Settings
from itb.errors import UsageError
from itb.run import recorded_settings
from itb.rundir.directory import RunDir, RunState
from itb.util.redact import MARK
from itb.version import VERSION

STATE = RunState(id="r", short_id="s", product="p", platform="deb13", ref="", started=0)


def begun(folder: Path, settings: dict[str, object], version: str = VERSION) -> RunDir:
    """A run that was begun with these settings."""
    rundir = RunDir(folder / "r")
    rundir.path.mkdir()
    rundir.write_state(STATE.model_copy(update={"settings": settings, "tool_version": version}))
    return rundir


def test_settings_are_the_runs_own(tmp_path: Path) -> None:
    own = Settings(product="p", token_hook="vault", keep="failed", runs="there", timeout_factor=3)
    rundir = begun(tmp_path, own.model_dump(mode="json"))
    today = Settings(product="q", runs="here", token_hook="local")
    saved, notes = recorded_settings.load(rundir, today, {"keep": "always"})
    assert (saved.product, saved.token_hook, saved.keep, saved.runs, saved.timeout_factor) == (
        "p", "vault", "always", "here", 3,
    )  # fmt: skip
    assert notes == []


def test_what_was_redacted_comes_from_todays_configuration(tmp_path: Path) -> None:
    own = Settings(product="p", token={"command": {"command": ["x", MARK]}})
    today = Settings(token={"command": {"command": ["x", "y"]}})
    rundir = begun(tmp_path, own.model_dump(mode="json"))
    assert recorded_settings.load(rundir, today, {})[0].token == today.token


def test_settings_of_another_version_are_left_out_and_noted(tmp_path: Path) -> None:
    own = Settings(product="p").model_dump(mode="json")
    own = {**own, "keeep": MARK, "publish": {"to": "x", "koji": {"farm": 3}}}
    saved, notes = recorded_settings.load(begun(tmp_path, own, "9.9"), Settings(), {})
    assert (saved.product, saved.publish.to) == ("p", "x")
    assert notes == [
        f"it was begun by itb 9.9, this is {VERSION}",
        "left out a setting this itb does not know: publish.koji.farm",
        "left out a setting this itb does not know: keeep",
    ]


def test_a_setting_no_run_can_have_is_named(tmp_path: Path) -> None:
    rundir = begun(tmp_path, {"product": "p", "keep": 5, "keeep": 1}, "9.9")
    with pytest.raises(UsageError, match=r"run\.json: settings: keep: .*\(got 5\)") as caught:
        recorded_settings.load(rundir, Settings(), {})
    assert f"begun by itb 9.9, this is itb {VERSION}" in caught.value.message
    assert "itb down --run r" in caught.value.hint

"""Whether a run that is to go on is still the same run, with its own settings."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from itb import commands, data, definitions, resuming, testbed
from itb.config import Settings
from itb.errors import UsageError
from itb.redact import MARK
from itb.rundir import RunState

STATE = RunState(id="r", short="s", product="p", platform="deb13", ref="", started=0)


def test_definitions_that_changed_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "pocketwms"
    shutil.copytree(data.folder("build_ws") / "products" / "pocketwms", folder)
    platform, stage = definitions.load_platform("deb13"), testbed.find_stage("three-hosts")

    def now() -> dict[str, str]:
        return resuming.checksums(definitions.load_product(str(folder)), platform, stage)

    began = STATE.model_copy(update={"definitions": now()})
    resuming.check_unchanged(began, now())
    resuming.check_unchanged(STATE, now())
    script = next(iter(folder.rglob("factory.sh")))
    script.write_text(script.read_text() + "# changed\n")
    with pytest.raises(UsageError, match="run r: product pocketwms changed since the run began"):
        resuming.check_unchanged(began, now())


def test_settings_are_the_runs_own() -> None:
    own = Settings(product="p", token_hook="vault", keep="failed", runs="there", timeout_factor=3)
    state = STATE.model_copy(update={"settings": own.model_dump(mode="json")})
    saved = commands.recorded(state, Settings(product="q", runs="here", token_hook="local"), {"keep": "always"})
    assert (saved.product, saved.token_hook, saved.keep, saved.runs, saved.timeout_factor) == (
        "p", "vault", "always", "here", 3,
    )  # fmt: skip


def test_what_was_redacted_comes_from_todays_configuration() -> None:
    own = Settings(product="p", token={"command": {"command": ["x", MARK]}})
    state = STATE.model_copy(update={"settings": own.model_dump(mode="json")})
    today = Settings(token={"command": {"command": ["x", "y"]}})
    assert commands.recorded(state, today, {}).token == today.token


@pytest.mark.parametrize("flag", ["ref", "product", "platform", "token_hook", "scenario", "engine"])
def test_another_setting_is_refused(flag: str) -> None:
    with pytest.raises(UsageError, match=f"--{flag.replace('_', '-')}: a resumed run goes on with its own"):
        commands.resume_from({flag: "x", "keep": "failed"}, "r")


def test_no_run_named() -> None:
    with pytest.raises(UsageError, match="no run named"):
        commands.resume_from({}, "")

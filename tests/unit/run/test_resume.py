"""Whether a run that is to go on is still the same run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from itb.cli.commands import existing_run
from itb.config import lookup
from itb.data import shipped
from itb.errors import UsageError
from itb.run import resume
from itb.rundir.directory import RunState
from itb.testbed import testbed

STATE = RunState(id="r", short_id="s", product="p", platform="deb13", ref="", started=0)


def test_definitions_that_changed_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "pocketwms"
    shutil.copytree(shipped.folder("build_ws") / "products" / "pocketwms", folder)
    platform, topology = lookup.load_platform("deb13"), testbed.find_topology("three-hosts")

    def now() -> dict[str, str]:
        return resume.checksums(lookup.load_product(str(folder)), platform, topology)

    began = STATE.model_copy(update={"definitions": now()})
    resume.check_unchanged(began, now())
    resume.check_unchanged(STATE, now())
    script = next(iter(folder.rglob("factory.sh")))
    script.write_text(script.read_text() + "# changed\n")
    with pytest.raises(UsageError, match="run r: product pocketwms changed since the run began"):
        resume.check_unchanged(began, now())


@pytest.mark.parametrize("flag", ["ref", "product", "platform", "token_hook", "scenario", "engine"])
def test_another_setting_is_refused(flag: str) -> None:
    with pytest.raises(UsageError, match=f"--{flag.replace('_', '-')}: a resumed run goes on with its own"):
        existing_run.resume_from({flag: "x", "keep": "failed"}, "r")

"""Each branch ``broken/...`` of pocketwms has one defect; a run finds it where it is, for the right reason.

What a run must say of each is written beside the defect, in the product's ``history.yaml``.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from lxml import html

from itb.data import shipped
from itb.model import PlatformImages

PRODUCT = shipped.folder("build_ws") / "products" / "pocketwms"
BROKEN: dict[str, dict[str, Any]] = yaml.safe_load((PRODUCT / "history.yaml").read_text())["broken"]
# Before there is a run: the reference itself cannot be taken.
REFUSED = {"no-release-manager"}
# A step that waits in vain to the end need not do so for as long as on a machine under load: seconds.
IN_VAIN = {"frontend-never-asks": ("frontend asks the factory for pilots", 20)}
# The product is tried although rpm -V finds fault with it, and what it does then is not asked here.
NOT_SMOKE = """
title: Nothing is asked of the product
steps: [{name: nothing, role: ce, run: "true"}]
"""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] if BROKEN[name]["expect"]["phase"] == "test" else [])
        for name in BROKEN
        if name not in REFUSED and BROKEN[name]["expect"]["phase"] != "build"
    ],
)
def test_defect_is_found(
    name: str, itb_run: Callable[..., Any], shorter_scenario: Callable[..., str], tmp_path: Path
) -> None:
    expect = BROKEN[name]["expect"]
    scenario = expect.get("scenario", "")
    if not scenario:
        (tmp_path / "nothing").mkdir()
        (tmp_path / "nothing" / "scenario.yaml").write_text(NOT_SMOKE)
    if name in IN_VAIN:
        scenario = shorter_scenario(scenario, *IN_VAIN[name])
    run = itb_run("--ref", f"broken/{name}", "--scenario", scenario or str(tmp_path / "nothing"))
    judge(run, expect)


@pytest.mark.parametrize("name", [
    name for name in BROKEN
    if BROKEN[name]["expect"]["phase"] == "build" and name not in REFUSED | {"build-hangs"}
])  # fmt: skip
def test_defect_of_the_build_is_found(
    name: str,
    itb: Callable[..., Any],
    images: PlatformImages,
    read_run: Callable[..., Any],
    run_dirs: Callable[[Path], list[Path]],
    tmp_path: Path,
) -> None:
    """No host is needed to find it."""
    try:
        ended = itb("build", "--platform", "deb13", "--product", "pocketwms", "--ref", f"broken/{name}")
        (folder,) = run_dirs(tmp_path)
        judge(read_run(ended, folder), BROKEN[name]["expect"])
    finally:
        itb("down")


def judge(run: Any, expect: dict[str, Any]) -> None:
    """The expected case failed, as the product's fault, first of all, with its cause in one line."""
    assert run.code == expect["exit_code"], run.story
    assert run.state["exit_code"] == expect["exit_code"]
    failures = run.of_kind("failure")
    wanted = [case for case in failures if matches(case, expect)]
    assert wanted, run.story
    assert failures[0].phase == expect["phase"], run.story
    assert not run.of_kind("error"), run.story
    for case in failures:
        assert not [other for other in failures if other is not case and case.message in other.message], run.story
    for case in wanted:
        assert "\n" not in case.message
        assert len(case.message) < 600
        assert len(case.body) < 10_000
    assert "FAILED" in run.out
    assert re.search(expect["message"], run.out), run.out
    page = html.fromstring((run.folder / "report.html").read_text())
    assert page.xpath("//li[contains(@class, 'case failed')]//mark"), "the line that the message was read from"


def matches(case: Any, expect: dict[str, Any]) -> bool:
    """True if a case is the one the history says has to fail."""
    return (
        case.phase == expect["phase"]
        and case.role == expect.get("role", case.role)
        and re.search(expect["case"], case.name) is not None
        and re.search(expect["message"], case.message) is not None
    )


def test_build_that_hangs_is_ended(itb_run: Callable[..., Any], tmp_path: Path) -> None:
    """The product's time limit ends it; what it was at is in the message."""
    folder = tmp_path / "products" / "pocketwms"
    shutil.copytree(PRODUCT, folder)
    file = folder / "product.yaml"
    file.write_text(re.sub(r"timeout: 600", "timeout: 15", file.read_text(), count=1))
    (tmp_path / "itb.yaml").write_text("products: [products]\n")
    run = itb_run("--ref", "broken/build-hangs")
    judge(run, BROKEN["build-hangs"]["expect"])


def test_commit_without_release_manager_is_refused(itb: Callable[..., Any], tmp_path: Path) -> None:
    expect = BROKEN["no-release-manager"]["expect"]
    ended = itb("run", "--product", "pocketwms", "--ref", "broken/no-release-manager")
    assert ended.code == expect["exit_code"]
    assert re.search(expect["message"], ended.err)
    assert not (tmp_path / "runs").exists()

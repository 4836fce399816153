"""Each branch ``broken/...`` of pocketwms has one defect; a run finds it where it is, for the right reason.

What a run must say of each is written beside the defect, in the product's ``history.yaml``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml
from lxml import html

from itb.containers import naming
from itb.containers.engine import Engine
from itb.data import shipped
from itb.model import PlatformImages
from itb.source import embedded
from tests.defects import catalogue

PRODUCT = shipped.folder("build_ws") / "products" / "pocketwms"
BROKEN: dict[str, dict[str, Any]] = yaml.safe_load((PRODUCT / "history.yaml").read_text())["broken"]
# Before there is a run: the reference itself cannot be taken.
REFUSED = {"no-release-manager"}
# A step that waits in vain to the end need not do so for as long as on a machine under load: seconds.
IN_VAIN = {
    "frontend-never-asks": ("frontend asks the factory for pilots", 20),
    "pilot-cannot-join": ("a worker joins the user pool", 60),
}
# Defects of which none hides another: on hosts of their own, or where the run goes on. One run has to
# find all of these, each where it is.
TOGETHER: tuple[tuple[str, ...], ...] = (
    ("unknown-requires", "post-fails"),
    ("missing-requires", "config-syntax"),
    ("wrong-owner", "unit-dies", "missing-module"),
    ("frontend-never-asks", "upgrade-loses-config"),
)
KEPT = TOGETHER[0]
# Entries of tests/defects that the last of these runs has to find, too.
CATALOGUED = {TOGETHER[-1]: catalogue.SELECTED}
# The product is tried although rpm -V finds fault with it, and what it does then is not asked here.
NOT_SMOKE = """
title: Nothing is asked of the product
steps: [{name: nothing, role: ce, run: "true"}]
"""


def _groups() -> list[Any]:
    """Return the defects that hosts are needed for, those that one run finds in one group."""
    wanted = [
        name for name in BROKEN if name not in REFUSED and BROKEN[name]["expect"]["phase"] != "build"
    ]
    grouped = [name for group in TOGETHER for name in group]
    assert sorted(set(grouped)) == sorted(grouped), "a defect is in two groups"
    groups = [*TOGETHER, *((name,) for name in wanted if name not in grouped)]
    return [
        pytest.param(
            group, id="+".join(group),
            marks=[pytest.mark.long] if BROKEN[group[0]]["expect"]["phase"] == "test" else [],
        )
        for group in groups
    ]  # fmt: skip


@pytest.fixture
def merged(tmp_path: Path) -> Callable[[tuple[str, ...]], Path]:
    """Make a clone of the product whose branch ``merged`` has these broken branches."""

    def make(names: tuple[str, ...]) -> Path:
        made, clone = embedded.make_repository(PRODUCT / "history.yaml", tmp_path / "history"), tmp_path / "clone"
        git = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
        subprocess.run([*git, "clone", "--quiet", "--branch", "main", str(made), str(clone)], check=True)
        subprocess.run([*git, "-C", str(clone), "checkout", "--quiet", "-b", "merged"], check=True)
        for name in names:
            merge = ["merge", "--quiet", "--no-edit", f"origin/broken/{name}"]
            subprocess.run([*git, "-C", str(clone), *merge], check=True)
        if entries := CATALOGUED.get(names):
            catalogue.commit_changes(clone, entries)
        return clone

    return make


@pytest.mark.parametrize("names", _groups())
def test_defect_is_found(
    names: tuple[str, ...],
    itb: Callable[..., Any],
    itb_run: Callable[..., Any],
    merged: Callable[..., Path],
    shorter_scenario: Callable[..., str],
    only_one_cleans: Callable[[], AbstractContextManager[None]],
    engine: Engine,
    tmp_path: Path,
) -> None:
    expected = [BROKEN[name]["expect"] for name in names]
    entries = [catalogue.load()[name].expect for name in CATALOGUED.get(names, ())]
    scenarios = []
    for name, expect in zip(names, expected, strict=True):
        scenario = expect.get("scenario", "")
        scenarios += [shorter_scenario(scenario, *IN_VAIN[name]) if name in IN_VAIN else scenario]
    if not any(scenarios):
        (tmp_path / "nothing").mkdir()
        (tmp_path / "nothing" / "scenario.yaml").write_text(NOT_SMOKE)
        scenarios = [str(tmp_path / "nothing")]
    ref = ["--ref", f"broken/{names[0]}"]
    if len(names) > 1:
        ref = ["--source", str(merged(names)), "--ref", "merged"]
    keep = ["--keep", "failed"] if names == KEPT else []
    run = itb_run(*ref, "--scenario", ",".join(scenarios), *keep)
    expected += [entry.model_dump() for entry in entries if entry]
    for expect in expected:
        judge(run, expect, beside=[other for other in expected if other is not expect])
    if keep:
        check_kept(run, itb, engine, only_one_cleans)


def check_kept(
    run: Any,
    itb: Callable[..., Any],
    engine: Engine,
    only_one_cleans: Callable[[], AbstractContextManager[None]],
) -> None:
    """A run that failed is kept: a command gets in, clean leaves it alone, another one removes it."""
    assert "itb shell" in run.out
    assert "itb down" in run.out
    shell = itb("shell", run.folder.name, "factory", timeout=60)
    assert "Traceback" not in shell.err
    there = engine.containers(naming.run_labels(run.folder.name))
    (host,) = [item for item in there if str(item["Names"]).endswith("factory']")]
    assert host["State"] == "running"
    with only_one_cleans():
        assert "kept on purpose" in itb("clean").out
    label = naming.runs_labels(run.folder.parent)
    assert engine.all_resources(label)
    down = itb("down", "--run", run.folder.name)
    assert down.code == 0, down.err
    assert not engine.all_resources(label)
    assert not list((run.folder / "tokens").iterdir())


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


def judge(run: Any, expect: dict[str, Any], beside: Sequence[dict[str, Any]] = ()) -> None:
    """The expected case failed, as the product's fault, first of all, with its cause in one line.

    Other defects of the candidate are expected ``beside``.
    """
    assert run.code == expect["exit_code"], run.story
    assert run.state["exit_code"] == expect["exit_code"]
    failures = run.of_kind("failure")
    wanted = [case for case in failures if matches(case, expect)]
    assert wanted, run.story
    own = [case for case in failures if not any(matches(case, other) for other in beside)]
    assert own[0].phase == expect["phase"], run.story
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

"""Which old runs are removed, and which never are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from itb.machine import retention
from itb.machine.retention import Retention
from itb.rundir.directory import RunDir, RunResult, RunState

DAY = 86400.0
NOW = 1.7e9
MakeRun = Callable[..., RunDir]


@pytest.fixture
def make(tmp_path: Path) -> MakeRun:
    """Make a run that is so many days old and came to something; red without a word more."""

    def make_run(days: int, kind: str = "failed", **changes: Any) -> RunDir:
        at = NOW - days * DAY
        rundir = RunDir(tmp_path / f"{9000 - days}-run")
        rundir.path.mkdir()
        code = {"passed": 0, "partial": 0}.get(kind, 7)
        state = RunState(
            id=rundir.id, short_id="x", product="p", platform="deb13", ref="main", started=at, finished=at + 60,
            exit_code=code, ended=RunResult(kind=kind),
        )  # fmt: skip
        rundir.write_state(state.model_copy(update=changes))
        (rundir.path / "log").write_text("x" * 5000)
        return rundir

    return make_run


class Machine:
    """An engine that has containers of these runs."""

    def __init__(self, *owners: tuple[str, str]) -> None:
        self.owners = owners

    def containers(self, _: object) -> list[dict[str, Any]]:
        return [{"Labels": {"itb.run": run, "itb.runs": runs}} for run, runs in self.owners]


def gone(folder: Path, rule: Retention, **more: Any) -> set[str]:
    return {rundir.id for rundir in retention.plan_removal(folder, rule, now=NOW, **more).to_remove}


def test_a_run_stays_if_one_of_the_rules_spares_it(make: MakeRun, tmp_path: Path) -> None:
    old = [make(days).id for days in (1, 10, 40, 50)]
    assert gone(tmp_path, Retention(keep=1)) == {*old[1:]}
    assert gone(tmp_path, Retention(age=30 * DAY)) == {*old[2:]}
    assert gone(tmp_path, Retention(keep=3, age=30 * DAY)) == {old[3]}
    assert gone(tmp_path, Retention(keep=1, age=30 * DAY)) == {*old[2:]}
    assert gone(tmp_path, Retention(keep=0)) == {*old}


def test_the_newest_green_of_each_product_and_platform_stays(make: MakeRun, tmp_path: Path) -> None:
    make(1)
    newest = [make(40, "passed"), make(41, "passed", platform="el9"), make(42, "passed", product="q")]
    older = [make(50, "passed").id, make(51, "partial").id, make(52).id]
    plan = retention.plan_removal(tmp_path, Retention(keep=1), now=NOW)
    assert {rundir.id for rundir in plan.to_remove} == {*older}
    assert {*plan.kept_because} == {rundir.id for rundir in newest}
    assert plan.kept_because[newest[0].id] == "the newest green one of p on deb13"
    make(0, "passed")
    assert newest[0].id in gone(tmp_path, Retention(keep=1)), "a newer green one takes its place"


def test_what_was_kept_goes_on_has_hosts_or_cannot_be_read_stays(make: MakeRun, tmp_path: Path) -> None:
    make(1)
    kept, held, with_hosts = make(40, kept=True), make(41), make(42)
    damaged = make(43)
    (damaged.path / "run.json").write_text("{")
    with held.lock():
        plan = retention.plan_removal(tmp_path, Retention(keep=1), with_hosts=[with_hosts.id], now=NOW)
    assert plan.to_remove == ()
    assert plan.kept_because == {
        kept.id: f"it has hosts (itb down --run {kept.id} removes them)",
        held.id: "it is in progress",
        with_hosts.id: f"it has hosts (itb down --run {with_hosts.id} removes them)",
        damaged.id: "run.json cannot be read",
    }


def test_links_are_left_alone(make: MakeRun, tmp_path: Path) -> None:
    elsewhere = make(50)
    target = tmp_path / "elsewhere"
    target.mkdir()
    elsewhere.path.rename(target / "run")
    (tmp_path / "8950-run").symlink_to(target / "run")
    (tmp_path / "latest").symlink_to("8950-run")
    assert gone(tmp_path, Retention(keep=0)) == set()


def test_runs_disappear_and_it_is_told_how_much_room_that_makes(make: MakeRun, tmp_path: Path) -> None:
    newest, old, other = make(1), make(40), make(41)
    engine: Any = Machine((old.id, "/elsewhere"), (other.id, str(tmp_path)))
    said: list[str] = []
    retention.prune(engine, tmp_path, Retention(keep=1), dry_run=True, report=said.append)
    assert said[1:] == [f"{old.id}: would be removed (0.0 MB)", "1 run would be removed, 0.0 MB"]
    assert old.path.is_dir()
    (tmp_path / ".removed-half").mkdir()
    said.clear()
    retention.prune(engine, tmp_path, Retention(keep=1), dry_run=False, report=said.append)
    assert said[1:] == [f"{old.id}: removed (0.0 MB)", "1 run removed, 0.0 MB"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([newest.id, other.id])


def test_a_run_that_is_taken_up_meanwhile_stays(
    make: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make(40)
    make(1)
    said: list[str] = []
    plan = retention.plan_removal(tmp_path, Retention(keep=1), now=NOW)
    monkeypatch.setattr(retention, "plan_removal", lambda *_, **__: plan)
    engine: Any = Machine()
    with old.lock():
        retention.prune(engine, tmp_path, Retention(keep=1), dry_run=False, report=said.append)
    assert old.path.is_dir()
    assert said[0].startswith(f"{old.id}: stays, run {old.id} is being worked on by process")


def test_room_that_others_still_need_is_not_counted(make: MakeRun, tmp_path: Path) -> None:
    rundir = make(40)
    big = tmp_path / "cached.rpm"
    big.write_bytes(b"x" * 3_000_000)
    (rundir.path / "a.rpm").hardlink_to(big)
    assert retention._size(rundir.path) < 100_000

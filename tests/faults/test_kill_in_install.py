"""The short form of the kills: one, in the middle of an installation (``make faults`` has all)."""

from __future__ import annotations

import json
import time
from typing import Any

from itb.rundir.case_history import FILES_AND_ORIGINS, PLATFORM_UNCHANGED
from itb.rundir.checkpoints import Checkpoints
from itb.rundir.directory import RunDir


def test_kill_in_the_middle_of_install(bench: Any) -> None:
    """Killed outright, a run is cut off and no pass; resumed, it repeats what it must and is green."""
    process = bench.start(
        *("run", "--product", "pocketwms", "--platform", "deb13", "--progress", "plain", "--scenario", "./quick")
    )
    assert bench.wait_for("ok    configure.f", process)  # one of the roles is there, the other may be
    deadline = time.monotonic() + 60
    rundir = RunDir(bench.runs[0])
    while not (installed(bench) and rundir.case_history().unfinished) and time.monotonic() < deadline:
        time.sleep(0.01)
    bench.kill(process)
    there = installed(bench)
    killed = bench.report()
    assert (killed.code, killed.verdict["verdict"]) == (130, "interrupted"), killed.story
    assert any("cut off" in message for _, message in killed.cases["error"]), killed.story
    before = cases(bench)

    resumed = bench.itb("run", "--resume", bench.runs[0].name, "--progress", "plain")
    green = bench.report()
    assert resumed.returncode == 0, resumed.stderr
    assert (green.code, green.verdict["verdict"]) == (0, "passed"), green.story
    assert "resumed 20" in resumed.stdout
    # What has its turn when all is installed was not there yet.
    later = ("rpmlint", PLATFORM_UNCHANGED, FILES_AND_ORIGINS)
    new = [case for case in cases(bench)[len(before) :] if not case["name"].startswith(later)]
    again = {(case["phase"], case["role"]) for case in new}
    assert not {("build", "workspace"), ("serve", "services"), ("up", "services")} & again, "once is enough"
    assert there
    assert not {("install", role) for role in there} & again, "what was verified is not installed again"
    leftovers = bench.settled()
    bench.score("kill -9 in the middle of install", leftovers=leftovers, lost=resumed.returncode != 0)
    assert not leftovers
    assert not list((bench.runs[0] / "tokens").iterdir())


def installed(bench: Any) -> set[str]:
    """Roles whose installation is done and written down."""
    recorded = Checkpoints(RunDir(bench.runs[0])).recorded().values()
    done = [item for item in recorded if item.done and item.name.startswith("installed.")]
    return {role for entry in done for role in entry.hosts}


def cases(bench: Any) -> list[dict[str, Any]]:
    """Every case that ended, in the order of the journal."""
    lines = (bench.runs[0] / "cases.jsonl").read_text().splitlines()
    return [case for line in lines if "outcome" in (case := json.loads(line))]

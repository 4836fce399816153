"""The short form of the kills: one, in the middle of an installation (``make faults`` has all)."""

from __future__ import annotations

import json
from typing import Any


def test_kill_in_the_middle_of_install(bench: Any) -> None:
    """Killed outright, a run is cut off and no pass; resumed, it repeats what it must and is green."""
    process = bench.start()
    assert bench.wait_for("files are as packaged", process)
    bench.kill(process)
    killed = bench.report()
    assert (killed.code, killed.verdict["kind"]) == (130, "interrupted"), killed.story
    assert any("cut off" in message for _, message in killed.cases["error"]), killed.story
    before = {case["name"]: case for case in cases(bench)}

    resumed = bench.itb("run", "--resume", bench.runs[0].name, "--progress", "plain")
    green = bench.report()
    assert resumed.returncode == 0, resumed.stderr
    assert (green.code, green.verdict["kind"]) == (0, "passed"), green.story
    assert "resumed 20" in resumed.stdout
    after = cases(bench)
    ran = [case["name"] for case in after[len(before) :]]
    assert not [name for name in ran if "RPMs" in name and name in before], "built or served once is enough"
    assert not [name for name in ran if name.startswith("services-workspace")], "the same host boots once"
    leftovers = bench.settled()
    bench.score("kill -9 in the middle of install", leftovers=leftovers, lost=resumed.returncode != 0)
    assert not leftovers
    assert not list((bench.runs[0] / "tokens").iterdir())


def cases(bench: Any) -> list[dict[str, Any]]:
    """Every case that ended, in the order of the journal."""
    lines = (bench.runs[0] / "cases.jsonl").read_text().splitlines()
    return [case for line in lines if "outcome" in (case := json.loads(line))]

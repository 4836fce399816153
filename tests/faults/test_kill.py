"""The short form of the kills: one, in the middle of an installation (``make faults`` has all)."""

from __future__ import annotations

from typing import Any


def test_kill_in_the_middle_of_install(bench: Any) -> None:
    """Killed outright: the report says so and is no pass, and ``itb clean`` finds everything."""
    process = bench.start()
    assert bench.wait_for("pocketwms-factory", process)
    bench.kill(process)
    report = bench.report()
    assert report.verdict["kind"] == "interrupted", report.story
    assert report.verdict["exit_code"] == 130
    cleaned = bench.itb("clean", cwd=bench.folder.parent)
    assert cleaned.returncode == 0, cleaned.stderr
    leftovers = bench.settled()
    bench.score("kill -9 in the middle of install", leftovers=leftovers, lost=False)
    assert not leftovers

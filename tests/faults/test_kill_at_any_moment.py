"""kill -9 at every phase boundary, in the middle of every phase, and at random instants.

After each: the report is readable and says what was cut off, ``itb clean``
(every other time, from another directory) leaves nothing, and ``--resume``
ends green with nothing left.  ``ITB_FAULTS_RANDOM`` is the number of random
instants, ``ITB_FAULTS_SEED`` repeats those of an earlier session.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.whole

SEED = os.environ.get("ITB_FAULTS_SEED", "0")
RANDOM = int(os.environ.get("ITB_FAULTS_RANDOM", "20"))
JOURNAL_LINES = 140  # about as many as a whole run's journal has
OWN_CACHE = ("--cache", "cache")  # nothing was built before
QUICK = ("--scenario", "./quick")  # where smoke would add nothing but time
UNBUILT = (*OWN_CACHE, *QUICK)

# Which line of the journal: a case of this phase, whose role and name begin like this, begins or has ended;
# seconds to wait from then; arguments more.
MOMENTS = {
    "begin of the run": ("begun", "platform", "", "", 0.0, QUICK),
    "middle of up: containers being made": ("begun", "up", "network", "", 0.5, QUICK),
    "middle of up: hosts boot": ("begun", "up", "factory", "", 0.1, QUICK),
    "end of up": ("ended", "up", "services", "signing key", 0.0, QUICK),
    "middle of build: BuildRequires": ("begun", "build", "workspace", "what the spec", 0.3, UNBUILT),
    "middle of build: ReleaseManager": ("begun", "build", "workspace", "ReleaseManager", 0.5, UNBUILT),
    "end of build": ("ended", "build", "workspace", "the RPMs are", 0.0, UNBUILT),
    "middle of serve": ("begun", "serve", "services", "", 0.2, QUICK),
    "end of serve": ("ended", "serve", "services", "", 0.0, QUICK),
    "middle of install: the CE": ("begun", "install", "ce", "dnf", 3.0, QUICK),
    "middle of install: the factory": ("begun", "install", "factory", "dnf", 5.0, QUICK),
    "end of install": ("ended", "install", "frontend", "files are", 0.0, QUICK),
    "middle of configure": ("begun", "configure", "frontend", "", 0.3, QUICK),
    "middle of start": ("begun", "start", "factory", "", 0.3, QUICK),
    "middle of token": ("begun", "token", "ce", "", 0.1, QUICK),
    "end of token": ("ended", "token", "frontend", "token delivered", 0.0, QUICK),
    "end of start": ("ended", "start", "frontend", "pocketwms-frontend stays", 0.0, QUICK),
    "middle of test: a step that writes": ("begun", "test", "frontend", "smoke: user submits", 0.2, ()),
    "middle of test: a step that polls": ("begun", "test", "frontend", "smoke: ten jobs complete", 1.0, ()),
    "end of test": ("ended", "test", "ce", "condor is still", 0.0, ()),
    "middle of evidence": ("begun", "evidence", "itb", "", 0.2, QUICK),
    "middle of down": ("begun", "down", "network", "", 0.3, QUICK),
    "end of down": ("ended", "down", "network", "", 0.0, QUICK),
}  # fmt: skip


def journal(bench: Any) -> list[dict[str, Any]]:
    """The lines of the run's journal that are whole."""
    records = []
    for run in bench.runs[:1]:
        path = run / "cases.jsonl"
        for line in path.read_text().split("\n")[:-1] if path.exists() else []:
            if line:
                records.append(json.loads(line))
    return records


def wait_for_line(bench: Any, process: subprocess.Popen[bytes], wanted: Any) -> bool:
    """Wait until the journal has a line (or number of lines) like this; False if the run ends before."""
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        lines = journal(bench)
        if len(lines) >= wanted if isinstance(wanted, int) else any(matches(line, *wanted) for line in lines):
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.02)
    pytest.fail(f"{wanted} did not come:\n{bench.said}")


def matches(line: dict[str, Any], kind: str, phase: str, role: str, name: str) -> bool:
    case = line.get("begun") if kind == "begun" else line
    return bool(
        case and case.get("phase") == phase and case["role"].startswith(role) and case["name"].startswith(name)
    )


def kill_and_save(
    bench: Any, fault: str, args: tuple[str, ...], wanted: Any, delay: float, *, clean: bool
) -> None:
    """Kill a run at a moment; look at report and clean-up; resume it; add a line to the table."""
    began = time.monotonic()
    process = bench.start("run", "--product", "pocketwms", "--platform", "deb13", "--progress", "plain", *args)
    reached = wait_for_line(bench, process, wanted)
    time.sleep(delay)
    status = bench.kill(process)
    run = bench.runs[0]
    state = json.loads((run / "run.json").read_text())
    report = bench.report()
    if reached and state["exit_code"] is None:
        assert status == -9
        assert (report.code, report.verdict["verdict"], report.verdict["exit_code"]) == (130, "interrupted", 130)
        assert "failure" not in report.cases, report.story
    leftovers: list[str] = []
    if clean:
        cleaned = bench.itb("clean", cwd=Path("/"))
        assert cleaned.returncode == 0, cleaned.stderr
        leftovers = bench.settled()
    resumed = bench.itb("run", "--resume", str(run), "--progress", "plain", cwd=Path("/"))
    leftovers += bench.settled()
    after = bench.report()
    lost = (resumed.returncode, after.code, after.verdict["verdict"]) != (0, 0, "passed")
    bench.score(fault, leftovers=leftovers, lost=lost, seconds=time.monotonic() - began)
    assert not leftovers
    assert not lost, f"{resumed.returncode}\n{after.story}\n{resumed.stderr[-3000:]}"
    assert not list((run / "tokens").iterdir())


@pytest.mark.parametrize("moment", MOMENTS)
def test_kill_at(moment: str, bench: Any) -> None:
    *line, delay, args = MOMENTS[moment]
    clean = list(MOMENTS).index(moment) % 2 == 1
    how = ", clean, resume" if clean else ", resume"
    kill_and_save(bench, f"{moment}{how}", args, line, delay, clean=clean)


@pytest.mark.parametrize("number", range(RANDOM))
def test_kill_at_random(number: int, bench: Any) -> None:
    """A random line of the journal, and up to a second more."""
    chance = random.Random(f"{SEED}-{number}")
    line, delay = chance.randint(1, JOURNAL_LINES), chance.random()
    fault = f"random {number} (seed {SEED}): line {line} + {delay:.2f} s"
    print(fault)
    kill_and_save(bench, fault, (), line, delay, clean=number % 2 == 1)


def test_kill_before_there_is_a_run(bench: Any) -> None:
    """Killed while the reference is resolved: nothing is left, and the next run is not in its way."""
    began = time.monotonic()
    process = bench.start("run", "--product", "pocketwms", "--platform", "deb13", *OWN_CACHE)
    deadline = time.monotonic() + 30
    while not (bench.folder / "cache").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    bench.kill(process)
    leftovers = bench.settled()
    built = bench.itb("build", "--product", "pocketwms", "--platform", "deb13", "--progress", "plain", *OWN_CACHE)
    bench.itb("down")
    lost = built.returncode != 0
    bench.score("before there is a run", leftovers=leftovers, lost=lost, seconds=time.monotonic() - began)
    assert not leftovers
    assert not lost, built.stderr

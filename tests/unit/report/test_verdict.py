"""What a verdict says of the candidate where a host failed that the candidate is root on."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.errors import UNDECIDED, UNDECIDED_BLAME, ExitCode
from itb.model import Case, Outcome
from itb.report import run_report
from itb.rundir.directory import RunDir, RunState


@pytest.mark.parametrize(
    ("message", "blame"),
    [
        (f"{UNDECIDED}: host factory: disk full", UNDECIDED_BLAME),
        ("host services: disk full", ExitCode.TESTBED.blame),
    ],
)
def test_candidate_is_not_acquitted_of_its_own_hosts_fault(tmp_path: Path, message: str, blame: str) -> None:
    rundir = RunDir(tmp_path)
    state = RunState(
        id="r", short_id="s", product="p", platform="deb13", ref="x", started=1, finished=2, exit_code=5
    )
    rundir.write_state(state)
    rundir.append_case(Case(
        phase="install", role="factory", name="dnf installs the packages", outcome=Outcome.ERROR, message=message,
        started=1, seconds=1, exit_code=5,
    ))  # fmt: skip
    verdict = run_report.judge_run(rundir)
    assert (verdict.exit_code, verdict.blame) == (5, blame)
    assert ("not the candidate" in verdict.headline) == (blame == ExitCode.TESTBED.blame)

"""A run that took several attempts: which cases stand, which were cut off, which count no more."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from itb.model import Outcome
from itb.report import run_report
from itb.report.verdict import VerdictKind
from itb.rundir.case_history import CUT_OFF, Attempt, CaseStart
from itb.rundir.directory import RunDir, RunState
from itb.rundir.journal import Journal


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    begun = RunDir.create(tmp_path, "p-1234-deb13")
    state = RunState(id=begun.id, short_id="s", product="p", platform="deb13", ref="r", started=time.time())
    begun.write_state(state)
    return begun


def killed(rundir: RunDir, *names: str) -> None:
    """What a process leaves that is killed while it tries these."""
    for name in names:
        rundir.append_case_start(CaseStart(phase="install", role="ce", name=name, started=time.time()))


def tried(rundir: RunDir, name: str, *, good: bool = True, resume: bool | None = None) -> Journal:
    """A process that tries this one thing to its end."""
    journal = Journal(rundir)
    if resume is not None:
        journal.reopen(resume=resume)
    with journal.case("install", "ce", name) as case:
        if not good:
            case.fail("no", exit_code=7)
    return journal


def test_what_was_cut_off_is_an_error_by_name(rundir: RunDir) -> None:
    tried(rundir, "one")
    killed(rundir, "two")
    (unfinished,) = rundir.case_history().unfinished
    assert (unfinished.name, unfinished.outcome) == ("two", Outcome.ERROR)
    assert (unfinished.exit_code, unfinished.message) == (130, CUT_OFF)
    verdict = run_report.write(rundir)
    assert (verdict.kind, verdict.exit_code) == (VerdictKind.INTERRUPTED, 130)
    assert (verdict.passed, verdict.errors) == (1, 1)
    assert "two: cut off" in verdict.reason


def test_what_a_living_process_tries_is_not_cut_off(rundir: RunDir) -> None:
    with rundir.lock():
        killed(rundir, "two")
        verdict = run_report.write(rundir)
    assert (verdict.kind, verdict.errors) == (VerdictKind.RUNNING, 0)


def test_resumed_run_is_judged_by_what_stands(rundir: RunDir) -> None:
    tried(rundir, "good")
    tried(rundir, "bad", good=False)
    killed(rundir, "cut")
    journal = tried(rundir, "bad", resume=True)
    assert [(case.name, case.outcome) for case in journal.cases] == [("good", "passed"), ("bad", "passed")]
    assert sorted(case.name for case in rundir.case_history().replaced) == ["bad", "cut"]
    rundir.update(exit_code=0, finished=time.time())
    verdict = run_report.write(rundir)
    assert (verdict.kind, verdict.exit_code) == (VerdictKind.PARTIAL, 0)
    assert "bad" in rundir.junit.read_text().partition('name="resumed"')[2][:300]


def test_another_phase_is_no_resumption(rundir: RunDir) -> None:
    """``itb down`` after a failed ``itb test`` adds to it: the failure stays."""
    tried(rundir, "bad", good=False)
    killed(rundir, "cut")
    journal = tried(rundir, "bad", resume=False)
    assert [(case.name, case.outcome) for case in journal.cases] == [
        ("bad", "failed"), ("cut", "error"), ("bad", "passed"),
    ]  # fmt: skip


def test_a_step_done_again_replaces_what_it_brings_again(rundir: RunDir) -> None:
    """``itb install`` after a failed ``itb install``: its cases count once, and the reports tell of the first."""
    tried(rundir, "good")
    tried(rundir, "bad", good=False)
    with Journal(rundir).case("test.smoke", "ce", "other") as running_case:
        running_case.fail("no", exit_code=2)
    killed(rundir, "cut")
    journal = Journal(rundir)
    journal.reopen(again=["install", "run"])
    for name in ("good", "bad"):
        with journal.case("install", "ce", name):
            pass
    assert [(case.name, case.outcome) for case in Journal(rundir).cases] == [
        ("other", "failed"), ("good", "passed"), ("bad", "passed"),
    ]  # fmt: skip
    rundir.update(exit_code=2, finished=time.time())
    assert run_report.write(rundir).exit_code == 2
    noted = rundir.junit.read_text().partition('name="resumed"')[2][:300]
    assert "repeated in part" in noted
    assert "install ce: bad" in noted


def test_a_step_done_again_that_had_gone_well_is_no_news(rundir: RunDir) -> None:
    tried(rundir, "good")
    Journal(rundir).reopen(again=["install"])
    assert rundir.case_history().resumptions == ()


def test_what_passed_before_is_replaced_when_it_comes_again(rundir: RunDir) -> None:
    tried(rundir, "one")
    tried(rundir, "one", good=False, resume=True)
    assert [case.outcome for case in rundir.cases()] == ["failed"]


def test_torn_line_does_not_take_the_next_with_it(rundir: RunDir) -> None:
    tried(rundir, "one")
    with (rundir.path / "cases.jsonl").open("a") as file:
        file.write('{"phase":"inst')
    journal = tried(rundir, "two", resume=True)
    assert [case.name for case in journal.cases] == ["one", "two"]
    assert len(rundir.case_history().resumptions) == 1


def test_time_between_attempts_is_nobodys(rundir: RunDir) -> None:
    journal = tried(rundir, "one")
    last = journal.cases[-1]
    rundir.append_attempt(Attempt(pid=1, at=last.started + last.seconds + 5000, resumed=True))
    assert rundir.case_history().paused == pytest.approx(5000)
    rundir.update(exit_code=0, finished=last.started + last.seconds + 5010)
    worked = last.started + last.seconds - rundir.state.started
    assert run_report.write(rundir).seconds == pytest.approx(worked + 10)

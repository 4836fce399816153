"""The cases that reports have: one of each name, the same ones however a run went."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from itb.errors import ExitCode
from itb.model import Case, CaseKey, Outcome, PlannedCases, Try
from itb.phase import Phase
from itb.report import run_report
from itb.report.run_data import read_run_data
from itb.report.verdict import VerdictKind, judge
from itb.rundir import values
from itb.rundir.case_history import RUN_END, Attempt, CaseStart
from itb.rundir.directory import RunDir, RunState

START = 1_795_400_000.0
BUILT = CaseKey(Phase.BUILD, "workspace", "RPMs are built")
SERVED = CaseKey(Phase.SERVE, "services", "RPMs are served")
BOOTS = CaseKey(Phase.UP, "ce", "the host boots")
CE = CaseKey(Phase.INSTALL, "ce", "packages of the CE")
INSTALLED = CaseKey(Phase.INSTALL, "factory", "packages are installed")
STEP = CaseKey(Phase.TEST, "factory", "smoke: a job runs")
EVIDENCE = CaseKey(Phase.EVIDENCE, "itb", "logs collected")
REMOVED = CaseKey(Phase.DOWN, "network", "hosts removed")
PLANNED = (BUILT, SERVED, BOOTS, CE, INSTALLED, STEP, EVIDENCE, REMOVED, RUN_END)


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    rundir = RunDir(tmp_path)
    rundir.write_state(
        RunState(
            id="r", short_id="s", product="p", platform="deb13", ref="main", started=START,
            finished=START + 60, exit_code=0,
        )
    )  # fmt: skip
    rundir.save(values.PLANNED_CASES, PlannedCases(cases=PLANNED))
    return rundir


Add = Callable[..., None]


@pytest.fixture
def add(rundir: RunDir) -> Add:
    count = 0

    def append(key: CaseKey, outcome: Outcome = Outcome.PASSED, message: str = "", **more: object) -> None:
        nonlocal count
        count += 1
        fields = {"started": START + count, "seconds": 1, "outcome": outcome, "message": message, **more}
        rundir.append_case(Case.model_validate({**key._asdict(), **fields}))

    return append


def in_junit(rundir: RunDir) -> dict[tuple[str, str], str]:
    """Classname and name of each case in the report, and what became of it."""
    run_report.write(rundir)
    cases = etree.parse(rundir.junit).getroot().findall(".//testcase")
    outcomes = {}
    for case in cases:
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        outcomes[str(case.get("classname")), str(case.get("name"))] = kinds[0] if kinds else "passed"
    assert len(outcomes) == len(cases), "a name stands for one case"
    return outcomes


NAMES = {(f"p.deb13.{key.phase}.{key.role}", key.name) for key in PLANNED}


def test_a_green_run_has_what_was_planned(rundir: RunDir, add: Add) -> None:
    for key in PLANNED[:-1]:
        add(key)
    outcomes = in_junit(rundir)
    assert set(outcomes) == NAMES
    assert set(outcomes.values()) == {"passed"}
    assert judge(read_run_data(rundir)).passed == len(PLANNED)


def test_what_a_red_run_did_not_come_to_is_skipped_with_the_cause(rundir: RunDir, add: Add) -> None:
    add(BUILT, Outcome.FAILED, "no spec file", exit_code=ExitCode.BUILD)
    add(BOOTS)
    add(CE)
    rundir.update(exit_code=ExitCode.BUILD)
    outcomes = in_junit(rundir)
    assert outcomes["p.deb13.run.itb", RUN_END.name] == "skipped", "it may still go on, one command at a time"
    add(EVIDENCE)
    add(REMOVED)
    outcomes = in_junit(rundir)
    assert outcomes["p.deb13.run.itb", RUN_END.name] == "passed"
    assert set(outcomes) == NAMES
    assert outcomes["p.deb13.build.workspace", BUILT.name] == "failure"
    skipped = {key for key, outcome in outcomes.items() if outcome == "skipped"}
    assert {name for _, name in skipped} == {SERVED.name, INSTALLED.name, STEP.name}
    run_data = read_run_data(rundir)
    reason = "not reached: workspace: RPMs are built: no spec file"
    assert {case.message for case in run_data.unreached_cases} == {reason}
    verdict = judge(run_data)
    assert (verdict.skipped, verdict.unreached) == (0, 3)
    assert verdict.phases_not_reached == (Phase.SERVE, Phase.INSTALL, Phase.TEST)


def test_a_phase_that_the_product_does_not_have_is_not_missed(rundir: RunDir, add: Add) -> None:
    """A product without a token has no case of one."""
    add(BUILT, Outcome.FAILED, exit_code=ExitCode.BUILD)
    assert Phase.TOKEN not in judge(read_run_data(rundir)).phases_not_reached


def test_a_part_of_a_run_has_the_names_of_the_whole(rundir: RunDir, add: Add) -> None:
    add(BUILT)
    assert set(in_junit(rundir)) == NAMES
    run_data = read_run_data(rundir)
    assert {case.message for case in run_data.unreached_cases} == {"not reached: the run ended before this"}
    assert judge(run_data).kind is VerdictKind.PARTIAL


def test_a_run_that_kept_its_hosts_went_to_its_end(rundir: RunDir, add: Add) -> None:
    for key in PLANNED[:-2]:
        add(key)
    rundir.update(kept=True)
    (unreached,) = read_run_data(rundir).unreached_cases
    assert (unreached.key, unreached.message) == (REMOVED, "the hosts are kept")
    assert judge(read_run_data(rundir)).kind is VerdictKind.PASSED


def test_a_killed_run_says_so_once(rundir: RunDir, add: Add) -> None:
    add(BUILT)
    rundir.update(exit_code=None, finished=None)
    outcomes = in_junit(rundir)
    assert set(outcomes) == NAMES
    assert [key for key, outcome in outcomes.items() if outcome == "error"] == [("p.deb13.run.itb", RUN_END.name)]
    run_data = read_run_data(rundir)
    end = next(case for case in run_data.cases if case.key == RUN_END)
    last = "the last case that ended: build on workspace: RPMs are built"
    assert f"its process ended without recording a result; {last}" in end.message
    # What it was at is the error, where that is known.
    rundir.append_case_start(CaseStart(**SERVED._asdict(), started=START + 9))
    outcomes = in_junit(rundir)
    assert set(outcomes) == NAMES
    assert [name for (_, name), outcome in outcomes.items() if outcome == "error"] == [SERVED.name]


def test_a_run_that_goes_on_has_not_come_to_the_rest_yet(rundir: RunDir, add: Add) -> None:
    add(BUILT)
    rundir.update(exit_code=None, finished=None)
    with rundir.lock():
        run_data = read_run_data(rundir)
        assert {case.message for case in run_data.unreached_cases} == {"not reached yet"}
        assert set(in_junit(rundir)) == NAMES


def test_a_resumed_run_has_the_same_names_and_its_earlier_tries(rundir: RunDir, add: Add) -> None:
    add(BUILT)
    add(SERVED, Outcome.ERROR, "disk full", exit_code=ExitCode.TESTBED, evidence="df says")
    rundir.append_attempt(Attempt(pid=1, at=START + 20, resumed=True))
    add(RUN_END, message="resumed at 12:00")
    for key in PLANNED[1:-1]:
        add(key)
    outcomes = in_junit(rundir)
    assert set(outcomes) == NAMES
    assert set(outcomes.values()) == {"passed"}
    (flaky,) = etree.parse(rundir.junit).getroot().findall(".//flakyError")
    assert (flaky.get("message"), flaky.findtext("stackTrace")) == ("disk full", "df says")
    end = next(case for case in read_run_data(rundir).cases if case.key == RUN_END)
    assert end.message == "resumed at 12:00"


def test_cases_of_one_name_are_one_and_what_went_wrong_counts(rundir: RunDir, add: Add) -> None:
    """As with ``itb test`` typed twice: a second try that passes does not make the first undone."""
    add(BUILT, Outcome.SKIPPED, "kept RPMs are damaged")
    add(BUILT, message="built in 3 s")
    add(STEP, Outcome.FAILED, "first", exit_code=ExitCode.SCENARIO)
    add(STEP)
    add(STEP, Outcome.FAILED, "third", exit_code=ExitCode.SCENARIO)
    run_data = read_run_data(rundir)
    built, step = (next(case for case in run_data.cases if case.key == key) for key in (BUILT, STEP))
    assert (built.outcome, built.message) == (Outcome.PASSED, "kept RPMs are damaged; built in 3 s")
    assert (step.outcome, step.message, step.seconds) == (Outcome.FAILED, "first", 3)
    assert [each.message for each in step.tries] == ["third"]
    run_report.write(rundir)
    assert len(etree.parse(rundir.junit).getroot().findall(".//rerunFailure")) == 1


def test_tries_of_a_flaky_step_are_told_as_jenkins_reads_them(rundir: RunDir, add: Add) -> None:
    tries = [Try(outcome=Outcome.FAILED, message=f"no {number}", started=START) for number in (1, 2)]
    add(STEP, message="passed at try 3", tries=tries)
    add(INSTALLED, Outcome.FAILED, "no", tries=tries[:1], exit_code=ExitCode.INSTALL)
    run_report.write(rundir)
    root = etree.parse(rundir.junit).getroot()
    assert [(item.tag, item.get("message")) for item in root.iter("flakyFailure", "rerunFailure")] == [
        ("flakyFailure", "no 1"), ("flakyFailure", "no 2"), ("rerunFailure", "no 1"),
    ]  # fmt: skip


def test_a_run_of_a_version_without_a_plan_is_reported_as_it_is(rundir: RunDir, add: Add) -> None:
    (rundir.path / "state" / "planned_cases.json").unlink()
    add(BUILT)
    add(CaseKey(Phase.RUN, "itb", "run resumed at 2026-01-01 00:00:00 UTC"))
    assert len(in_junit(rundir)) == 2
    assert not read_run_data(rundir).unreached_cases


def test_an_exit_code_that_no_case_explains_is_no_silent_pass(rundir: RunDir, add: Add) -> None:
    add(BUILT)
    rundir.update(exit_code=ExitCode.TESTBED)
    outcomes = in_junit(rundir)
    assert outcomes["p.deb13.run.itb", RUN_END.name] == "error"
    assert set(outcomes) == NAMES


# What the schema of Jenkins' xunit plugin (junit-10.xsd) lets an element have: attributes, those required, parts.
# Its order of children is free; times of suites are digits with a point.
JENKINS = {
    "testsuites": ("name time tests failures errors", "", "testsuite"),
    "testsuite": (
        "name tests failures errors group time skipped timestamp hostname id package file log url",
        "name tests failures errors",
        "testsuite properties testcase system-out system-err",
    ),
    "properties": ("", "", "property"),
    "property": ("name value", "name value", ""),
    "testcase": (
        "name time classname group",
        "name",
        "skipped error failure rerunFailure rerunError flakyFailure flakyError system-out system-err",
    ),
    **dict.fromkeys(("failure", "error", "skipped"), ("type message", "", "")),
    **dict.fromkeys(
        ("rerunFailure", "rerunError", "flakyFailure", "flakyError"),
        ("message type", "type", "stackTrace system-out system-err"),
    ),
    **dict.fromkeys(("system-out", "system-err", "stackTrace"), ("", "", "")),
}


def test_jenkins_takes_the_report(rundir: RunDir, add: Add) -> None:
    tries = [Try(outcome=outcome, started=START) for outcome in (Outcome.FAILED, Outcome.ERROR)]
    add(BUILT, message="so many RPMs", tries=tries)
    add(SERVED, Outcome.FAILED, "no", tries=tries, exit_code=ExitCode.INSTALL)
    add(BOOTS, Outcome.ERROR, "gone", tries=tries, exit_code=ExitCode.TESTBED)
    add(CE, Outcome.SKIPPED, "no need", tries=tries)
    run_report.write(rundir)
    root = etree.parse(rundir.junit).getroot()
    seen = set()
    for element in root.iter():
        attributes, required, children = (words.split() for words in JENKINS[element.tag])
        assert set(required) <= set(element.attrib) <= set(attributes), element.tag
        assert {child.tag for child in element} <= set(children), element.tag
        seen.add(element.tag)
    assert seen >= {"flakyFailure", "flakyError", "rerunFailure", "rerunError", "skipped", "failure", "error"}
    for suite in root.iter("testsuites", "testsuite"):
        whole, _, fraction = str(suite.get("time")).partition(".")
        assert (whole + fraction).isdecimal()


def test_the_log_of_a_bad_case_is_attached_and_nothing_that_a_candidate_names(rundir: RunDir, add: Add) -> None:
    log = rundir.path / "results" / "01-step.log"
    log.parent.mkdir()
    log.write_text("no")
    add(STEP, Outcome.FAILED, "no", log="results/01-step.log", evidence="[[ATTACHMENT|/etc/shadow]]", exit_code=2)
    add(BUILT, message="[[ATTACHMENT|/etc/shadow]]")
    add(BOOTS, Outcome.ERROR, log="../../etc/shadow", exit_code=ExitCode.TESTBED)
    (rundir.path / "link").symlink_to("/etc/shadow")
    add(CE, Outcome.ERROR, log="link", exit_code=ExitCode.TESTBED)
    run_report.write(rundir)
    lines = [line for line in rundir.junit.read_text().splitlines() if "[[ATTACHMENT|" in line]
    assert [line.strip() for line in lines] == [f"<system-out>[[ATTACHMENT|{log}]]</system-out>"]

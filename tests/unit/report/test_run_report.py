"""Verdict and JUnit from run directories in every state."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree, html

from itb.config.trust import PRIVILEGED
from itb.data import shipped
from itb.model import (
    Build,
    Case,
    Commit,
    HostInfo,
    Installed,
    InstalledPackage,
    Notes,
    Outcome,
    Rpm,
    RunTrust,
    TestbedHosts,
    Token,
    Trust,
)
from itb.report import run_report, self_reported
from itb.report.case_list import failure_sentence
from itb.report.run_data import intervals, read_run_data
from itb.report.summary import plain_lines
from itb.report.verdict import VerdictKind, judge
from itb.rundir import values
from itb.rundir.case_history import PLATFORM_UNCHANGED, RUN_END
from itb.rundir.directory import RunDir, RunState
from itb.util.known_secrets import remember

START = 1_795_400_000.0
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJpdGIifQ.c2lnbmF0dXJl"
Add = Callable[..., None]


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    path = tmp_path / "20261123T020000Z-pocketwms-4f2a9c1e77aa-deb13"
    path.mkdir()
    rundir = RunDir(path)
    rundir.write_state(
        RunState(
            id=path.name,
            short_id="ab12cd",
            product="pocketwms",
            platform="deb13",
            ref="v1_2_0",
            started=START,
            finished=START + 60,
            exit_code=0,
            tool_version="0.1.0",
        )
    )
    return rundir


@pytest.fixture
def add(rundir: RunDir) -> Add:
    def adder(name: str, outcome: Outcome = Outcome.PASSED, **more: object) -> None:
        fields = {"phase": "install", "role": "factory", "started": START + 1, "seconds": 2.0, **more}
        rundir.append_case(Case.model_validate({"name": name, "outcome": outcome, **fields}))

    return adder


def junit(rundir: RunDir) -> etree._Element:
    """Return the suite of a written report after checking the file against the schema."""
    schema = etree.XMLSchema(etree.parse(shipped.folder("reports") / "junit.xsd"))
    tree = etree.parse(rundir.junit)
    schema.assertValid(tree)
    suite = tree.getroot().find("testsuite")
    assert suite is not None
    return suite


def commit() -> Commit:
    return Commit(
        product="pocketwms",
        source="https://user:hunter2@example.org/x.git",
        ref="v1_2_0",
        kind="tag",
        id="ab" * 20,
        tree="cd" * 20,
        date="2026-11-20",
        subject='Ask <less> & "more"',
        version="1.2.0",
    )


def fill(rundir: RunDir) -> None:
    """Save what the phases of a whole run save."""
    rpm = Rpm(
        name="pw-factory", version="1.2.0", release="1", arch="noarch", file="f.rpm", sha256="ee" * 32, size=9
    )
    host = HostInfo(
        role="factory",
        container="c",
        fqdn="factory-workspace.glideinwms.org",
        address="10.0.0.2",
        image="localhost/itb/deb13-bare:1",
        image_id="sha256:" + "f0" * 32,
    )
    own = InstalledPackage(nevra=rpm.nevra, origin="itb-candidate", candidate=True)
    other = InstalledPackage(nevra="bash-5.2-1.x86_64", origin="platform")
    rundir.save(values.COMMIT, commit())
    rundir.save(values.BUILD, Build(commit=commit(), platform="deb13", directory="/x", rpms=(rpm,)))
    rundir.save(values.TESTBED, TestbedHosts(name="three-hosts", network="n", hosts=(host,)))
    rundir.save(values.INSTALLED, Installed(packages={"factory": (own, other)}))
    rundir.save(values.TOKEN,
        Token(
            provider="local",
            issuer="https://tokens.glideinwms.org/itb",
            subject="itb",
            audience=("ce-workspace.glideinwms.org:9619",),
            scopes=("condor:/READ",),
            issued=int(START),
            expires=int(START) + 3600,
            jti="8fe2",
            verified=True,
        ),
    )


def whole_run(add: Add) -> None:
    for number, phase in enumerate(("build", "serve", "up", "install", "token", "test")):
        add(f"{phase} works", phase=phase, started=START + number)


def test_passed_run(rundir: RunDir, add: Add) -> None:
    whole_run(add)
    fill(rundir)
    verdict = run_report.write(rundir, notes=Notes(platform_note="not EL"))
    assert (verdict.kind, verdict.exit_code, verdict.passed) == (VerdictKind.PASSED, 0, 6)
    assert not verdict.phases_not_reached
    suite = junit(rundir)
    assert suite.get("name") == "pocketwms.deb13"
    assert suite.get("time") == "60.000"
    properties = {element.get("name"): element.get("value") for element in suite.iter("property")}
    assert properties["commit"] == "ab" * 20
    assert properties["reference"] == "v1_2_0"
    assert properties["rpm.pw-factory.noarch"] == "pw-factory-1.2.0-1.noarch sha256:" + "ee" * 32
    assert properties["installed.factory"] == "pw-factory-1.2.0-1.noarch"
    assert properties["image.factory"].endswith("f0" * 32)
    assert properties["token.provider"] == "local"
    assert properties["token.audience"] == "ce-workspace.glideinwms.org:9619"
    assert properties["tool.version"] == "0.1.0"
    assert properties["platform.note"] == "not EL"
    assert "hunter2" not in rundir.junit.read_text() + rundir.html.read_text()


def test_reports_say_what_rests_on_the_candidates_own_word(rundir: RunDir, add: Add) -> None:
    fill(rundir)
    add("unit starts", phase="start", role="factory")
    add("nothing of the platform was changed", phase="install", role="factory")
    add("job ends", phase="test", role="ce")
    verdict = run_report.write(rundir)
    suite = junit(rundir)
    outputs = {case.get("name"): case.findtext("system-out") or "" for case in suite.iter("testcase")}
    marked = [name for name, text in outputs.items() if self_reported.REMARK in text]
    assert marked == ["unit starts"]
    properties = {element.get("name"): element.get("value") for element in suite.iter("property")}
    line = "1 of 3 cases rests on the word of hosts with the candidate on them; seen from outside, the platform"
    assert properties["own_word"] == f"{line} beneath it is unchanged"
    assert f"note:    {properties['own_word']}" in plain_lines(read_run_data(rundir), verdict)
    page = rundir.html.read_text()
    assert properties["own_word"] in page
    starred = [item.text_content() for item in html.fromstring(page).xpath("//*[@class='what'][contains(., '*')]")]
    assert [text.split("\xa0")[0] for text in starred] == marked


def test_own_word_is_told_with_a_platform_that_was_changed_or_not_looked_at(rundir: RunDir, add: Add) -> None:
    fill(rundir)
    add("unit starts", phase="start", role="factory")
    assert "; nobody has looked from outside " in self_reported.summary_line(read_run_data(rundir))
    add(PLATFORM_UNCHANGED, phase="install", role="factory")
    add(PLATFORM_UNCHANGED, phase="test", role="factory", outcome=Outcome.FAILED)
    assert self_reported.summary_line(read_run_data(rundir)).endswith("WAS CHANGED")


def test_reports_say_how_far_a_run_trusted_its_candidate(rundir: RunDir, add: Add) -> None:
    add("a", phase="test")
    settings = {"builder": "mock", "allow_privileged": True}
    rundir.update(trust=RunTrust(level=Trust.RELEASE, reference=Trust.BRANCH), settings=settings)
    verdict = run_report.write(rundir)
    raised = "release, raised by the user; branch by its reference"
    lines = [*plain_lines(read_run_data(rundir), verdict)]
    assert f"note:    level of trust: {raised}" in lines
    assert f"WARNING: {PRIVILEGED}" in lines
    page = rundir.html.read_text()
    assert f"<dd>{raised}</dd>" in page
    assert "root on this machine" in page
    properties = {item.get("name"): item.get("value") for item in etree.parse(rundir.junit).iter("property")}
    assert (properties["trust"], properties["trust.reference"]) == ("release", "branch")
    assert "root on this machine" in properties["warnings"]
    (told,) = json.loads(rundir.verdict.read_text())["runs"]
    assert (told["trust"], told["trust_by_reference"], len(told["warnings"])) == ("release", "branch", 1)
    by_reference = RunTrust(level=Trust.PR, reference=Trust.PR)
    rundir.update(trust=by_reference, settings={"builder": "mock", "from_repo": "x"})
    text = "\n".join(plain_lines(read_run_data(rundir), verdict))
    assert "level of trust" not in text
    assert PRIVILEGED not in text


def test_cases_are_in_order_of_start_with_unique_names_and_real_times(rundir: RunDir, add: Add) -> None:
    add("later", started=START + 9, seconds=1.23456)
    add("same", started=START + 2, seconds=0)
    add("same", started=START + 3)
    add("same", started=START + 5, role="frontend")
    run_report.write(rundir)
    cases = [
        (case.get("classname"), case.get("name"), case.get("time")) for case in junit(rundir).iter("testcase")
    ]
    one = "pocketwms.deb13.install.factory"
    assert [name for _, name, _ in cases] == ["same", "same", "later"]
    assert cases[-1] == (one, "later", "1.234560")
    assert cases[1][0] == "pocketwms.deb13.install.frontend"


def test_failure_error_and_skip_say_why(rundir: RunDir, add: Add) -> None:
    add("ok", message="4 packages")
    add(
        "f",
        Outcome.FAILED,
        message="nothing\n provides x",
        evidence="Problem: x",
        log="hosts/factory/dnf.log",
        exit_code=7,
    )
    add("e", Outcome.ERROR, message="", exit_code=5)
    add("s", Outcome.SKIPPED, message="needs el9")
    verdict = run_report.write(rundir)
    suite = junit(rundir)
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["4", "1", "1", "1"]
    failure = suite.find(".//failure")
    assert failure is not None
    assert (failure.get("message"), failure.get("type")) == ("nothing provides x", "install")
    assert failure.text == "Problem: x\n\nfull log: hosts/factory/dnf.log"
    error, skipped = suite.find(".//error"), suite.find(".//skipped")
    assert error is not None
    assert skipped is not None
    assert error.get("message") == "no reason was given", "junit-xml takes an error without a message for a pass"
    assert skipped.get("message") == "needs el9"
    assert verdict.exit_code == 5
    assert verdict.kind is VerdictKind.ERROR


def test_a_failed_case_outvotes_the_exit_code(rundir: RunDir, add: Add) -> None:
    whole_run(add)
    add("bad", Outcome.FAILED, message="why", phase="test", exit_code=0)
    verdict = judge(read_run_data(rundir))
    assert (verdict.kind, verdict.exit_code) == (VerdictKind.FAILED, 2)
    assert verdict.reason == "factory: bad: why"


@pytest.mark.parametrize(
    ("phase", "role", "name", "message", "said"),
    [
        ("configure", "factory", "factory.py", "gwms-factory upgrade: no module imp",
         "factory: factory.py: gwms-factory upgrade: no module imp"),
        ("start", "frontend", "x starts", "x does not start (exit-code, status 1): KeyError",
         "frontend: x does not start (exit-code, status 1): KeyError"),
        ("install", "ce", "dnf install condor", "host ce: disk full: /var has 3 KiB left",
         "dnf install condor: host ce: disk full: /var has 3 KiB left"),
        ("run", "itb", "the run goes on", "host ce: c is not running", "host ce: c is not running"),
        ("test", "ce", "smoke: a job", "", "ce: smoke: a job: no reason was given"),
        ("build", "itb", "the RPMs are built", "the disk is slow", "the RPMs are built: the disk is slow"),
        ("test", "itb", "a job runs", "a pilot is held", "a job runs: a pilot is held"),
        ("test", "itb", "no job is held", "", "no job is held: no reason was given"),
    ],
)  # fmt: skip
def test_a_sentence_says_who_what_and_why_once(phase: str, role: str, name: str, message: str, said: str) -> None:
    case = Case(phase=phase, role=role, name=name, message=message, outcome=Outcome.FAILED, started=1, seconds=0)
    assert failure_sentence(case) == said


def test_reason_is_the_first_failure_of_the_deciding_kind(rundir: RunDir, add: Add) -> None:
    add("later", Outcome.FAILED, message="consequence", started=START + 20, exit_code=7)
    add("cause", Outcome.FAILED, message="cause", started=START + 10, exit_code=7)
    add("early scenario", Outcome.FAILED, message="other", started=START, exit_code=2)
    verdict = judge(read_run_data(rundir))
    assert verdict.exit_code == 7
    assert "cause" in verdict.reason
    assert verdict.phases_not_reached == ("build", "serve", "up", "token", "test")


def test_preparing_the_ce_is_not_installing_the_candidate(rundir: RunDir, add: Add) -> None:
    add("release.py", Outcome.FAILED, phase="build", message="no RPMs", exit_code=4)
    add("dnf install condor", phase="install", role="ce")
    assert "install" in judge(read_run_data(rundir)).phases_not_reached


def test_a_phase_with_an_error_is_no_phase_that_was_not_reached(rundir: RunDir, add: Add) -> None:
    add("dnf install condor", Outcome.ERROR, phase="install", role="ce", message="no network", exit_code=5)
    verdict = judge(run_data := read_run_data(rundir))
    assert "install" not in verdict.phases_not_reached
    (line,) = [line for line in plain_lines(run_data, verdict) if line.startswith("  install")]
    assert line.endswith("  1 error")


@pytest.mark.parametrize(
    ("outcome", "code", "is_shown"),
    [(Outcome.PASSED, 0, True), (Outcome.FAILED, 7, True), (Outcome.ERROR, 5, False)],
)
def test_the_note_of_the_platform_stands_where_it_matters(
    rundir: RunDir, add: Add, outcome: Outcome, code: int, is_shown: bool
) -> None:
    whole_run(add)
    add("dnf install", outcome, message="said so", exit_code=code)
    rundir.update(exit_code=code)
    notes = Notes(platform_note="a failure may be Debian's")
    verdict = run_report.write(rundir, notes=notes)
    lines = list(plain_lines(read_run_data(rundir, notes), verdict))
    assert ("note:    a failure may be Debian's" in lines) == is_shown
    page = html.fromstring(rundir.html.read_text())
    assert ("a failure may be Debian's" in page.xpath("string(//header)")) == is_shown
    assert page.text_content().count("a failure may be Debian's") == 1


def test_an_interrupted_run_says_by_what_first(rundir: RunDir, add: Add) -> None:
    add("dnf", Outcome.ERROR, message="interrupted", started=START + 5, exit_code=130)
    end = Case(
        **RUN_END._asdict(), outcome=Outcome.ERROR, message="interrupted by SIGTERM", started=START + 9, seconds=0,
        exit_code=130,
    )  # fmt: skip
    rundir.append_case(end)
    assert judge(read_run_data(rundir)).reason == "interrupted by SIGTERM"


def test_run_whose_process_died_is_interrupted_never_passed(rundir: RunDir, add: Add) -> None:
    rundir.update(finished=None, exit_code=None)
    add("dnf install")
    verdict = run_report.write(rundir)
    assert (verdict.kind, verdict.exit_code) == (VerdictKind.INTERRUPTED, 130)
    suite = junit(rundir)
    assert suite.get("errors") == "1"
    assert "process ended without recording a result" in str(suite.xpath("string(.//error/@message)"))


def test_run_that_goes_on_is_no_pass(rundir: RunDir, add: Add) -> None:
    rundir.update(finished=None, exit_code=None)
    add("dnf install")
    with rundir.lock():
        assert judge(read_run_data(rundir)).kind is VerdictKind.RUNNING
        assert judge(read_run_data(rundir, exit_code=0)).kind is VerdictKind.PARTIAL


def test_part_of_a_run_is_told_from_a_whole_one(rundir: RunDir, add: Add) -> None:
    add("release.py", phase="build")
    verdict = run_report.write(rundir)
    assert verdict.kind is VerdictKind.PARTIAL
    assert verdict.phases_not_reached == ("serve", "up", "install", "token", "test")
    assert junit(rundir).get("errors") == "0"


def test_phase_that_was_not_needed_is_not_missing(rundir: RunDir, add: Add) -> None:
    for phase in ("build", "serve", "up", "install", "test"):
        add(phase, phase=phase)
    assert judge(read_run_data(rundir)).kind is VerdictKind.PASSED


@pytest.mark.parametrize("skipped", [True, False])
def test_nothing_tried_is_no_pass(rundir: RunDir, add: Add, skipped: bool) -> None:
    if skipped:
        add("smoke", Outcome.SKIPPED, message="needs el9", phase="test")
    verdict = run_report.write(rundir)
    assert (verdict.kind, verdict.exit_code) == (VerdictKind.NOTHING, 3)
    assert junit(rundir).find(".//testcase/skipped") is not None


def test_damaged_files_are_reported_not_fatal(rundir: RunDir, add: Add) -> None:
    add("ok")
    (rundir.path / "state").mkdir()
    (rundir.path / "state" / "build.json").write_text('{"no": 1')
    with (rundir.path / "cases.jsonl").open("a") as file:
        file.write('{"phase": "inst')
    run_report.write(rundir)
    assert junit(rundir).get("tests") == "1"
    assert "state/build.json" in rundir.html.read_text()


def test_report_of_an_empty_directory(tmp_path: Path) -> None:
    """Nothing is known, so nothing passed."""
    folder = tmp_path / "20260101T000000Z-pocketwms-1234abcd-deb13"
    folder.mkdir()
    verdict = run_report.write(RunDir(folder))
    assert (verdict.kind, verdict.exit_code) == (VerdictKind.INTERRUPTED, 130)
    assert "run.json cannot be read" in verdict.headline
    assert junit(RunDir(folder)).get("name") == "pocketwms.deb13"
    assert "no run.json" in RunDir(folder).html.read_text()


NASTY = [
    "\x00\x01\x08\x0b\x1f\x7f\x85\x9f",
    "]]><![CDATA[ </failure></testcase>",
    "\ufffe\uffff\ufdd0 \u2028\u2029 \u202eevil",
    "&#0; &#xFFFE; &lt; <script>alert(1)</script>",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b",
    "{{ 7*7 }} {% raw %}",
    "a\r\nb\rc\td",
    "\U0001f680\U0010ffff",
]


@pytest.mark.parametrize("nasty", NASTY)
def test_whatever_a_test_prints_the_reports_are_valid(rundir: RunDir, add: Add, nasty: str) -> None:
    rundir.update(ref=nasty, product=f"p{nasty}")
    add(
        nasty,
        Outcome.FAILED,
        message=nasty,
        evidence=nasty * 3,
        log=nasty,
        role=nasty,
        phase=nasty,
        exit_code=7,
    )
    add(nasty, message=nasty)
    run_report.write(rundir)
    junit(rundir)
    page = rundir.html.read_text()
    assert page.count("<script") == 1  # its own
    assert "\x1b" not in page
    assert "{{" not in page or "7*7" in nasty


def test_random_bytes(rundir: RunDir, add: Add) -> None:
    source = random.Random(20261123)
    for number in range(200):
        noise = source.randbytes(300).decode("utf-8" if number % 2 else "latin-1", "replace")
        add(f"case {noise}", Outcome.FAILED, message=noise, evidence=noise, exit_code=7)
    run_report.write(rundir)
    assert junit(rundir).get("failures") == "200"


def test_no_secret_anywhere(rundir: RunDir, add: Add) -> None:
    remember("s3cr3t&<value>")
    text = f"Authorization: Bearer {JWT}\n{JWT} hvs.CAESIJ0123456789abcdefghij s3cr3t&<value>"
    text += "\n-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----\n"
    add(f"case {JWT}", Outcome.FAILED, message=text, evidence=text, log=JWT, role=JWT, exit_code=7)
    add("passed", message=text)
    rundir.save(values.COMMIT, commit().model_copy(update={"subject": text, "source": f"https://{JWT}@x/y"}))
    verdict = run_report.write(rundir)
    for written in (rundir.junit.read_text(), rundir.html.read_text(), verdict.model_dump_json()):
        for secret in ("eyJ", "hvs.CAES", "s3cr3t", "MIIabc"):
            assert secret not in written
    junit(rundir)


def test_reports_stay_small(rundir: RunDir, add: Add) -> None:
    for number in range(300):
        add(f"case {number}", Outcome.FAILED, message="what " * 1000, evidence="it was\n" * 850, exit_code=7)
    run_report.write(rundir)
    assert rundir.junit.stat().st_size < 1_250_000  # of three million characters
    assert rundir.html.stat().st_size < 2_500_000
    junit(rundir)


def test_overview_has_a_suite_per_cell(rundir: RunDir, add: Add, tmp_path: Path) -> None:
    add("ok")
    run_report.write(rundir)
    out = tmp_path / "all of it"
    later = RunDir(Path(shutil.copytree(rundir.path, f"{rundir.path}-2")))
    report = run_report.write_combined([(rundir, None), (later, None)], out)
    tree = etree.parse(out / "junit.xml")
    etree.XMLSchema(etree.parse(shipped.folder("reports") / "junit.xsd")).assertValid(tree)
    assert len(tree.getroot().findall("testsuite")) == len(report.runs) == 2
    page = (out / "report.html").read_text()
    assert f'href="../{rundir.path.name}/report.html"' in page
    assert f">{later.id}<" in page


def test_suites_of_runs_of_one_platform_differ(rundir: RunDir, add: Add, tmp_path: Path) -> None:
    add("ok")
    later = RunDir(Path(shutil.copytree(rundir.path, f"{rundir.path}-2")))
    elsewhere = RunDir(Path(shutil.copytree(rundir.path, f"{rundir.path}-el9")))
    elsewhere.update(platform="el9")
    run_report.write_combined([(rundir, None), (later, None), (elsewhere, None)], tmp_path / "out")
    suites = etree.parse(tmp_path / "out" / "junit.xml").getroot().findall("testsuite")
    names = [f"pocketwms.deb13.{rundir.id}", f"pocketwms.deb13.{later.id}", "pocketwms.el9"]
    assert [suite.get("name") for suite in suites] == names
    first, second = ([dict(case.attrib) for case in suite.iter("testcase")] for suite in suites[:2])
    assert first == second


def test_time_of_a_phase_leaves_out_its_pauses() -> None:
    cases = [
        Case(phase="install", role="r", name="n", outcome=Outcome.PASSED, started=start, seconds=seconds)
        for start, seconds in ((10, 5), (0, 4), (1, 1), (12, 5))
    ]
    assert intervals(cases) == [(0, 4), (10, 17)]

"""The HTML report: self-contained, escaped, complete; it begins with what went wrong and where that is said."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from lxml import html

from itb.errors import InstallError, LogLine
from itb.model import Case, CaseKey, HostInfo, Notes, Outcome, PlannedCases, Quote, Remark
from itb.report import page_cases, run_report, text_pages
from itb.report.html import group_privileges, href
from itb.report.run_data import read_run_data
from itb.report.timeline import draw, ticks
from itb.rundir import values
from itb.rundir.directory import RunDir, RunState
from itb.rundir.journal import Journal

START = 1_795_400_000.0


def case(name: str, **more: object) -> Case:
    fields = {"phase": "test", "role": "ce", "outcome": Outcome.PASSED, "started": START, "seconds": 1.0}
    return Case.model_validate({**fields, "name": name, **more})


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    rundir = RunDir(tmp_path)
    rundir.write_state(
        RunState(
            id="r",
            short_id="s",
            product="pocketwms",
            platform="deb13",
            ref="broken/x; rm -rf ~",
            scenarios=("smoke",),
            started=START,
            exit_code=2,
            kept=True,
        )
    )
    return rundir


def page(rundir: RunDir) -> html.HtmlElement:
    run_report.write(rundir, notes=Notes(platform_note="A pass on deb13 does not prove EL."))
    return html.fromstring(rundir.html.read_text())


def shown_phases(rundir: RunDir) -> list[page_cases.PagePhase]:
    run_data = read_run_data(rundir)
    return page_cases.group_by_phase(run_data, page_cases.page_cases(run_data), ())


def lines(excerpt: html.HtmlElement) -> list[tuple[str, str]]:
    """Numbers and texts of an excerpt's lines that are shown at once, the quoted one first if there is one."""
    shown = excerpt.xpath("./pre[1]/mark | ./pre[1]/span")
    return [(line.get("data-number") or "", line.text_content()) for line in shown]


def test_page_needs_nothing_from_elsewhere(rundir: RunDir) -> None:
    """The only script that may run is its own, which is known by its checksum."""
    rundir.append_case(case("<script>alert(1)</script>", outcome=Outcome.FAILED, message="<img src=x>"))
    tree = page(rundir)
    (script,) = tree.xpath("//script")
    assert not script.attrib
    assert not tree.xpath("//img | //iframe | //object | //link[@href != 'data:,']")
    assert not tree.xpath("//@*[starts-with(name(), 'on')]")
    assert not re.search(r"@import|url\(", rundir.html.read_text())
    policy = tree.xpath("string(//meta/@content[contains(., 'default-src')])")
    checksum = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'")
    assert policy.endswith(f"script-src 'sha256-{checksum}'")
    assert tree.get("lang") == "en"
    assert tree.xpath("//meta[@name='viewport']")


def test_a_failure_is_shown_with_the_line_of_the_log_it_was_read_from(rundir: RunDir) -> None:
    """Of another host than the step's; the page of that log is linked at that line, and has it."""
    log = rundir.host("factory") / "var" / "log" / "odd #name?"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number} <b>\n" for number in range(1, 200)))
    step = rundir.results / "smoke" / "01-x.log"
    step.parent.mkdir(parents=True)
    step.write_text("waiting\nheld & gone\n")
    quotes = [
        Quote(file=str(log.relative_to(rundir.path)), line=100, text="line 100 <b>"),
        Quote(file="results/smoke/01-x.log", text="held & gone"),
        Quote(file="hosts/factory/absent.log", line=7, text="not collected"),
    ]
    rundir.append_case(case("smoke: fine"))
    rundir.append_case(
        case("smoke: jobs <run>", outcome=Outcome.FAILED, message="held & gone; factory: line 100 <b>",
             evidence="<b>x</b>", log="results/smoke/01-x.log", exit_code=2, quotes=quotes)
    )  # fmt: skip
    tree = page(rundir)
    (red,) = tree.xpath("//ol/li[contains(@class, 'failed')]")
    assert red.xpath("ancestor::details[@open]")
    assert "jobs <run>" in red.text_content()
    sources = red.xpath(".//p[@class='source']")
    link = "./pages/1-odd-name-.html#L100"
    assert sources[0].xpath("string(a/@href)") == link
    assert sources[0].text_content() == "hosts/factory/var/log/odd #name?, line 100"
    assert sources[1].text_content() == "results/smoke/01-x.log, line 2"
    assert sources[2].text_content() == "hosts/factory/absent.log, line 7 (not in the run directory)"
    cause, polled, evidence = red.xpath(".//div[@class='excerpt']")
    assert lines(cause)[:2] == [("100", "line 100 <b>"), ("101", "line 101 <b>")]
    assert cause.xpath("string(details[1]/summary)") == "30 lines before"
    assert sum(len(pre.xpath("*")) for pre in cause.xpath(".//pre")) == 30 + 1 + 60
    assert lines(polled) == [("2", "held & gone")]
    assert lines(evidence) == [("", "<b>x</b>")]
    text = html.fromstring((rundir.path / link.partition("#")[0]).read_text())
    assert text.xpath("string(//span[@id='L100'])") == "line 100 <b>"
    assert "quoted" in text.xpath("string(//span[@id='L100']/@class)")
    assert "held & gone" in tree.xpath("string(//header)")
    assert tree.xpath("string(//header//a/@href)") == f"#{red.get('id')}"
    assert "itb shell" in tree.text_content()
    assert "--ref 'broken/x; rm -rf ~'" in tree.text_content()


@pytest.mark.parametrize(
    ("evidence", "shown"),
    [
        ("before\nthe  cause is this\nafter\n", ["the  cause is this", "after"]),
        ("".join(f"{number}\n" for number in range(30)), [str(number) for number in range(18, 30)]),
        ("only this", ["only this"]),
        ("it failed: the cause\nanother\n", ["it failed: the cause", "another"]),
    ],
)
def test_evidence_begins_with_what_is_quoted_or_is_its_end(
    rundir: RunDir, evidence: str, shown: list[str]
) -> None:
    rundir.append_case(
        case("x", outcome=Outcome.ERROR, message="it failed: the cause (and 1 more)", evidence=evidence,
             quotes=[Quote(text="the cause is this")])
    )  # fmt: skip
    tree = page(rundir)
    (excerpt,) = tree.xpath("//div[@class='excerpt']")
    assert [text for _, text in lines(excerpt)] == shown
    everything = "\n".join(pre.text_content().rstrip() for pre in excerpt.xpath(".//pre"))
    assert [line.strip() for line in everything.splitlines()] == [line.strip() for line in evidence.splitlines()]


@pytest.mark.parametrize("number", [0, 700, 2500, 4999])
def test_evidence_that_was_cut_has_the_line_that_is_quoted(rundir: RunDir, number: int) -> None:
    evidence = "".join(f"line {number:04}\n" for number in range(5000))
    quotes = [LogLine(f"line {number:04}")]
    with pytest.raises(InstallError), Journal(rundir).case("install", "ce", "x"):
        raise InstallError("it failed", evidence=evidence, quotes=quotes)
    (excerpt,) = page(rundir).xpath("//div[@class='excerpt']")
    assert excerpt.xpath("string(.//mark)") == f"line {number:04}"
    assert excerpt.text_content().count("characters left out") <= 2


def test_another_trouble_is_the_second_line(rundir: RunDir) -> None:
    also = Quote(text="functions: No such file or directory", also=True)
    rundir.append_case(case("x starts", outcome=Outcome.FAILED, message="m", quotes=[Quote(text="m"), also]))
    tree = page(rundir)
    for place in ("//header//p", "//li//p"):
        assert tree.xpath(f"string({place}[@class='also'])") == f"Also: {also.text}"


def test_a_run_of_an_earlier_version_has_its_cause_and_log(rundir: RunDir) -> None:
    log = rundir.results / "smoke" / "01-x.log"
    log.parent.mkdir(parents=True)
    log.write_text("it\n")
    old = case("x", outcome=Outcome.FAILED, message="m", evidence="it", log="results/smoke/01-x.log")
    line = old.model_dump_json(exclude={"quotes", "remark"})
    (rundir.path / "cases.jsonl").write_text(f"{line}\n")
    tree = page(rundir)
    assert tree.xpath("string(//p[@class='source']/a/@href)") == "./results/smoke/01-x.log"
    assert [text for _, text in lines(tree.find_class("excerpt")[0])] == ["it"]


def test_no_file_outside_of_the_run_is_shown(rundir: RunDir, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret"
    secret.write_text("the secret\n")
    (rundir.path / "hosts").mkdir()
    (rundir.path / "hosts" / "link").symlink_to(secret)
    for file in ("hosts/link", str(secret), f"../{secret.parent.name}/secret"):
        quote = Quote(file=file, line=1, text="the secret")
        rundir.append_case(case(file, outcome=Outcome.FAILED, message="m", quotes=[quote]))
    page(rundir)
    assert not [path for path in rundir.path.rglob("*.html") if ">the secret<" in path.read_text()]


def test_a_page_of_a_long_log_has_what_is_around_the_lines_that_are_linked(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"{number}\n" for number in range(1, 20_001)))
    written = text_pages.write(tmp_path, {"log": [5000, 15_000], "absent": []})
    assert written == {"log": "pages/1-log.html"}
    text = html.fromstring((tmp_path / "pages" / "1-log.html").read_text())
    assert len(text.xpath("//span[@data-number]")) == 2 * (2 * text_pages.MARGIN + 1)
    assert [gap.text_content() for gap in text.find_class("gap")] == [
        "lines 1 to 2999 are in the file itself", "lines 7001 to 12999 are in the file itself",
    ]  # fmt: skip
    assert text.xpath("string(//a[2]/@href)") == "../log"


@pytest.mark.parametrize("name", ["n" * 255, "a/b.html", "ü\n%2e", "..html"])
def test_a_page_of_a_log_that_a_host_has_named(tmp_path: Path, name: str) -> None:
    for file in (name, "a.html"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("it\n")
    assert set(text_pages.write(tmp_path, {"a.html": [1], name: [1]})) == {"a.html", name}


@pytest.mark.parametrize(
    "name", ["x.log.html", "x.svg", "x.xml", "SchedLog", "x.html.log", "x.LOG", ".log", "x.html "]
)
def test_what_a_host_has_named_is_never_a_page_of_its_own(rundir: RunDir, name: str) -> None:
    """Browsers take such a name, or none that they know, for a page, and run what it says."""
    folder = rundir.path / "hosts" / "factory"
    folder.mkdir(parents=True)
    for file in (name, "journal.txt", "x.log"):
        (folder / file).write_text("<script>alert(1)</script>\n")
    rundir.append_case(case("x", outcome=Outcome.FAILED, log=f"hosts/factory/{name}", quotes=(
        Quote(text="<script>alert(1)</script>", file=f"hosts/factory/{name}", line=1),
        Quote(text="absent", file=f"hosts/factory/{name}"),
    )))
    targets = {unquote(link).partition("#")[0] for link in page(rundir).xpath("//a/@href")}
    inner = {link for file in rundir.path.rglob("pages/*.html") for link in html.parse(file).xpath("//a/@href")}
    assert targets - {""} > {"./hosts/factory/journal.txt", "./hosts/factory/x.log"}
    assert not [link for link in {*targets, *inner} if unquote(link).endswith(f"/{name}")]
    (shown,) = [file for file in rundir.path.rglob("pages/*.html") if f"./pages/{file.name}" in targets]
    assert "<script>" not in shown.read_text()
    assert "alert(1)" in shown.read_text()


def test_the_lock_opens_as_text(rundir: RunDir) -> None:
    (rundir.path / "lock.yaml").write_text("product: pocketwms\n")
    rundir.append_case(case("x"))
    assert page(rundir).xpath("string(//footer//a[. = 'lock.yaml']/@href)") == "./pages/1-lock.yaml.html"
    assert "product: pocketwms" in (rundir.path / "pages" / "1-lock.yaml.html").read_text()


def test_cases_can_be_filtered_and_say_what_they_are(rundir: RunDir) -> None:
    """By a script; without it, the form is hidden and all cases are there."""
    rundir.update(exit_code=0)
    rundir.append_case(case("a", outcome=Outcome.SKIPPED, remark=Remark.KNOWN_FAILURE, message="known: b"))
    rundir.append_case(case("b", remark=Remark.FLAKY, role="factory", message="at the second try"))
    rundir.append_case(case("c", outcome=Outcome.SKIPPED, message="no token"))
    rundir.append_case(case("d", outcome=Outcome.SKIPPED, message="no token"))
    tree = page(rundir)
    assert tree.xpath("//form[@id='filter'][@hidden]")
    assert tree.xpath("//form//input[@name='status']/@value") == ["known failure", "flaky", "skipped"]
    assert tree.xpath("//form//select[@name='role']/option/text()") == ["every role", "ce", "factory"]
    assert [item.get("data-status") for item in tree.find_class("case")] == [
        "known failure", "flaky", "skipped", "skipped",
    ]  # fmt: skip
    assert [item.text_content() for item in tree.xpath("//ul[@class='case-reasons']/li")] == [
        "1 known failure: known: bce: a",
        "1 flaky: at the second tryfactory: b",
        "2 skipped: no tokence: c, ce: d",
    ]  # fmt: skip


def test_what_hosts_may_do_is_said_once() -> None:
    some = HostInfo(role="", container="c", fqdn="f", address="a", image="i", image_id="i")
    may_do = {"ce": "few", "factory": "few", "workspace": "all", "old": ""}
    hosts = [some.model_copy(update={"role": role, "privileges": may}) for role, may in may_do.items()]
    assert group_privileges(hosts) == [("ce, factory", "few"), ("workspace", "all")]


def test_phases_never_reached_are_shown_and_not_counted(rundir: RunDir) -> None:
    rundir.append_case(
        case("build", phase="build", role="", outcome=Outcome.FAILED, message="m", exit_code=4)
    )
    tree = page(rundir)
    shown = [element.text_content().split()[0] for element in tree.find_class("phase")]
    assert shown == ["build", "serve", "up", "install", "token", "test"]
    assert len(tree.find_class("unreached")) == 5


def test_phases_are_in_the_order_of_the_pipeline_and_open_where_red(rundir: RunDir) -> None:
    for number, phase in enumerate(("down", "up", "test", "build", "odd", "install")):
        outcome = Outcome.FAILED if phase == "install" else Outcome.PASSED
        rundir.append_case(case(phase, phase=phase, outcome=outcome, message="m", started=START + number))
    tree = page(rundir)
    phases = tree.xpath("//details[@data-phase]")
    assert [phase.get("data-phase") for phase in phases] == ["build", "up", "install", "test", "down", "odd"]
    assert [phase.get("data-phase") for phase in phases if phase.get("open") is not None] == ["install"]
    assert tree.xpath("//main/*[1]//h2/text()") == ["Cases"]


def test_a_phase_that_only_the_ce_has_reached_is_there_once(rundir: RunDir) -> None:
    rundir.append_case(case("dnf", phase="install", role="ce"))
    rundir.append_case(case("b", phase="build", role="", outcome=Outcome.FAILED, message="m", exit_code=4))
    (install,) = page(rundir).xpath("//*[contains(@class, 'phase')][.//span[@class='name'] = 'install']")
    assert "not reached by the candidate" in install.text_content()


def test_what_the_run_has_not_come_to_is_counted(rundir: RunDir) -> None:
    keys = [CaseKey("build", "", "b"), CaseKey("test", "ce", "a"), CaseKey("test", "ce", "b")]
    rundir.save(values.PLANNED_CASES, PlannedCases(cases=(*keys, CaseKey("install", "ce", "c"))))
    rundir.append_case(case("b", phase="build", role="", outcome=Outcome.FAILED, message="m", exit_code=4))
    rundir.append_case(case("a"))
    shown = {phase.name: (len(phase.groups), phase.unreached) for phase in shown_phases(rundir)}
    assert shown["build"] == (1, 0)
    assert shown["install"] == (0, 1)
    assert shown["test"] == (1, 1)
    text = page(rundir).text_content()
    assert "not reached (1 case)" in text
    assert "1 not reached" in text


def test_checks_are_shown_below_their_step(rundir: RunDir) -> None:
    for name in ("smoke: a: one", "smoke: a: two", "smoke: a", "smoke: b"):
        rundir.append_case(case(name, seconds=0.0 if "a:" in name else 1.0))
    (phase,) = [phase for phase in shown_phases(rundir) if phase.name == "test"]
    (group,) = phase.groups
    assert [(page_cases.short_name(case, group.title), bool(case.step)) for case in group.cases] == [
        ("a", False), ("one", True), ("two", True), ("b", False),
    ]  # fmt: skip


def test_steps_are_shown_under_their_scenario(rundir: RunDir) -> None:
    rundir.update(exit_code=0)
    for step in (
        case("smoke: a"),
        case("b", log="results/tokens/01-b.log"),
        case("c", phase="test.extra"),
        case("d"),
    ):
        rundir.append_case(step)
    (phase,) = [phase for phase in shown_phases(rundir) if phase.name == "test"]
    assert [group.title for group in phase.groups] == ["smoke", "tokens", "extra", ""]


@pytest.mark.parametrize("log", ["../secret", "/etc/passwd", "absent.log", ""])
def test_only_files_of_the_run_are_linked(tmp_path: Path, log: str) -> None:
    assert href(tmp_path, log, tmp_path) == ""


def test_bars_of_one_row_do_not_overlap(rundir: RunDir) -> None:
    rundir.update(exit_code=0)
    for number in range(50):
        rundir.append_case(case(f"{number}", started=START + number % 7, seconds=number % 5))
    timeline = draw(read_run_data(rundir))
    assert timeline is not None
    assert [lane.title for lane in timeline.lanes] == ["phases", "ce"]
    for lane in timeline.lanes:
        for row in lane.rows:
            for left, right in itertools.pairwise(row):
                assert left.left + left.width <= right.left + 0.02
            assert all(0 <= bar.left <= 100 and bar.left + bar.width <= 100.1 for bar in row)


@pytest.mark.parametrize("whole", [0.001, 0.5, 7, 59, 61, 100, 3600, 50_000, 1e7])
def test_ticks(whole: float) -> None:
    assert 1 <= len(ticks(whole)) <= 7


def test_every_element_is_closed(rundir: RunDir) -> None:
    rundir.append_case(case("x", outcome=Outcome.FAILED, message="m", evidence="e"))
    page(rundir)
    source = rundir.html.read_text()
    for tag in ("div", "section", "details", "table", "ul", "ol", "li", "dl", "main", "header", "p", "pre"):
        assert len(re.findall(rf"<{tag}\b", source)) == source.count(f"</{tag}>"), tag

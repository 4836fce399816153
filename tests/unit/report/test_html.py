"""The HTML report: self-contained, escaped, complete."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from lxml import html

from itb.model import Case, Notes, Outcome
from itb.report import write
from itb.report.facts import gather
from itb.report.html import group_phases, href
from itb.report.timeline import draw, ticks
from itb.rundir.directory import RunDir, RunState

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
            short="s",
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
    write.write(rundir, notes=Notes(platform_note="A pass on deb13 does not prove EL."))
    return html.fromstring(rundir.html.read_text())


def test_page_needs_nothing_from_elsewhere(rundir: RunDir) -> None:
    rundir.append_case(case("x"))
    tree = page(rundir)
    assert not tree.xpath("//script | //img | //iframe | //link[@href != 'data:,']")
    assert not re.search(r"@import|url\(", rundir.html.read_text())
    assert "default-src 'none'" in tree.xpath("string(//meta/@content[contains(., 'default-src')])")
    assert tree.get("lang") == "en"
    assert tree.xpath("//meta[@name='viewport']")


def test_failures_come_first_with_evidence_and_a_link_to_the_log(rundir: RunDir) -> None:
    log = rundir.results / "smoke" / "01 odd #name?.log"
    log.parent.mkdir(parents=True)
    log.write_text("all of it")
    relative = str(log.relative_to(rundir.path))
    rundir.append_case(case("smoke: fine"))
    rundir.append_case(
        case(
            "smoke: jobs <run>",
            outcome=Outcome.FAILED,
            message="held & gone",
            evidence="<b>x</b>",
            log=relative,
            exit_code=2,
        )
    )
    tree = page(rundir)
    article = tree.xpath("//section[1]//article")[0]
    assert "smoke: jobs <run>" in article.text_content()
    assert article.xpath("string(pre)") == "<b>x</b>"
    assert article.xpath("string(.//a/@href)") == "./results/smoke/01%20odd%20%23name%3F.log"
    assert "held & gone" in tree.xpath("string(//header)")
    assert "itb shell" in tree.text_content()
    assert "--ref 'broken/x; rm -rf ~'" in tree.text_content()


def test_phases_never_reached_are_shown_and_not_counted(rundir: RunDir) -> None:
    rundir.append_case(
        case("build", phase="build", role="", outcome=Outcome.FAILED, message="m", exit_code=4)
    )
    tree = page(rundir)
    unreached = [element.text_content().split()[0] for element in tree.find_class("unreached")]
    assert unreached == ["serve", "up", "install", "token", "test"]


def test_steps_are_shown_under_their_scenario(rundir: RunDir) -> None:
    rundir.update(exit_code=0)
    for step in (
        case("smoke: a"),
        case("b", log="results/tokens/01-b.log"),
        case("c", phase="test.extra"),
        case("d"),
    ):
        rundir.append_case(step)
    (phase,) = group_phases(gather(rundir))
    assert [group.title for group in phase.groups] == ["smoke", "tokens", "extra", ""]


@pytest.mark.parametrize("log", ["../secret", "/etc/passwd", "absent.log", ""])
def test_only_files_of_the_run_are_linked(tmp_path: Path, log: str) -> None:
    assert href(tmp_path, log, tmp_path) == ""


def test_bars_of_one_row_do_not_overlap(rundir: RunDir) -> None:
    rundir.update(exit_code=0)
    for number in range(50):
        rundir.append_case(case(f"{number}", started=START + number % 7, seconds=number % 5))
    timeline = draw(gather(rundir))
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
    for tag in ("div", "section", "article", "details", "table", "ul", "dl", "main", "header", "p"):
        assert len(re.findall(rf"<{tag}\b", source)) == source.count(f"</{tag}>"), tag

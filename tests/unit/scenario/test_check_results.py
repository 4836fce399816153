"""What a scenario's script says of itself: TAP and JUnit XML, well-formed, broken and hostile."""

from __future__ import annotations

import io
import tarfile
import time
from pathlib import Path

import pytest

from itb.model import Outcome
from itb.scenario import result_files
from itb.scenario.check_results import LIMIT, CheckResults, parse_junit, parse_tap, parse_tap_log
from itb.util.redact import MARK

PASSED, FAILED, SKIPPED = Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJpdGIifQ.c2lnbmF0dXJl"


def tap(text: str) -> CheckResults:
    results = parse_tap(text)
    assert results is not None
    return results


def junit(folder: Path, text: str | bytes) -> CheckResults:
    path = folder / "result.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return parse_junit(path)


@pytest.mark.parametrize(
    "text",
    [
        "", "hello\n1..2\n", "ok then\n", "okay 1\n", "1.2.3\n", "1..many\n", "ok\nnot ok\nok 1 - x\n",
        "ok\n    1..2\n", "ok\n1..2 of many\n", "it prints\n  TAP version 13\nok\n",
    ],
)  # fmt: skip
def test_ordinary_output_is_not_tap(text: str) -> None:
    assert parse_tap(text) is None


def test_tap_outcomes_names_and_reasons() -> None:
    results = tap(
        "TAP version 14\n1..7\nok 1 - first\nnot ok 2 - second\n# it broke\nok 3\n"
        "ok 4 - fourth # SKIP no network\nnot ok 5 fifth # TODO next release\nok - sixth \\# 6\nok 7 # skip\n"
    )
    assert [(item.name, item.outcome) for item in results.items] == [
        ("first", PASSED), ("second", FAILED), ("check 3", PASSED), ("fourth", SKIPPED),
        ("fifth", SKIPPED), ("sixth # 6", PASSED), ("check 7", SKIPPED),
    ]  # fmt: skip
    assert results.items[1].message == "it broke"
    assert results.items[3].message == "no network"
    assert "next release" in results.items[4].message
    assert not results.problem


def test_tap_yaml_block_gives_message_and_duration() -> None:
    results = tap("1..1\nnot ok 1 - x\n  ---\n  message: 'disk is full'\n  duration_ms: 1500\n  ...\n")
    assert results.items[0].message == "disk is full"
    assert results.items[0].seconds == 1.5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1..3\nok 1\nok 2\n", "3 checks were planned, 2 were made"),
        ("1..1\nok 1\nok 2\n", "1 checks were planned, 2 were made"),
        ("TAP version 13\nok 1\n", "ended before the plan"),
        ("1..2\nok 1\nBail out! no database\n", "bailed out: no database"),
        ("1..2\nok 1\n1..1\n", "a second plan: 1..1 after 1..2"),
        ("ok 1\n1..1\nok 2\n", "1 checks were planned, 2 were made"),
        ("1..2 # both\nok 1\n", "2 checks were planned, 1 were made"),
    ],
)
def test_tap_that_breaks_its_promise_is_a_problem(text: str, problem: str) -> None:
    assert problem in tap(text).problem


def test_tap_may_plan_last_or_nothing() -> None:
    assert not tap("TAP version 13\nok 1\nok 2\n1..2\n").problem
    nothing = tap("1..0 # SKIP not on this platform\n")
    assert (nothing.skipped, nothing.problem, nothing.items) == ("not on this platform", "", [])


@pytest.mark.parametrize(
    "text",
    [
        "ok 1\nnot ok 2 - bad\n1..2\n",
        "hello\nTAP version 13\n1..2\nok 1\nnot ok 2 - bad\n",
        "hello\n1..2\nok 1\nnot ok 2 - bad\n",
        "\ufeff1..2\nok 1\nnot ok 2 - bad\n",
        "\ufeffTAP version 14\r\nok 1\r\nnot ok 2 - bad\r\n1..2\r\n",
    ],
)
def test_tap_is_found_wherever_its_plan_is(tmp_path: Path, text: str) -> None:
    (tmp_path / "log").write_text(text)
    for results in (parse_tap(text), parse_tap_log(text, tmp_path / "log", 0)):
        assert results is not None
        assert ([item.name for item in results.failed], results.problem) == (["bad"], "")


def test_results_are_kept_up_to_a_limit_and_a_failure_beyond_it_is_not_lost() -> None:
    count = LIMIT + 50
    lines = "".join(f"ok {number}\n" for number in range(1, count)) + f"not ok {count} - the last\n"
    results = tap(f"1..{count}\n{lines}")
    assert len(results.items) == LIMIT
    assert results.left_out == 50
    assert "the last" in results.problem


def test_long_lines_cost_no_time() -> None:
    results = tap("1..1\nok 1 - " + " " * 1_000_000 + "#" + " " * 1_000_000 + "\n")
    assert len(results.items[0].name) < 5000


def test_equal_names_are_told_apart() -> None:
    results = tap("1..3\nok 1 - x\nok 2 - x\nok 3 - y\n")
    assert [name for name, _ in results.with_unique_names()] == ["x", "x (2)", "y"]


def test_junit_outcomes(tmp_path: Path) -> None:
    results = junit(
        tmp_path,
        """<?xml version="1.0"?><testsuites><testsuite name="s">
        <testcase classname="a.b" name="good" time="1,000.5"/>
        <testcase name="bad"><failure message="3 != 4">Traceback &amp; more</failure></testcase>
        <testcase name="broken"><error>line one
last line</error><system-out>not this</system-out></testcase>
        <testcase name="left out"><skipped message="no GPU"/></testcase>
        </testsuite></testsuites>""",
    )
    assert [(item.name, item.outcome, item.message) for item in results.items] == [
        ("a.b.good", PASSED, ""), ("bad", FAILED, "3 != 4"),
        ("broken", FAILED, "last line"), ("left out", SKIPPED, "no GPU"),
    ]  # fmt: skip
    assert results.items[0].seconds == 1000.5
    assert results.items[1].evidence == "Traceback & more"
    assert not results.problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not well-formed"),
        ("<testsuite><testcase name='x'></testsuite>", "not well-formed"),
        ("<html/>", "not JUnit"),
        ("<?xml version='1.0' encoding='x-unknown'?><testsuite/>", "result.xml"),
        (b"<testsuite>\x00\xff</testsuite>", "not well-formed"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><testsuite><testcase name='&b;'/></testsuite>", "document type"),
        ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><testsuite/>", "document type"),
    ],
)
def test_junit_that_cannot_be_trusted_is_a_problem(tmp_path: Path, text: str | bytes, problem: str) -> None:
    assert problem in junit(tmp_path, text).problem


@pytest.mark.parametrize(
    ("text", "failures"),
    [
        (
            "<testsuite name='s' tests='5' failures='3'><testcase name='a'/></testsuite>",
            "result.xml: suite 's' counts 3 failures, and none is listed",
        ),
        (
            "<testsuites errors='1'><testsuite><testcase name='a'/></testsuite></testsuites>",
            "result.xml: suite '' counts 1 failures, and none is listed",
        ),
        ("<testsuite name='s' errors='1'><error message='setup broke'/></testsuite>", "s: setup broke"),
        (
            "<testsuites><testsuite><testcase name='a'/><failure>\nwhy\n</failure></testsuite></testsuites>",
            "suite: why",
        ),
        (
            "<testsuites failures='1'><testsuite failures='1'><testcase name='a'><failure message='b'/></testcase>"
            "</testsuite><testsuite failures='1' name='c'><testcase name='d'/></testsuite></testsuites>",
            "a: b; result.xml: suite 'c' counts 1 failures, and none is listed",
        ),
        (
            "<testsuite failures='0' errors='1'><testcase name='a'><failure/><failure message='b'/></testcase>"
            "<skipped/></testsuite>",
            "a: without a reason",
        ),
        ("<testsuite tests='9' failures='many' errors=''><testcase name='a'/></testsuite>", ""),
        ("<testsuites failures='0'><testsuite failures='0'><testcase name='a'/></testsuite></testsuites>", ""),
    ],
)
def test_junit_says_of_a_suite_what_its_cases_do_not(tmp_path: Path, text: str, failures: str) -> None:
    results = junit(tmp_path, text)
    failed = [f"{item.name}: {item.message}" for item in results.failed]
    assert "; ".join([*failed, *([results.problem] if results.problem else [])]) == failures


def test_junit_text_is_kept_in_bounds(tmp_path: Path) -> None:
    long = "y" * 5_000_000
    results = junit(tmp_path, f"<testsuite><testcase name='x'><failure>{long}</failure></testcase></testsuite>")
    assert len(results.items[0].evidence) <= 6000
    assert len(results.items[0].message) <= 6000


def pack(folder: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    path = folder / "results.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for entry, content in entries:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def test_result_files_stay_where_they_belong_and_carry_no_secret(tmp_path: Path) -> None:
    link = tarfile.TarInfo("link.xml")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    archive = pack(
        tmp_path,
        (tarfile.TarInfo("./a/result.xml"), f"<testsuite><testcase name='{TOKEN}'/></testsuite>".encode()),
        (tarfile.TarInfo("../escaped.xml"), b"<testsuite/>"),
        (tarfile.TarInfo("/tmp/itb-escaped.xml"), b"<testsuite/>"),
        (link, b""),
    )
    results = result_files.read(archive, tmp_path / "out" / "01-step")
    assert [item.name for item in results.items] == [MARK]
    written = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(written) == ["out/01-step/a/result.xml", "out/01-step/left-out.txt", "results.tar"]


def test_an_archive_that_was_cut_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = pack(tmp_path, (tarfile.TarInfo("big.bin"), b"x" * 100_000))
    archive.write_bytes(archive.read_bytes()[:50_000])
    assert "cannot be read: unexpected end of data" in result_files.read(archive, tmp_path / "out").problem
    monkeypatch.setattr(result_files, "TOTAL_LIMIT", 50_000)
    assert "larger than" in result_files.read(archive, tmp_path / "out").problem
    archive.write_bytes(b"")
    assert "no folder any more" in result_files.read(archive, tmp_path / "out").problem


LINK = tarfile.TarInfo("r.xml")
LINK.type, LINK.linkname = tarfile.SYMTYPE, "other.xml"
SUITE = "<testsuite><testcase name='x'><failure/></testcase></testsuite>"


@pytest.mark.parametrize(
    ("entry", "content", "problem"),
    [
        (tarfile.TarInfo("r.xml"), SUITE.encode() + b"\0", "result file r.xml was left out: binary"),
        (tarfile.TarInfo("r.XML"), SUITE.encode("utf-16"), "result file r.XML was left out: binary"),
        (tarfile.TarInfo("../r.xml"), SUITE.encode(), "result file ../r.xml was left out: leads elsewhere"),
        (LINK, b"", "result file r.xml was left out: a link or a device"),
        (tarfile.TarInfo("r.XML"), SUITE.encode(), ""),
        (tarfile.TarInfo("core"), b"\x7fELF\0", ""),
    ],
)
def test_junit_that_was_left_out_is_a_problem(
    tmp_path: Path, entry: tarfile.TarInfo, content: bytes, problem: str
) -> None:
    results = result_files.read(pack(tmp_path, (entry, content)), tmp_path / "out")
    assert results.problem == problem
    assert len(results.failed) == (entry.name == "r.XML" and not problem)


def test_a_steps_own_left_out_txt_is_in_nobodys_way(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("x.xml")
    folder.type = tarfile.DIRTYPE
    archive = pack(
        tmp_path, (tarfile.TarInfo("core"), b"\0"), (folder, b""), (tarfile.TarInfo("left-out.txt/a"), b"mine")
    )
    assert result_files.read(archive, tmp_path / "out").problem == ""
    assert (tmp_path / "out" / "left-out.txt" / "a").read_text() == "mine"
    assert (tmp_path / "out" / "itb-left-out.txt").read_text() == "binary: core\n"


def test_too_many_and_too_large_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_files, "FILE_LIMIT", 10)
    (tmp_path / "out").mkdir()
    archive = pack(tmp_path, (tarfile.TarInfo("big.log"), b"x" * 11), (tarfile.TarInfo("small.log"), b"x"))
    assert "big.log" in result_files.unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out" / "big.log").exists()
    monkeypatch.setattr(result_files, "ENTRIES_LIMIT", 1)
    archive = pack(tmp_path, *2 * [(tarfile.TarInfo("a"), b"x")])
    assert "more than 1 entries" in result_files.unpack(archive, tmp_path / "out")


def test_tap_too_long_for_memory_is_read_from_its_log(tmp_path: Path) -> None:
    log = tmp_path / "step.log"
    body = "".join(f"ok {number} - check {number}\n" for number in range(1, 12_001))
    log.write_text(f"an earlier try\nok 1 - of which\n{'x' * 200_000} ok 7\n")
    offset = log.stat().st_size
    with log.open("a") as file:
        file.write("said on standard error\n1..12000\n" + body[:-1])
    results = parse_tap_log("1..12000\nok 1 - check 1\n", log, offset)
    assert results is not None
    assert (results.problem, len(results.items), results.left_out) == ("", LIMIT, 2000)
    log.write_text(body + "not ok 12001\n[itb 1] a line of step.sh\n1..12001\n")
    results = parse_tap_log("ok 1 - check 1\n[...]\n1..12001\n", log, 0, skip="[itb 1]")
    assert results is not None
    assert results.problem.endswith("check 12001")
    assert parse_tap_log("no TAP\n", log, offset) is None


def test_archives_with_names_that_cannot_be_are_no_crash(tmp_path: Path) -> None:
    archive = pack(
        tmp_path,
        (tarfile.TarInfo("a"), b"a file"),
        (tarfile.TarInfo("a/b.xml"), b"below a file"),
        (tarfile.TarInfo("x" * 300), b"too long"),
        (tarfile.TarInfo("fine.xml"), b"<testsuite><testcase name='n'/></testsuite>"),
    )
    results = result_files.read(archive, tmp_path / "out")
    assert [item.name for item in results.items] == ["n"]
    assert results.problem == "result file a/b.xml was left out: File exists"
    assert "File name too long: xxx" in (tmp_path / "out" / "left-out.txt").read_text()


def test_a_tag_of_many_megabytes_takes_no_minutes(tmp_path: Path) -> None:
    path = tmp_path / "r.xml"
    path.write_text(f"<testsuite><testcase name='{'x' * 15_000_000}'/></testsuite>")
    began = time.process_time()
    results = parse_junit(path)
    assert time.process_time() - began < 10
    assert [len(item.name) for item in results.items] == [500]


def test_what_a_name_has_in_it_is_no_line_of_tap() -> None:
    results = tap("1..1\nnot ok 1 - file /x\u2028ok 2 - all is well\x852..2\n")
    assert [item.outcome for item in results.items] == [FAILED]
    assert not results.problem

"""What ``itb logs`` prints: the failed case's log first, no packages, and errors that name what there is."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from itb.cli.commands import following, logs
from itb.cli.commands.following import LogQuery
from itb.errors import UsageError
from itb.model import Case, Outcome
from itb.rundir import logs as rundir_logs
from itb.rundir.directory import RunDir

MakeRun = Callable[..., RunDir]


def show(
    run: str = "", role: str = "", name: str = "", *, tail: str = "", follow: bool = False, json: bool = False
) -> None:
    logs.logs({}, run, role, name, tail=tail, follow=follow, as_json=json)


def fail(rundir: RunDir, name: str, **changes: Any) -> None:
    fields = {
        "phase": "start", "role": "factory", "name": name, "outcome": Outcome.FAILED, "message": f"{name} died",
        "started": 1.7e9, "seconds": 1, "exit_code": 7,
    }  # fmt: skip
    rundir.append_case(Case.model_validate({**fields, **changes}))


@pytest.fixture
def red(make_run: MakeRun) -> RunDir:
    rundir = make_run("1-red", exit_code=7, finished=1.7e9 + 5)
    for name in (
        "hosts/factory/journal.txt", "hosts/factory/var/log/factory.log", "hosts/frontend/journal.txt",
        "build/release-manager.log", "results/smoke/01-a.log", "commands.log", "repo/rpms/RPM-GPG-KEY-itb",
    ):  # fmt: skip
        (rundir.path / name).parent.mkdir(parents=True, exist_ok=True)
        (rundir.path / name).write_text("".join(f"line {number} of {name}\n" for number in range(1, 101)))
    (rundir.build / "a.rpm").write_bytes(b"\xed\xab\xee\xdb\0\1\2")
    (rundir.build / "text.rpm").write_text("no log")
    (rundir.host("factory") / "empty.log").touch()
    (rundir.host("factory") / "binary").write_bytes(bytes(range(256)))
    return rundir


def test_the_log_of_the_case_that_decided_comes_first(red: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    fail(red, "later", log="hosts/factory/journal.txt", started=1.7e9 + 3)
    fail(red, "first", log="hosts/factory/var/log/factory.log")
    show()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "start.factory first: first died"
    assert lines[1] == "==> hosts/factory/var/log/factory.log (last 40 of 100 lines) <=="
    assert lines[2] == "line 61 of hosts/factory/var/log/factory.log"
    assert "start.factory later: later died" in lines
    assert lines[-1] == "itb logs 1-red factory lists those of factory"
    table = [line.split() for line in lines[-6:-1]]
    assert [row[:2] for row in table] == [
        ["build", "1"], ["smoke", "1"], ["factory", "2"], ["frontend", "1"], ["itb", "1"]
    ]  # fmt: skip
    assert len(lines) < 100, "no list of ninety paths"


def test_a_case_without_a_log_shows_its_evidence(red: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    fail(red, "x", evidence="what was seen\nof it")
    show()
    assert capsys.readouterr().out.startswith("start.factory x: x died\nwhat was seen\nof it\n\n")


def test_of_many_failed_cases_some_are_shown_and_the_others_counted(
    red: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        fail(red, f"case {number}", started=1.7e9 + number)
    show()
    out = capsys.readouterr().out
    assert "case 2 died" in out
    assert "case 3 died" not in out
    assert "and 2 failed cases more: itb show 1-red --failed" in out


def test_a_role_or_a_scenario_has_a_list_and_a_name_is_printed_whole(
    red: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(red, "elsewhere", role="frontend", log="hosts/frontend/journal.txt")
    show("1-red", "factory")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["log", "journal.txt", "var/log/factory.log"]
    show("", "smoke")
    assert "01-a.log" in capsys.readouterr().out
    show("1-red", "factory", "factory.log")
    assert len(capsys.readouterr().out.splitlines()) == 100
    show("1-red", "factory", "journal", tail="2")
    assert capsys.readouterr().out.splitlines() == [f"line {n} of hosts/factory/journal.txt" for n in (99, 100)]
    show("1-red", "factory", "o", tail="1")
    assert capsys.readouterr().out.splitlines()[::2] == [
        f"==> hosts/factory/{name} (last 1 of 100 lines) <==" for name in ("journal.txt", "var/log/factory.log")
    ]


def test_the_run_may_be_left_out_before_a_role(red: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    show("factory", "journal")
    assert capsys.readouterr().out.startswith("line 1 of hosts/factory/journal.txt\n")
    show("itb")
    assert "commands.log" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("factry",), "no run is called 'factry', and run 1-red has no logs of it; did you mean 'factory'"),
        (("1-red", "factry"), "run 1-red has no logs of 'factry'; did you mean 'factory'"),
        (("1-red", "nosuch"), "has no logs of 'nosuch'; it has: build, smoke, factory, frontend, itb"),
        (("1-red", "factory", "jurnal"), "no log of factory is called 'jurnal'; did you mean 'journal.txt'"),
        (("../x",), "no run is called '../x'"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(red: RunDir, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        show(*words)
    assert message in caught.value.message


@pytest.mark.parametrize("tail", ["0", "-3", "x", "1.5", "²"])
def test_a_number_of_lines_is_one(red: RunDir, tail: str) -> None:
    with pytest.raises(UsageError, match="--tail"):
        show(tail=tail)


def test_a_run_without_logs_says_how_to_wait_for_them(make_run: MakeRun) -> None:
    make_run("1-a")
    with pytest.raises(UsageError, match="run 1-a has no logs yet") as caught:
        show()
    assert caught.value.hint == "itb logs 1-a --follow waits for them"


def test_json_names_every_log_and_which_belong_to_failed_cases(
    red: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    fail(red, "x", log="hosts/factory/journal.txt")
    show(json=True)
    listed = json.loads(capsys.readouterr().out)
    assert [(log["place"], log["name"]) for log in listed if log["failed"]] == [("factory", "journal.txt")]
    assert {log["place"] for log in listed} == {"build", "smoke", "factory", "frontend", "itb"}
    with pytest.raises(UsageError, match="--follow has no end"):
        show(json=True, follow=True)


ESCAPES = "\x1b]0;title\x07\x1b[31mred\x1b[2J\x9b2J\x07"  # title, colour, clear, clear in 8 bits, bell


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_a_log_commands_reaches_no_terminal(
    red: RunDir, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool
) -> None:
    """Nor one behind a pipe: a pager hands on what it gets."""
    (red.results / "smoke" / "01-a.log").write_text(f"{ESCAPES}\n")
    named_by_a_host = red.path / "hosts" / "factory" / f"{ESCAPES}.log"
    named_by_a_host.write_text("of a host\n")
    fail(red, f"case {ESCAPES}", log="results/smoke/01-a.log", evidence=ESCAPES)
    fail(red, "without a log", evidence=ESCAPES)
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    show("1-red", "smoke", "01")
    assert capsys.readouterr().out == "red\ufffd2J\ufffd\n"
    show("1-red", "factory", "red")
    show("1-red", "factory")
    show("1-red")
    show("1-red", "smoke", "01", follow=True)
    out = capsys.readouterr().out
    assert "red" in out
    assert not set(out) & set("\x1b\x07\x9b")


def test_after_the_end_nothing_is_waited_for(red: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    show("1-red", "smoke", "01", follow=True)
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 100
    assert "run 1-red has ended" in shown.err


def test_lines_are_shown_as_they_come_until_the_run_ends(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a line waits for its other half; what was written just before the end is shown."""
    rundir = make_run("1-a")
    log = rundir.results / "smoke" / "01-a.log"
    log.parent.mkdir(parents=True)
    steps = iter([
        lambda: log.write_text("one\ntw"),
        lambda: log.write_text("one\ntwo\n"),
        lambda: fail(rundir, "x"),
        lambda: log.write_text("one\ntwo\nthree\n"),
    ])  # fmt: skip

    def goes_on() -> bool:
        step = next(steps, None)
        if step:
            step()
        return step is not None

    monkeypatch.setattr(threading.Event, "wait", lambda *_: True)
    asked = LogQuery(rundir, "", "", None)
    following._print_growing(asked, lambda: [log.path for log in rundir_logs.list_logs(rundir)], goes_on)
    title = "==> results/smoke/01-a.log <=="
    assert capsys.readouterr().out.splitlines() == [
        title,
        "one",
        "two",
        "FAIL start.factory x: x died",
        title,
        "three",
    ]


def test_paths_are_not_followed_out_of_the_run(red: RunDir, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x\n")
    (red.host("factory") / "link.log").symlink_to(tmp_path / "secret")
    assert "link.log" not in {log.name for log in rundir_logs.list_logs(red)}


def test_what_is_collected_at_the_end_is_not_followed_unless_asked_for(red: RunDir) -> None:
    def followed(place: str, name: str = "") -> list[str]:
        return [red.relative(path) for path in following._growing(LogQuery(red, place, name, None))]

    assert followed("") == ["build/release-manager.log", "results/smoke/01-a.log"]
    assert followed("itb") == ["commands.log"]
    assert followed("factory", "journal") == ["hosts/factory/journal.txt"]

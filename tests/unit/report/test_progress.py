"""Live progress and the summary at the end."""

from __future__ import annotations

import io
import re
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from itb.errors import InstallError
from itb.model import Case, Outcome, Remark
from itb.report import progress as report_progress
from itb.report import run_report, summary
from itb.rundir.directory import RunDir, RunState
from itb.rundir.journal import Journal


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    rundir = RunDir(tmp_path)
    state = RunState(
        id="r", short_id="s", product="pocketwms", platform="deb13", ref="main", started=time.time()
    )
    rundir.write_state(state)
    return rundir


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def case(name: str, **more: object) -> Case:
    fields = {"phase": "install", "role": "ce", "outcome": Outcome.PASSED, "started": 1.0, "seconds": 4.06}
    return Case.model_validate({**fields, "name": name, **more})


def text(renderable: object, *, width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(renderable)
    return stream.getvalue()


@pytest.mark.parametrize("plain", [True, False])
def test_every_end_is_shown_once_and_in_order_from_many_threads(rundir: RunDir, plain: bool) -> None:
    stream = Screen()
    with report_progress.progress("x", stream=stream, plain=plain) as listener:
        journal = Journal(rundir, [listener])

        def work(number: int) -> None:
            for count in range(20):
                with journal.case("up", f"host{number}", f"try-{number}-{count}-") as case:
                    case.note("noise \x1b[2J")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    shown = stream.getvalue()
    for number in range(5):
        positions = [shown.index(f"try-{number}-{count}-") for count in range(20)]
        assert positions == sorted(positions)
    assert "\x1b[2J" not in shown
    if plain:
        assert len(shown.splitlines()) == 100


def test_plain_lines_say_how_it_ended(rundir: RunDir) -> None:
    stream = io.StringIO()
    with report_progress.progress("x", stream=stream) as listener:
        journal = Journal(rundir, [listener])
        with journal.case("install", "factory", "dnf install x"):
            pass
        with pytest.raises(InstallError), journal.case("install", "frontend", "dnf install y"):
            raise InstallError("nothing provides z")
        with journal.case("test", "", "smoke") as case:
            case.skip("needs el9")
        with journal.case("test", "", "flaky") as case:
            case.passed("passed only at try 2")
            case.remark = Remark.FLAKY
    lines = [line.partition("] ")[2] for line in stream.getvalue().splitlines()]
    assert lines[0].startswith("ok    install.factory  dnf install x (0.0")
    assert lines[1].startswith("FAIL  install.frontend  dnf install y (0.0")
    assert lines[1].endswith("s): nothing provides z")
    assert lines[2].startswith("skip  test  smoke (")
    assert lines[3].endswith("s): passed only at try 2")
    assert "\x1b" not in stream.getvalue()


def test_lines_of_several_cells_name_the_platform(rundir: RunDir, tmp_path: Path) -> None:
    stream = io.StringIO()
    with report_progress.progress("x", stream=stream) as listener:
        for platform in ("el9", "deb13"):
            journal = Journal(rundir, [report_progress.PlatformListener(listener, platform)])
            with journal.case("install", "factory", "dnf installs") as case:
                case.note("halfway")
            assert journal.cases[-1].phase == "install", "the run itself keeps its names"
    lines = [line.partition("] ")[2].partition(" (")[0] for line in stream.getvalue().splitlines()]
    assert lines == ["ok    el9 install.factory  dnf installs", "ok    deb13 install.factory  dnf installs"]


def test_plain_log_shows_life(rundir: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_progress, "LONG", 0.0)
    monkeypatch.setattr(report_progress, "HEARTBEAT", 0.0)
    stream = io.StringIO()
    heartbeat = threading.Event()

    class Watching(report_progress.PlainProgress):
        def _write_line(self, line: str) -> None:
            super()._write_line(line)
            if line.startswith("still"):
                heartbeat.set()

    progress = Watching("x", stream)
    progress.start()
    journal = Journal(rundir, [progress])
    with journal.case("build", "workspace", "release.py") as case:
        case.note("mock: installing")
        assert heartbeat.wait(10)
    progress.close()
    lines = stream.getvalue().splitlines()
    assert lines[0].endswith("...   build.workspace  release.py")
    assert "still  build.workspace release.py (" in lines[1]
    assert lines[1].endswith(": mock: installing")


def test_a_stream_that_breaks_does_not_stop_the_run(rundir: RunDir) -> None:
    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    for plain in (True, False):
        with report_progress.progress("x", stream=Broken(), plain=plain) as listener:
            journal = Journal(rundir, [listener])
            with journal.case("up", "ce", "boot"):
                pass
    assert len(rundir.cases()) == 2


def test_a_slow_terminal_does_not_slow_down_the_run(rundir: RunDir) -> None:
    gate = threading.Event()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            gate.wait(10)
            return super().write(text)

    stream = Slow()
    with report_progress.progress("x", stream=stream, plain=True) as listener:
        for number in range(1000):
            listener.finished(case(f"n{number}"))
        gate.set()
    assert "n999 " in stream.getvalue()


@pytest.mark.parametrize(
    ("environment", "stream", "plain"),
    [
        ({"TERM": "xterm"}, Screen, False),
        ({"TERM": "xterm"}, io.StringIO, True),
        ({"TERM": "xterm", "CI": "true"}, Screen, True),
        ({"TERM": "dumb"}, Screen, True),
    ],
)
def test_where_a_live_display_belongs(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], stream: type[io.StringIO], plain: bool
) -> None:
    for name in ("CI", "TERM", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert summary.is_plain(Console(file=stream())) is plain


def test_ascii_stream_gets_ascii(rundir: RunDir) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with report_progress.progress("x", stream=stream) as listener:
        listener.finished(case("Größe ✓"))
    stream.flush()
    assert b"Gr\\xf6\\xdfe" in raw.getvalue()
    rundir.append_case(case("Größe"))
    console = Console(file=stream)
    run_report.show(rundir, console, exit_code=0, plain=True)
    stream.flush()
    assert b"PARTIAL: 1 case passed" in raw.getvalue()


def test_live_display_shows_what_is_running_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    state = report_progress.ProgressState("pocketwms main on deb13")
    for number in range(30):
        key = ("up", f"host{number:02d}", "boot", float(number))
        state.running[key] = report_progress.DisplayedCase(
            "up", f"host{number:02d}", "boot [bold]x", now - 61, note="unit " * 50
        )
    state.ended = {Outcome.PASSED: 3, Outcome.FAILED: 1}
    lines = text(report_progress.live_display(state, 12)).splitlines()
    assert len(lines) <= 12
    assert "pocketwms main on deb13" in lines[1]
    assert "3 ✓ 1 ✗" in lines[1]
    assert lines[2].startswith("host00")
    assert "61.0 s" in lines[2]
    assert "boot [bold]x  unit unit" in lines[2]
    assert "and 22 more" in lines[-1]


def test_summary(rundir: RunDir) -> None:
    rundir.append_case(case("release.py", phase="build", role=""))
    rundir.append_case(
        case(
            "dnf install",
            role="frontend",
            outcome=Outcome.FAILED,
            message="nothing provides [z]",
            exit_code=7,
            log="a.log",
        )
    )
    for plain in (True, False):
        stream = io.StringIO()
        verdict = run_report.show(rundir, Console(file=stream, width=100), exit_code=7, plain=plain)
        shown = stream.getvalue()
        assert verdict.exit_code == 7
        assert "FAILED" in shown
        assert "The candidate did not install, verify or start" in shown
        assert "nothing provides [z]" in shown
        assert "a.log" in shown
        assert "not reached" in shown
        assert "junit.xml" in shown
        assert "itb run --product pocketwms --platform deb13 --ref main" in shown
        assert "\x1b" not in shown


def test_summary_of_a_kept_run_says_how_to_get_in(rundir: RunDir) -> None:
    rundir.update(kept=True)
    stream = io.StringIO()
    run_report.show(rundir, Console(file=stream, width=100), exit_code=0, plain=True)
    shown = stream.getvalue()
    assert re.search(rf"itb shell --runs \S+ {rundir.id}$", shown, re.MULTILINE), "no host is known"
    assert f"itb down --run {rundir.id}" in shown


def test_no_color_is_honoured(rundir: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("CI", raising=False)
    stream = Screen()
    with report_progress.progress("x", stream=stream, plain=False) as listener:
        listener.finished(case("n", outcome=Outcome.FAILED, message="m"))
    assert "\x1b[31m" not in stream.getvalue()
    assert "\x1b[1;31m" not in stream.getvalue()

"""What is said of processes that have ended; the processes themselves are in the integration tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from itb.errors import InstallError, LogLine
from itb.process import stop as process_stop
from itb.process.result import Completed
from itb.process.stop import Stop
from tests.unit.process.timers import ManualTimer


def completed(code: int = 0, out: str = "", err: str = "", *, timed_out: bool = False) -> Completed:
    return Completed(("prog",), code, out, err, 12.3, timed_out)


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (completed(1, "out", "first\nlast words\n\n"), "last words"),
        (completed(1, "only out\n"), "only out"),
        (completed(3), "exit status 3, no output"),
        (completed(-9), "exit status -9, no output"),
        (completed(0, "x", timed_out=True), "no end within 12 s"),
    ],
)
def test_reason_is_one_line(ended: Completed, reason: str) -> None:
    assert ended.reason == reason
    assert ended.ok == (ended.returncode == 0 and not ended.timed_out)


def test_output_joins_what_there_is() -> None:
    assert completed(0, "a\n", "b\n").output == "a\nb"
    assert completed(0, "", "b\n").output == "b"
    assert completed().output == ""


def test_door_is_closed() -> None:
    with pytest.raises(pytest.fail.Exception, match="tried to start a process"):
        subprocess.run(["true"], check=False)


def test_stop_signals_only_what_lives(monkeypatch: pytest.MonkeyPatch, timers: list[ManualTimer]) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(process_stop, "signal_group", lambda group, number: seen.append((group, number)))
    stop = Stop()
    for group in (11, 12, 13):
        stop.add(group)
    stop.discard(12)
    stop.request()
    assert sorted(seen) == [(11, 15), (13, 15)]
    stop.discard(11)
    (timer,) = timers
    assert timer.seconds == process_stop.GRACE
    timer.run_out()
    assert seen[2:] == [(13, 9)], "who does not end is killed, who has ended is left alone"


def test_stop_may_be_requested_by_a_signal_handler_that_interrupts_it() -> None:
    stop = Stop()
    with stop._lock:
        stop.request()
    assert stop.event.is_set()
    stop.clear()
    assert not stop.event.is_set()


def test_a_line_is_quoted_with_its_place_in_the_log(tmp_path: Path) -> None:
    """A log that another command has begun, with the same words; of one's own, the last line is quoted."""
    log = tmp_path / "log"
    log.write_text("why\nwhy\n")
    begins = log.stat().st_size
    log.write_text("why\nwhy\nwhy\nbecause\nwhy\n")
    ended = Completed(("prog",), 1, "why\nbecause\nwhy\n", "", 1.0, log=log, log_begins=begins)
    assert ended.quote("why") == (LogLine("why", log, 5),)
    assert ended.quote("why", first=True) == (LogLine("why", log, 3),)
    assert ended.quote("never said") == ended.quote("") == ()
    error = ended.error(InstallError, "it failed: because", quoted="because")
    assert (error.quotes, error.log, error.evidence) == ((LogLine("because", log, 4),), log, ended.output)
    assert ended.error(InstallError, "it failed: why").quotes == (LogLine("why", log, 5),)
    assert ended.error(InstallError, "its host is gone").quotes == ()
    assert completed(1, "why\n").quote("why") == (LogLine("why"),)

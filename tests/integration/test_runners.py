"""Real processes that behave badly: none of them hangs, leaks, fills the memory or outlives its run."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.errors import InterruptedRunError, TestbedError
from itb.process.output import CAPTURE_HEAD, CAPTURE_TAIL
from itb.process.request import Request
from itb.process.result import CommandError, CommandRecord
from itb.process.runner import Runner
from itb.util.redact import MARK


@pytest.fixture
def runner() -> Runner:
    return Runner()


def alive(pid: int) -> bool:
    """True if a process is there still, a moment after it was killed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        if state == "Z":
            return False
        time.sleep(0.02)
    return True


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.01)
    return path.read_text()


def test_streams_status_and_record(runner: Runner, tmp_path: Path) -> None:
    lines: list[CommandRecord] = []
    runner.record = lines.append
    argv = ["bash", "-c", "echo out; echo err >&2; exit 3"]
    done = runner.run(Request(argv, check=False, host="ce", alias=["x", "y z"]))
    assert (done.returncode, done.stdout, done.stderr, done.ok) == (3, "out\n", "err\n", False)
    assert [(line.host, line.argv, line.returncode) for line in lines] == [("ce", ("x", "y z"), 3)]


def test_failure_names_command_cause_and_log(runner: Runner, tmp_path: Path) -> None:
    log = tmp_path / "deep" / "x.log"
    with pytest.raises(CommandError, match=r"bash -c .*: the cause$") as caught:
        runner.run(Request(["bash", "-c", "echo before; echo the cause >&2; exit 1"], log=log))
    assert caught.value.exit_code == 5
    assert caught.value.log == log
    assert "before" in caught.value.evidence
    assert sorted(log.read_text().split("\n")) == ["", "before", "the cause"]


def written(*paths: Path) -> bool:
    """True once each of these has a whole line."""
    return all(path.exists() and path.read_text().endswith("\n") for path in paths)


def test_timeout_ends_every_child(
    runner: Runner, tmp_path: Path, limits_start_when: Callable[..., None]
) -> None:
    limits_start_when(lambda: written(tmp_path / "stubborn", tmp_path / "deep"))
    script = f"""
        bash -c 'trap "" TERM; echo $$ > {tmp_path}/stubborn; sleep 600; sleep 600' &
        bash -c 'bash -c "echo \\$\\$ > {tmp_path}/deep; exec sleep 600"; true' &
        wait
    """
    done = runner.run(Request(["bash", "-c", script], timeout=0.2, check=False))
    assert done.timed_out
    assert not done.ok
    assert "no end within" in done.reason
    for name in ("stubborn", "deep"):
        assert not alive(int(wait_for(tmp_path / name)))


def test_timeout_kills_who_ignores_being_asked(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits_start_when: Callable[..., None]
) -> None:
    limits_start_when(lambda: written(tmp_path / "pid"))
    monkeypatch.setattr("itb.process.stop.GRACE", 0.5)
    script = f'trap "" TERM INT HUP; echo $$ > {tmp_path}/pid; while true; do sleep 0.1; done'
    done = runner.run(Request(["bash", "-c", script], timeout=0.2, check=False))
    assert done.timed_out
    assert done.returncode == -signal.SIGKILL
    assert not alive(int(wait_for(tmp_path / "pid")))


def test_child_that_holds_the_pipe_does_not_hold_the_run(runner: Runner, tmp_path: Path) -> None:
    began = time.monotonic()
    done = runner.run(Request(["bash", "-c", f"sleep 600 & echo $! > {tmp_path}/pid; echo out"]))
    assert done.stdout == "out\n"
    assert time.monotonic() - began < 60
    assert not alive(int(wait_for(tmp_path / "pid")))


def test_both_streams_far_beyond_a_pipe_buffer(runner: Runner) -> None:
    script = "import sys\nfor i in range(20000): print('o'*50); print('e'*50, file=sys.stderr)"
    done = runner.run(Request([sys.executable, "-c", script], timeout=600))
    assert done.stdout.count("o" * 50 + "\n") == 20000
    assert done.stderr.count("e" * 50 + "\n") == 20000


def test_large_input_nobody_reads(runner: Runner) -> None:
    assert runner.run(Request(["true"], input=b"x" * 5_000_000)).ok
    assert runner.run(Request(["head", "-c", "3"], input=b"abcdef" * 1_000_000)).stdout == "abc"


def test_input_from_bytes_and_file(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"from a file")
    assert runner.run(Request(["cat"], input=tmp_path / "in")).stdout == "from a file"
    assert runner.run(Request(["cat"], input=b"from bytes")).stdout == "from bytes"
    assert runner.run(Request(["cat"])).stdout == "", "without input there is nothing to wait for"


def test_one_line_of_ten_megabytes(runner: Runner, tmp_path: Path) -> None:
    done = runner.run(Request([sys.executable, "-c", "print('x' * 10_000_000, end='')"], log=tmp_path / "log"))
    assert (tmp_path / "log").stat().st_size == 10_000_000
    assert len(done.stdout) < CAPTURE_HEAD + 2 * CAPTURE_TAIL + 100
    assert "bytes left out" in done.stdout


def test_bytes_that_are_no_text(runner: Runner, tmp_path: Path) -> None:
    done = runner.run(Request(["printf", r"a\0b\xff\xfe\n\r\xc3"], log=tmp_path / "log"))
    assert done.stdout == "a\0b\ufffd\ufffd\n\r\ufffd"
    assert (tmp_path / "log").read_bytes() == b"a\0b\xff\xfe\n\r\xc3"


def test_binary_output_to_a_file(runner: Runner, tmp_path: Path) -> None:
    done = runner.run(Request(["bash", "-c", r"printf '\0\1eyJ'; echo words >&2"], stdout_to=tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"\0\1eyJ"
    assert (done.stdout, done.stderr) == ("", "words\n")


def test_memory_stays_bounded(runner: Runner) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    runner.run(Request(["bash", "-c", "yes 0123456789 | head -c 100000000"], timeout=600))
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 80, "MB"


def test_secrets_never_reach_log_memory_or_error(runner: Runner, tmp_path: Path) -> None:
    token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJpdGIifQ.MEUCIQDxabcdefgh"
    split = 'printf %s "${T:0:25}"; sleep 0.2; echo "${T:25}"; exit 1'
    seen: list[str] = []
    request = Request(
        ["bash", "-c", split, token], env={"T": token}, log=tmp_path / "log", on_line=seen.append
    )
    with pytest.raises(CommandError) as caught:
        runner.run(request)
    for text in ((tmp_path / "log").read_text(), str(caught.value), caught.value.evidence, *seen):
        assert token[25:] not in text
        assert MARK in text


def test_listener_hears_the_last_line_of_each_piece(runner: Runner, tmp_path: Path) -> None:
    """Each piece is printed once the one before was heard."""
    seen: list[str] = []

    def listen(line: str) -> None:
        seen.append(line)
        (tmp_path / line).touch()

    heard = f"heard() {{ until [ -e {tmp_path}/$1 ]; do sleep 0.01; done; }}"
    script = f"{heard}; echo one; heard one; echo two; heard two; echo; printf three"
    runner.run(Request(["bash", "-c", script], on_line=listen))
    assert seen == ["one", "two", "three"]


def test_stop_ends_what_runs_and_what_would(runner: Runner) -> None:
    pids: list[int] = []

    def stop(line: str) -> None:
        pids.append(int(line))
        runner.stop.request()

    with pytest.raises(InterruptedRunError):
        runner.run(Request(["bash", "-c", "echo $$; sleep 600"], on_line=stop))
    assert not alive(pids[0])
    with pytest.raises(InterruptedRunError):
        runner.run(Request(["true"]))
    runner.stop.clear()
    assert runner.run(Request(["true"])).ok


def test_stop_kills_who_ignores_it(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("itb.process.stop.GRACE", 0.5)
    script = 'trap "" TERM; echo begun; while true; do sleep 0.1; done'
    with pytest.raises(InterruptedRunError):
        runner.run(Request(["bash", "-c", script], timeout=600, on_line=lambda _: runner.stop.request()))


def test_a_command_that_went_well_in_spite_of_the_stop_is_not_lost(runner: Runner, tmp_path: Path) -> None:
    def stop(line: str) -> None:
        if line == "begun":
            runner.stop.request()
            (tmp_path / "asked").touch()

    script = f'trap "" TERM; echo begun; until [ -e {tmp_path}/asked ]; do sleep 0.02; done; echo done'
    assert runner.run(Request(["bash", "-c", script], on_line=stop)).stdout == "begun\ndone\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["no-such-program-at-all"], "no-such-program-at-all: not found"),
        (["/etc/passwd"], "/etc/passwd: Permission denied"),
        (["echo", "a\0b"], "echo: cannot be started: embedded null byte"),
        (["echo", "x" * 3_000_000], "Argument list too long"),
        (["echo", "\ud800"], "echo: cannot be started"),
    ],
)
def test_what_cannot_be_started(runner: Runner, argv: list[str], message: str) -> None:
    with pytest.raises(TestbedError, match=message):
        runner.run(Request(argv))


def test_places_that_are_not_there(runner: Runner, tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match="nowhere: not found"):
        runner.run(Request(["true"], cwd=tmp_path / "nowhere"))
    with pytest.raises(TestbedError, match="nowhere: not found"):
        runner.run(Request(["cat"], input=tmp_path / "nowhere"))
    (tmp_path / "file").touch()
    with pytest.raises(TestbedError, match="cannot be written"):
        runner.run(Request(["true"], log=tmp_path / "file" / "log"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_full_disk_is_the_machines_fault_and_ends(runner: Runner) -> None:
    with pytest.raises(TestbedError, match="/dev/full: cannot be written: No space left"):
        runner.run(Request(["bash", "-c", "yes | head -c 1000000"], log=Path("/dev/full")))


def test_environment_adds_or_replaces(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITB_SEEN", "outer")
    assert runner.run(Request(["bash", "-c", "echo $ITB_SEEN$X"], env={"X": "1"})).stdout == "outer1\n"
    clean = runner.run(Request(["/bin/bash", "-c", "echo $ITB_SEEN$X"], env={"X": "1"}, clean_env=True))
    assert clean.stdout == "1\n"


def test_end_is_noticed_at_once(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Popen.wait(timeout) polls every 50 ms; a run makes hundreds of calls."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    assert runner.run(Request(["sleep", "0.06"])).ok
    assert not slept


def test_nothing_is_left_open(runner: Runner) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        runner.run(Request(["cat"], input=b"x"))
        runner.run(Request(["sleep", "5"], timeout=0.01, check=False))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


@pytest.mark.parametrize("until", ["stopped", "resumed"], ids=["ended-meanwhile", "goes-on"])
def test_time_in_which_itb_was_stopped_does_not_count(until: str, tmp_path: Path) -> None:
    """Ctrl-Z and fg: the command went on, or was stopped as well; neither makes it late."""
    script = (
        "import os, subprocess, sys\n"
        "from itb.process.request import Request\n"
        "from itb.process.runner import Runner\n"
        "wait = 'wait_for() { until [ -e $1 ]; do sleep 0.02; done; };'\n"
        "wake = f'{wait} wait_for begun; kill -STOP {os.getpid()}; touch stopped; sleep 2.2;'\n"
        "wake += f'kill -CONT {os.getpid()}; touch resumed'\n"
        "waker = subprocess.Popen(['bash', '-c', wake])\n"
        "command = f'{wait} touch begun; wait_for {sys.argv[1]}'\n"
        "done = Runner().run(Request(['bash', '-c', command], cwd=os.getcwd(), timeout=2, check=False))\n"
        "waker.wait()\n"
        "sys.exit(done.reason if done.timed_out else 0)\n"
    )
    subprocess.run([sys.executable, "-c", script, until], check=True, timeout=120, cwd=tmp_path)

"""Signals, terminals and pipes that go while a run is going on, and clean-up that meets a run that is alive."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import shutil
import signal
import subprocess
import termios
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.whole

START = ("run", "--product", "pocketwms", "--platform", "deb13", "--scenario", "./quick")


def until(condition: Callable[[], object], process: subprocess.Popen[bytes], *, within: float = 300) -> None:
    """Wait for a condition while a run is alive."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, "the run has ended before"
        time.sleep(0.05)


def journal(bench: Any) -> str:
    """The journal of the one run so far."""
    with contextlib.suppress(OSError, IndexError):
        return str((bench.runs[0] / "cases.jsonl").read_text())
    return ""


def exit_code(bench: Any) -> int | None:
    """What run.json says."""
    return json.loads((bench.runs[0] / "run.json").read_text())["exit_code"]  # type: ignore[no-any-return]


def check(bench: Any, fault: str, code: int | None, *, wanted: int = 130) -> None:
    """Nothing is left, and every voice gives the same exit code."""
    leftovers = bench.settled()
    report = bench.report()
    bench.score(fault, leftovers=leftovers, lost=False)
    assert not leftovers
    assert (code, exit_code(bench), report.code) == (wanted, wanted, wanted), report.story
    assert not list((bench.runs[0] / "tokens").iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("phase", ["up", "install", "test"])
def test_signal_in_a_phase(bench: Any, number: int, phase: str) -> None:
    process = bench.start()
    until(lambda: f'{{"begun":{{"phase":"{phase}","role":"f' in journal(bench), process)
    bench.kill(process, number)
    check(bench, f"{signal.Signals(number).name} in {phase}", process.wait(120))


def test_signals_while_things_are_removed(bench: Any) -> None:
    """Three of them: the second skips the evidence, none keeps anything from being removed."""
    process = bench.start()
    until(lambda: '"begun":{"phase":"install","role":"f' in journal(bench), process)
    bench.kill(process, signal.SIGINT)
    until(lambda: '"begun":{"phase":"evidence"' in journal(bench), process)
    bench.kill(process, signal.SIGINT)
    until(lambda: '"begun":{"phase":"down"' in journal(bench), process)
    bench.kill(process, signal.SIGTERM)
    bench.kill(process, signal.SIGINT)
    check(bench, "SIGINT, again in evidence, SIGTERM and SIGINT in down", process.wait(120))


@pytest.mark.parametrize("shown", ["plain", "live"])
def test_terminal_is_closed(bench: Any, shown: str) -> None:
    """Its processes get SIGHUP, and whoever writes to it gets an error."""
    near, far = pty.openpty()

    def own() -> None:
        fcntl.ioctl(far, termios.TIOCSCTTY, 0)

    process = bench.start(
        *START, "--progress", shown, stdin=far, stdout=far, stderr=far, preexec_fn=own
    )  # fmt: skip
    os.close(far)
    until(lambda: drain(near) and '"begun":{"phase":"install","role":"f' in journal(bench), process)
    os.close(near)
    check(bench, f"terminal closed ({shown})", process.wait(120))


def drain(terminal: int) -> bool:
    """Read what was written so far, as a terminal does."""
    os.set_blocking(terminal, False)
    with contextlib.suppress(BlockingIOError):
        while os.read(terminal, 1 << 16):
            pass
    return True


def test_reader_of_the_output_goes(bench: Any) -> None:
    """``itb run 2>&1 | head -1``: the run goes on to its end, and its exit code is its own."""
    process = bench.start(*START, "--progress", "plain", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    check(bench, "itb run 2>&1 | head -1", process.wait(600), wanted=0)


def test_clean_leaves_a_living_run_alone(bench: Any) -> None:
    """Also if its directory was removed; two at once do not disturb each other; then it is killed, and swept."""
    process = bench.start()
    until(lambda: '"begun":{"phase":"install","role":"f' in journal(bench), process)
    before = bench.left()
    refused = bench.itb("run", "--resume", bench.runs[0].name)
    assert refused.returncode == 1
    assert f"process {process.pid} on" in refused.stderr
    cleaned = bench.itb("clean", cwd=Path("/"))
    assert f"{bench.runs[0].name}: still running" in cleaned.stdout
    assert {item for item in before if item.startswith("container")} <= set(bench.left())
    os.kill(process.pid, signal.SIGSTOP)  # or it would notice, and end by itself
    name = bench.runs[0].name
    shutil.rmtree(bench.runs[0])
    assert f"{name}: still running" in bench.itb("clean", cwd=Path("/")).stdout
    assert {item for item in before if item.startswith("container")} <= set(bench.left())
    bench.kill(process)
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: bench.itb("clean", cwd=Path("/")), range(2)))
    assert [one.returncode for one in both] == [0, 0], [one.stderr for one in both]
    leftovers = bench.settled()
    bench.score("killed, run directory removed, two itb clean at once", leftovers=leftovers, lost=False)
    assert not leftovers

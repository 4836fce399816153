"""Faults while itb works: a run in the background, moments to strike at, and a look at what is left afterwards.

``bench`` is the one door: ``bench.start`` begins a run, ``bench.wait_for``
waits until it says something, ``bench.left`` lists what is on the machine,
``bench.report`` reads the run as a user would, and ``bench.score`` adds a
line to the table that stands at the end of ``make faults``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from itb.containers import naming
from itb.containers.description import container_name, resource_name
from itb.containers.engine import Engine
from itb.data import shipped
from itb.model import PlatformImages

ITB = str(Path(sys.executable).with_name("itb"))
RUN = ("run", "--product", "pocketwms", "--platform", "deb13", "--progress", "plain")
# In the folder quick of every bench, for faults that smoke would only make longer.
SCENARIO = """title: The candidate's services answer
needs: {roles: [factory, frontend], token: true}
steps:
  - name: a host knows the others
    role: frontend
    run: getent hosts "$ITB_HOST_FACTORY"
  - name: the pool answers
    role: frontend
    run: condor_status -any
    eventually: {within: 60, every: 1}
"""
SCORE = "fault"  # name of the property that takes a line of the table from a worker to the end of the session


@dataclass(frozen=True)
class Report:
    """What ``itb report`` made of a run: its exit status, its words, its JSON and its JUnit cases."""

    code: int
    out: str
    verdict: dict[str, Any]
    cases: dict[str, list[tuple[str, str]]]  # passed, failure, error or skipped -> (name, message)

    @property
    def story(self) -> str:
        """What a test that fails shows."""
        bad = [*self.cases.get("failure", []), *self.cases.get("error", [])]
        return f"exit {self.code}, {self.verdict}\n{bad}\n{self.out}"


@dataclass
class Bench:
    """One run in a folder of its own, and whoever disturbs it."""

    folder: Path
    engine: Engine
    properties: list[tuple[str, object]]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """Environment of every command: the configuration of the person who tests does not count."""
        own = {key: value for key, value in os.environ.items() if not key.startswith("ITB_")}
        return {**own, "XDG_CONFIG_HOME": str(self.folder / "no-config"), "ITB_ENGINE": self.engine.program}

    @property
    def said(self) -> str:
        """What the command started last has written to standard error so far."""
        return (self.folder / "err.txt").read_text(errors="replace")

    @property
    def runs(self) -> list[Path]:
        """Run directories, oldest first."""
        return sorted(path.parent for path in (self.folder / "runs").glob("*/run.json"))

    def start(self, *args: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start ``itb ARGS`` in the background, in a session of its own as a terminal would give it.

        A terminal that is closed ends it, although nohup may have begun the tests.
        """
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with (self.folder / "out.txt").open("wb") as out, (self.folder / "err.txt").open("wb") as err:
            process = subprocess.Popen(
                [ITB, *(args or RUN)],
                **{"cwd": self.folder, "env": self.env, "stdin": subprocess.DEVNULL, "stdout": out, "stderr": err,
                   "start_new_session": True, **options},
            )  # fmt: skip
        self.started.append(process)
        return process

    def wait_for(self, text: str, process: subprocess.Popen[bytes], *, within: float = 240) -> bool:
        """Wait until the command says ``text``; False if it ends without."""
        deadline = time.monotonic() + within
        while text not in self.said:
            if process.poll() is not None:
                return text in self.said
            assert time.monotonic() < deadline, f"{text!r} was not said:\n{self.said}"
            time.sleep(0.05)
        return True

    def kill(self, process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> int:
        """Send a signal to itb alone, as ``kill PID`` does; wait for a kill -9 to be over.  Returns its status."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
        return process.wait() if number == signal.SIGKILL else 0

    def itb(self, *args: str, cwd: Path | None = None, timeout: float = 400) -> subprocess.CompletedProcess[str]:
        """Run ``itb ARGS`` to its end."""
        return subprocess.run(
            [ITB, *args], cwd=cwd or self.folder, env=self.env, timeout=timeout, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip

    def report(self, run: str = "") -> Report:
        """Read a run as a user would; its JUnit file is valid and its HTML opens, or this raises."""
        named = ["--run", run] if run else []
        shown = self.itb("report", *named)
        assert "Traceback" not in shown.stdout + shown.stderr, shown.stderr
        (verdict,) = json.loads(self.itb("report", *named, "--json").stdout)["runs"]
        tree = etree.parse(verdict["junit"]).getroot()
        etree.XMLSchema(etree.parse(shipped.folder("reports") / "junit.xsd")).assertValid(tree)
        assert "</html>" in Path(verdict["html"]).read_text()
        cases: dict[str, list[tuple[str, str]]] = {}
        for case in tree.iter("testcase"):
            bad = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
            kind = "passed" if bad is None else bad.tag
            cases.setdefault(kind, []).append((case.get("name"), bad.get("message") if bad is not None else ""))
        return Report(shown.returncode, shown.stdout + shown.stderr, verdict, cases)

    def left(self) -> list[str]:
        """What runs below this folder have on the machine: containers, networks, volumes, mounts, processes."""
        label = naming.runs_labels(self.folder / "runs")
        found = [f"container {container_name(item)}" for item in self.engine.containers(label)]
        found += [f"network {resource_name(item)}" for item in self.engine.networks(label)]
        found += [f"volume {resource_name(item)}" for item in self.engine.volumes(label)]
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        found += [f"mount {line.split()[1]}" for line in mounts if str(self.folder) in line]
        return found + [f"process {line}" for line in self.processes()]

    def processes(self, more: Sequence[str] = ()) -> list[str]:
        """Processes that name this folder, a container of a run in it or one of ``more``, or work in the folder.

        This one's own aside.
        """
        names = [str(self.folder), *more]
        for run in self.runs:  # another session's may have the same name
            with contextlib.suppress(OSError, ValueError):
                names.append(f"itb-{json.loads((run / 'run.json').read_text())['short']}-")
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            if int(path.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                if "aardvark-dns" in words:
                    continue  # the engine's one name server of all networks: it works where the first was made
                if any(name in f"{words} {(path / 'cwd').readlink()}" for name in names):
                    found.append(f"{path.name} {words[:300]}")
        return found

    def settled(self, *, within: float = 60) -> list[str]:
        """What is still left once everything that was about to end had time to."""
        deadline = time.monotonic() + within
        while (remaining := self.left()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return remaining

    def score(self, fault: str, *, leftovers: list[str], lost: bool, seconds: float = 0) -> None:
        """Put a line into the table: what was done, what stayed behind, and whether the run was lost for good."""
        line = {"fault": fault, "leftovers": leftovers, "lost": lost, "seconds": round(seconds, 1)}
        self.properties.append((SCORE, json.dumps(line)))


@pytest.fixture
def bench(
    engine: Engine,
    images: PlatformImages,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Bench]:
    """A bench whose commands are ended with the test; what their runs leave fails it (tests/conftest.py)."""
    made = Bench(tmp_path, engine, request.node.user_properties)
    (tmp_path / "quick").mkdir()
    (tmp_path / "quick" / "scenario.yaml").write_text(SCENARIO)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
            process.wait()
    # Not itb clean: what others on this machine keep is none of our business.
    engine.remove_labelled(naming.runs_labels(tmp_path / "runs"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table: every fault with what it left and whether the run could be saved."""
    lines = [
        (json.loads(value), report.outcome)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", [])
        if name == SCORE and getattr(report, "when", "") == "call"
    ]
    if not lines:
        return
    terminalreporter.section("faults")
    for line, outcome in sorted(lines, key=lambda item: str(item[0]["fault"])):
        left, lost = len(line["leftovers"]), "lost" if line["lost"] else "saved"
        terminalreporter.write_line(
            f"{line['fault']:<60} {left:>3} left  {lost:<5} {line['seconds']:>6.1f} s  {outcome}"
        )
    sums = Counter({"left": 0, "lost": 0})
    for line, _ in lines:
        sums.update(left=len(line["leftovers"]), lost=int(line["lost"]))
    terminalreporter.write_line(
        f"{len(lines)} faults injected, {sums['left']} things left behind, {sums['lost']} runs lost"
    )

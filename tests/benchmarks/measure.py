"""Paired measurements of itb; see run.sh."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from itb.config import lookup
from itb.config.scenario import Scenario, Step
from itb.config.settings import Settings
from itb.containers.connection import connect
from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.data import shipped
from itb.platforms import images
from itb.process.runner import Runner
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal
from itb.scenario import execution
from itb.scenario.script_context import ScriptContext
from itb.source import embedded, resolve
from itb.testbed import testbed

HERE = Path(__file__).resolve().parent
STEPS = 20


@dataclass(frozen=True)
class Measured:
    """One program's run: seconds on the clock and of processors, megabytes of its largest process."""

    wall: float
    cpu: float
    peak: float


def measure(argv: list[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> Measured:
    """Run a program to its end; SystemExit with its log if it fails."""
    began = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **env},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    if status:
        sys.exit(f"{argv[0]} failed, status {os.waitstatus_to_exitcode(status)}:\n{log.read_text()[-3000:]}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


class Bench:
    """Everything both sides start from: images, the product's repository, a folder for what they write."""

    def __init__(self, work: Path, product: str, source_path: str, ref: str) -> None:
        self.work, self.ref = work, ref
        self.cache = Settings(cache=str(work / "cache")).cache_dir
        runner = Runner()
        self.engine: Engine = connect(runner, "podman", self.cache)
        self.platform = lookup.load_platform("deb13")
        self.images = images.ensure(self.platform, self.engine, cache=self.cache)
        self.product = lookup.load_product(product)
        if source_path:
            self.git = Path(source_path).resolve()
        else:
            assert self.product.source.history is not None
            file = self.product.folder / self.product.source.history
            self.git = embedded.make_repository(file, self.cache / "history", runner=runner)
        self.commit = resolve.resolve(self.product, ref=ref, source=str(self.git), cache=self.cache, runner=runner)

    def plain(self, name: str, path: str = "") -> Measured:
        """Run plain.sh once."""
        folder = self.work / name
        folder.mkdir()
        references = self.images.references
        env = {
            **self.engine.env,
            **({"PATH": path} if path else {}),
            "BARE": references["bare"],
            "BUILD": references["build"],
            "SERVICES": references["services"],
            "NAME": self.product.name,
            "GIT": str(self.git),
            "REF": self.ref,
            "VERSION": self.commit.version.replace(".", "_"),
            "RC": str(self.commit.rc or ""),
            "RELEASE": self.commit.rpm_release,
            "PRODUCT": str(self.product.folder),
            "CE": str(shipped.folder("build_ws") / "ce"),
            "ISSUER": str(HERE / "issuer.py"),
        }
        return measure([str(HERE / "plain.sh"), str(folder)], env=env, cwd=folder, log=folder / "out.log")

    def itb(self, name: str, path: str = "") -> tuple[Measured, RunDir]:
        """Run itb once, with nothing built before."""
        folder = self.work / name
        folder.mkdir()
        shutil.rmtree(self.cache / "builds", ignore_errors=True)
        argv = [shutil.which("itb") or "itb", "run", "--product", self.product.name, "--platform", "deb13"]
        argv += ["--source", str(self.git), "--ref", self.ref, "--scenario", "smoke"]
        argv += ["--cache", str(self.work / "cache"), "--progress", "plain"]
        env = {**self.engine.env, **({"PATH": path} if path else {})}
        measured = measure(argv, env=env, cwd=folder, log=folder / "out.log")
        return measured, RunDir.find(folder / "runs")

    def counting(self, log: Path) -> str:
        """A PATH on which every call of podman leaves a line in ``log``."""
        tools = self.work / "tools"
        tools.mkdir(exist_ok=True)
        shim = tools / "podman"
        shim.write_text(f'#!/bin/sh\necho "$1" >>{log}\nexec {shutil.which("podman")} "$@"\n')
        shim.chmod(0o755)
        return f"{tools}:{os.environ['PATH']}"


def whole_runs(bench: Bench, pairs: int) -> None:
    """Pairs of runs, each side first in turn; then one more of each to count calls of the engine."""
    ratios, own, theirs = [], [], []
    for number in range(pairs):
        if number % 2:
            by_hand = bench.plain(f"plain-{number}")
            ours, run = bench.itb(f"itb-{number}")
        else:
            ours, run = bench.itb(f"itb-{number}")
            by_hand = bench.plain(f"plain-{number}")
        ratios.append(ours.wall / by_hand.wall)
        own.append(ours)
        theirs.append(by_hand)
        print(
            f"pair {number + 1}: itb {ours.wall:.1f} s, by hand {by_hand.wall:.1f} s, ratio {ratios[-1]:.3f}",
            flush=True,
        )
    print(f"\nratio of wall times, median of {pairs} pairs: {statistics.median(ratios):.3f}")
    for label, measured in (("itb", own), ("by hand", theirs)):
        wall, cpu, peak = (
            statistics.median(getattr(item, name) for item in measured) for name in ("wall", "cpu", "peak")
        )
        print(f"{label:<8} {wall:6.1f} s wall, {cpu:5.1f} s of its own processes, largest process {peak:.0f} MB")
    print("\nseconds of each phase of the last run, from its first case to the end of its last:")
    for phase, seconds in phases(run).items():
        print(f"  {phase:<10} {seconds:6.1f}")
    print("\nparts of the last run by hand, seconds from its start:")
    print((bench.work / f"plain-{pairs - 1}" / "out.log").read_text())
    for label, call in (("itb", bench.itb), ("by hand", bench.plain)):
        log = bench.work / f"calls-{label.replace(' ', '-')}"
        call(f"counted-{label.replace(' ', '-')}", bench.counting(log))
        print(f"calls of the engine, {label}: {len(log.read_text().splitlines())}")


def phases(run: RunDir) -> dict[str, float]:
    """Seconds from the first start to the last end of each phase's cases, in order of their start."""
    spans: dict[str, tuple[float, float]] = {}
    for case in run.cases():
        begin, end = spans.get(case.phase, (case.started, 0.0))
        spans[case.phase] = (min(begin, case.started), max(end, case.started + case.seconds))
    return {phase: end - begin for phase, (begin, end) in sorted(spans.items(), key=lambda item: item[1])}


def steps(bench: Bench, pairs: int) -> None:
    """Trivial steps of a scenario against bare calls of the engine, on one host."""
    name = f"itb-bench-{secrets.token_hex(4)}"
    engine = bench.engine
    engine.call("run", "--detach", "--name", name, "--systemd=always", bench.images.references["bare"])
    try:
        host = Host(engine, name, "bare")
        testbed.wait_booted(host)
        folder = bench.work / "twenty"
        folder.mkdir()
        play = Scenario(
            title="Trivial", steps=tuple(Step(name=f"step {n}", role="bare", run="true") for n in range(STEPS)),
            name="twenty", folder=folder,
        )  # fmt: skip
        ratios = []
        for number in range(pairs):
            journal = Journal(RunDir.create(bench.work / "runs", f"steps-{number}"))
            began = time.monotonic()
            execution.run_scenario(play, {"bare": host}, journal=journal, context=ScriptContext())
            middle = time.monotonic()
            for _ in range(STEPS):
                subprocess.run(["podman", "exec", name, "true"], check=True, env={**os.environ, **engine.env})
            ended = time.monotonic()
            ours, bare = middle - began, ended - middle
            ratios.append(ours / bare)
            print(f"{STEPS} steps {ours:.2f} s, {STEPS} bare calls {bare:.2f} s, ratio {ratios[-1]:.3f}")
        print(f"ratio of steps to bare calls, median of {pairs}: {statistics.median(ratios):.3f}")
    finally:
        engine.call("rm", "--force", "--time", "0", name)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--product", default="pocketwms", help="pocketwms, or glideinwms with --source and --ref")
    parser.add_argument("--source", default="", help="a clone of the product")
    parser.add_argument("--ref", default="main", help="a branch or tag of it")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--steps-only", action="store_true")
    only.add_argument("--runs-only", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="itb-benchmark-") as folder:
        bench = Bench(Path(folder), arguments.product, arguments.source, arguments.ref)
        load = os.getloadavg()[0]
        print(json.dumps({"processors": os.cpu_count(), "load": round(load, 1), "commit": bench.commit.id[:12]}))
        if not arguments.runs_only:
            steps(bench, arguments.pairs)
        if not arguments.steps_only:
            whole_runs(bench, arguments.pairs)


if __name__ == "__main__":
    main()

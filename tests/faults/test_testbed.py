"""Faults of the testbed and of the machine while a run goes on: each is an error with its cause, never a failure.

What needs another machine to happen (an image that is removed, an engine
that hangs) happens at the door instead: ``podman`` is a script that passes on
everything until it is told to misbehave.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from itb.config.settings import Settings

pytestmark = pytest.mark.whole

SERVED = "ok    serve.services"
TRIED = "ok    test.factory  smoke: factory submits pilots"
as_root = pytest.mark.skipif(os.getuid() != 0, reason="mounts need root")


@dataclass(frozen=True)
class Victim:
    """A run in the background that something is about to happen to."""

    bench: Any
    process: Any

    @property
    def folder(self) -> Path:
        """Its directory."""
        return Path(self.bench.runs[-1])

    def host(self, role: str) -> str:
        """Name of a role's container."""
        return f"itb-{json.loads((self.folder / 'run.json').read_text())['short']}-{role}"

    def engine(self, *argv: str) -> None:
        """Call the engine behind itb's back."""
        self.bench.engine.call(*argv)

    def inside(self, role: str, script: str) -> None:
        """Run something on a host behind itb's back."""
        self.engine("exec", self.host(role), "sh", "-c", script)

    def mount(self, role: str, folder: str, size: str) -> None:
        """Let a folder of a host be a file system of so little room."""
        pid = self.bench.engine.call("inspect", "--format", "{{.State.Pid}}", self.host(role)).stdout.strip()
        options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
        subprocess.run(["nsenter", "--target", pid, "--mount", "mount", *options], check=True)


def start(bench: Any, moment: str, *args: str, settings: str = "") -> Victim:
    """Start a run and wait until it has said ``moment``."""
    (bench.folder / "itb.yaml").write_text(settings)
    run = ("run", "--product", "pocketwms", "--platform", "deb13", "--progress", "plain", *args)
    victim = Victim(bench, bench.start(*run))
    assert bench.wait_for(moment, victim.process, within=300), bench.said
    return victim


def is_the_testbeds(victim: Victim, cause: str, *, name: str, began: float) -> None:
    """The run ends with 5, nothing of it is called a failure, and an error says the cause."""
    code = victim.process.wait(timeout=400)
    seconds = time.monotonic() - began
    report = victim.bench.report()
    messages = [message for _, message in report.cases.get("error", [])]
    leftovers = victim.bench.settled()
    victim.bench.score(name, leftovers=leftovers, lost=False, seconds=seconds)
    assert code == 5, report.story
    assert not report.cases.get("failure"), report.story
    assert report.verdict["verdict"] == "error", report.story
    assert any(re.search(cause, message) for message in messages), report.story
    assert not leftovers


def kill(role: str) -> Callable[[Victim], None]:
    return lambda victim: victim.engine("kill", victim.host(role))


def cut_off(victim: Victim) -> None:
    """Take a host from the network of its run, which is called as its containers begin."""
    host = victim.host("factory")
    victim.engine("network", "disconnect", host.removesuffix("-factory"), host)


def inside(role: str, script: str) -> Callable[[Victim], None]:
    return lambda victim: victim.inside(role, script)


STRIKES = {
    "a container dies while packages are installed": (
        SERVED, kill("factory"), r"host factory: container \S+ is not running \(exit status 137",
    ),
    "a container dies while a scenario is tried": (
        TRIED, kill("ce"), r"host ce: container \S+ is not running",
    ),
    "a container is removed": (
        SERVED, lambda victim: victim.engine("rm", "--force", "--time", "0", victim.host("frontend")),
        r"host frontend: container \S+ does not exist any more",
    ),
    "the web server of the packages dies": (
        SERVED, inside("services", "systemctl kill --signal=KILL nginx; systemctl stop nginx"),
        r"host services: the web server that serves the packages does not run",
    ),
    "names are not resolved": (
        SERVED, inside("factory", "echo nameserver 127.0.0.9 >/etc/resolv.conf; echo >/etc/hosts"),
        r"host factory: name resolution fails: repo\.glideinwms\.org",
    ),
    "the network of a host is cut off": (
        SERVED, cut_off,
        r"host factory: repo\.glideinwms\.org:443 cannot be reached|host factory: name resolution fails",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STRIKES)
def test_host_or_service_breaks(bench: Any, name: str) -> None:
    moment, strike, cause = STRIKES[name]
    victim = start(bench, moment)
    began = time.monotonic()
    strike(victim)
    is_the_testbeds(victim, cause, name=name, began=began)


@as_root
def test_disk_of_a_host_is_full(bench: Any) -> None:
    victim = start(bench, SERVED)
    began = time.monotonic()
    victim.mount("factory", "/var/cache", "1m")
    is_the_testbeds(victim, "host factory: disk full: /var/cache", name="a host's disk is full", began=began)


POLLS = """title: A step that waits for another host
needs: {roles: [factory, frontend]}
steps:
  - {name: wait, role: frontend, run: 'false', eventually: {within: 600, every: 1}}
"""


@pytest.mark.parametrize("what", ["kill", "pause"])
def test_host_dies_while_a_step_polls_on_another_one(bench: Any, what: str) -> None:
    """What the step waits for will never come: nobody waits until it gives up."""
    folder = bench.folder / "polls"
    folder.mkdir()
    (folder / "scenario.yaml").write_text(POLLS)
    victim = start(bench, "ok    start.factory  condor stays", "--scenario", str(folder), settings=QUICK)
    until_polled = victim.folder / "results" / "polls" / "01-wait.log"
    while not until_polled.exists():
        assert victim.process.poll() is None, bench.said
        time.sleep(0.1)
    began = time.monotonic()
    victim.engine(what, victim.host("factory"))
    state = "is paused" if what == "pause" else r"is not running \(exit status 137"
    name = f"a host dies while another polls: {what}"
    is_the_testbeds(victim, rf"host factory: container \S+ {state}", name=name, began=began)
    assert time.monotonic() - began < 90


def test_memory_limit_is_hit(bench: Any) -> None:
    """The kernel kills the product's process: it is the container that is too small."""
    folder = bench.folder / "greedy"
    folder.mkdir()
    (folder / "scenario.yaml").write_text(
        "title: A step that wants more memory than its host has\n"
        "steps: [{name: eat, role: factory, run: 'sleep 5; python3 -c \"x = bytearray(10**9)\"; exit 1'}]\n"
    )
    victim = start(bench, "ok    start.factory", "--scenario", str(folder))
    began = time.monotonic()
    victim.engine("update", "--memory", "600m", "--memory-swap", "600m", victim.host("factory"))
    is_the_testbeds(victim, "host factory: out of memory: the kernel killed", name="out of memory", began=began)


@pytest.fixture
def door(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A podman that does what the file ``door`` says: pass (empty), hang, fail or forget (its images)."""
    behaviour = bench.folder / "door"
    behaviour.write_text("")
    program = bench.folder / "podman"
    program.write_text(
        "#!/bin/bash\n"
        f'case $(<"{behaviour}") in\n'
        "hang) trap '' TERM; sleep 1000 ;;\n"
        "fail) echo 'Error: cannot connect to the storage: input/output error' >&2; exit 125 ;;\n"
        "forget) case $1 in run|create) echo 'Error: localhost/itb/x: image not known' >&2; exit 125 ;; esac ;;\n"
        "esac\n"
        f'exec {shutil.which(bench.engine.program)} "$@"\n'
    )
    program.chmod(0o755)
    yield behaviour
    behaviour.write_text("")
    bench.itb("clean")


QUICK = "limits: {engine: 15, engine-pulse: 5, engine-again: 5}\n"


@pytest.mark.parametrize(
    ("word", "cause"),
    [("hang", "container engine .* does not answer"), ("fail", "container engine .* fails|input/output error")],
)
def test_engine_stops_answering(bench: Any, door: Path, word: str, cause: str) -> None:
    """No call waits for ever; once the engine answers again, ``itb clean`` finds what is left."""
    victim = start(bench, SERVED, "--engine", str(bench.folder / "podman"), settings=QUICK)
    began = time.monotonic()
    door.write_text(word)
    code = victim.process.wait(timeout=300)
    seconds = time.monotonic() - began
    door.write_text("")
    report = bench.report()
    assert code == 5, report.story
    assert not report.cases.get("failure"), report.story
    assert any(re.search(cause, message) for _, message in report.cases["error"]), report.story
    assert bench.itb("clean").returncode == 0
    leftovers = bench.settled()
    bench.score(f"engine: {word}", leftovers=leftovers, lost=False, seconds=seconds)
    assert not leftovers


def test_images_are_gone_when_hosts_start(bench: Any, door: Path) -> None:
    door.write_text("forget")
    victim = start(bench, "ok    platform.images", "--engine", str(bench.folder / "podman"))
    is_the_testbeds(victim, "image not known", name="an image is removed", began=time.monotonic())


def lost_directory(bench: Any, victim: Victim, cause: str, name: str) -> None:
    """Nothing can be reported, so the terminal says it; hosts are removed all the same."""
    began = time.monotonic()
    assert victim.process.wait(timeout=300) == 5, bench.said
    leftovers = bench.settled()
    bench.score(name, leftovers=leftovers, lost=True, seconds=time.monotonic() - began)
    assert re.search(cause, bench.said), bench.said
    assert "Traceback" not in bench.said
    assert not leftovers


def test_run_directory_is_deleted(bench: Any) -> None:
    victim = start(bench, SERVED)
    folder = victim.folder
    shutil.rmtree(folder)
    lost_directory(bench, victim, f"run directory {folder}: it was deleted", "the run directory is deleted")


@as_root
def test_run_directory_becomes_read_only(bench: Any) -> None:
    victim = start(bench, SERVED)
    folder = str(victim.folder)
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        process = victim.process
        assert process.wait(timeout=300) == 5, bench.said
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
    lost_directory(bench, victim, "[Rr]ead-only file system", "the run directory becomes read-only")


@as_root
def test_disk_of_the_runs_is_full(bench: Any) -> None:
    runs = bench.folder / "runs"
    runs.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(runs)], check=True)
    try:
        (bench.folder / "itb.yaml").write_text("min_free_gb: 0\n")
        run = ("run", "--product", "pocketwms", "--platform", "deb13", "--progress", "plain")
        process = bench.start(*run)
        assert process.wait(timeout=300) == 5, bench.said
        leftovers = [item for item in bench.settled() if not item.startswith("mount")]
    finally:
        subprocess.run(["umount", "--lazy", str(runs)], check=True)
    bench.score("the disk of the runs is full", leftovers=leftovers, lost=True)
    assert re.search("No space left on device|is full", bench.said), bench.said
    assert "Traceback" not in bench.said
    assert not leftovers


@pytest.fixture
def own_cache(bench: Any, cache: Path) -> Path:
    """A cache without builds that knows which images there are."""
    own = Path(bench.folder) / "cache"
    memos = Settings(cache=str(own)).cache_dir / "platforms"
    memos.mkdir(parents=True)
    for memo in (cache / "platforms").glob("*.json"):
        shutil.copy(memo, memos)
    return own


def test_workspace_dies_while_it_builds(bench: Any, own_cache: Path) -> None:
    victim = start(bench, "ok    build.workspace  what the spec needs", settings=f"cache: {own_cache}\n")
    began = time.monotonic()
    victim.engine("kill", victim.host("workspace"))
    cause = r"host workspace: container \S+ is not running"
    is_the_testbeds(victim, cause, name="the workspace dies", began=began)


def test_kept_rpms_are_damaged(bench: Any, own_cache: Path) -> None:
    """A bit of an RPM, half an entry: neither is used, and that is said."""
    (bench.folder / "itb.yaml").write_text(f"cache: {own_cache}\n")
    build = ("build", "--product", "pocketwms", "--platform", "deb13", "--progress", "plain")
    said = []
    for harm in (None, "bit", "half"):
        if harm == "bit":
            rpm = next(own_cache.glob("*/builds/*/*.rpm"))
            content = bytearray(rpm.read_bytes())
            content[len(content) // 2] ^= 1
            rpm.write_bytes(content)
        elif harm == "half":
            next(own_cache.glob("*/builds/*/build.json")).unlink()
        began = time.monotonic()
        done = bench.itb(*build)
        assert done.returncode == 0, done.stderr
        said.append(done.stderr)
        bench.itb("down")
        bench.score(f"kept RPMs: {harm}", leftovers=bench.settled(), lost=False, seconds=time.monotonic() - began)
    assert "not used" not in said[0]
    for text, what in ((said[1], r"\.rpm"), (said[2], r"build\.json \(absent\)")):
        assert re.search(rf"not used: \S+{what}.*built again", text) or re.search(what, text), text
        assert "the RPMs are built" in text

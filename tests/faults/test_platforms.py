"""Kills and signals while a platform's images are made, and clean-up that meets such a build.

The platform is one of the test's own, made from images of deb13 in seconds,
and once deb13 itself from nothing; never under the name deb13, whose images
others may be using.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from itb.containers import naming
from itb.containers.description import container_name, resource_name
from itb.containers.image_store import ImageStore, StoredImage
from itb.data import shipped
from itb.model import PlatformImages
from itb.platforms import images as platforms_images
from itb.platforms import stages

pytestmark = pytest.mark.whole

OWN_CACHE = ("--cache", "cache")
SCRIPTS = {
    "resolve.sh": "sleep 1; echo package-1.0",
    # Something to save, so that saving takes its time.
    "bare.sh": "sleep 1; rm -rf /srv/repo; head --bytes=100M /dev/urandom >/ballast",
    "build.sh": "dnf --quiet --assumeyes --repofrompath=made,file:///srv/repo/platform --repo=made --nogpgcheck "
    "install rpm-build python3-devel systemd-rpm-macros dnf-plugins-core createrepo_c git rsync",
    "services.sh": "sleep 1",
}
STAGES = {name: {"from": "base", "script": f"{name}.sh"} for name in ("bare", "build", "services")}
# In the command line of a process that works in the test's folder when it is time; seconds to wait from then.
MOMENTS = {
    "base is pulled": (r"podman pull ", 0.5),
    "resolve": (r"exec .*/mnt/definition/resolve\.sh", 0.3),
    "stages": (r"exec .*/mnt/definition/bare\.sh", 1.2),
    "an image is saved": (r"podman commit .*itb\.image=\"?bare", 0.2),
    "images are named": (r"podman tag .*-build:", 0.2),
}
# Names are given within a tenth of a second: this engine takes its time between the first and the others.
SLOW = """#!/bin/bash
case "$1 ${3:-}" in "tag "*-build:*) sleep 3 ;; esac
exec ENGINE "$@"
"""


class Plant:
    """A platform of the test's own and what its builds leave on the machine."""

    def __init__(self, bench: Any, name: str) -> None:
        self.bench, self.name = bench, name
        self.folder = bench.folder / name
        self.folder.mkdir()
        slow = bench.folder / "podman"
        slow.write_text(SLOW.replace("ENGINE", bench.engine.program))
        slow.chmod(0o755)
        self.env = {**bench.env, "ITB_ENGINE": str(slow)}

    def define(self, base: str) -> None:
        """Write a definition that makes images like those of deb13 from its services image."""
        file = shipped.folder("build_ws") / "platforms" / "deb13" / "platform.yaml"
        content = yaml.safe_load(file.read_text())
        content |= {"base": {"image": base}, "settings": {}, "converter": False, "stages": STAGES}
        (self.folder / "platform.yaml").write_text(yaml.safe_dump(content))
        for script, text in SCRIPTS.items():
            (self.folder / script).write_text(f"#!/bin/bash\nset -euo pipefail\n{text}\n")

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        """Begin a run with this platform, or what ``args`` say."""
        run = ("run", "--product", "pocketwms", "--platform", f"./{self.name}", "--scenario", "./quick")
        return self.bench.start(*(args or (*run, "--progress", "plain")), *OWN_CACHE, env=self.env)  # type: ignore[no-any-return]

    def wait_for(self, pattern: str, process: subprocess.Popen[bytes]) -> None:
        """Wait until a process of the build has such a command line."""
        deadline = time.monotonic() + 120
        while not any(re.search(pattern, line) for line in self.processes()):
            assert process.poll() is None, f"{pattern} did not come:\n{self.bench.said}"
            assert time.monotonic() < deadline, pattern
            time.sleep(0.02)

    def processes(self) -> list[str]:
        """Command lines of what works in the test's folder or in containers of the build."""
        return [str(line) for line in self.bench.processes([f"itb-{self.name}-"])]

    def left(self, *, images: bool = False) -> list[str]:
        """What is on the machine of builds of this platform; with ``images`` its images too, but for the base."""
        engine, found = self.bench.engine, [f"process {line}" for line in self.processes()]
        filters = naming.build_labels(stages.lock_file(self.name))
        found += [f"container {container_name(item)}" for item in engine.containers(filters)]
        found += [f"volume {resource_name(item)}" for item in engine.volumes(filters)]
        for process in self.bench.started:
            found += map(str, Path(tempfile.gettempdir()).glob(f"itb-scratch-{process.pid}-*"))
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        found += [line for line in mounts if re.search(rf"itb-scratch|mmdebstrap|{self.name}", line)]
        here = ImageStore(engine).of_platform(self.name)
        keyed = [image for image in here if image.labels.key]
        unnamed = [image for image in keyed if not image.names and not has_children(image, here)]
        wrong = keyed if images else unnamed
        return found + [f"image {image.id[:12]} {image.names}" for image in wrong]

    def settled(self, *, images: bool = False) -> list[str]:
        """What is still left, of runs too, once everything that was about to end had time to."""
        deadline = time.monotonic() + 10
        while (remaining := self.left(images=images)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return remaining + list(self.bench.settled())


def has_children(image: StoredImage, images: list[StoredImage]) -> bool:
    return any(other.parent == image.id for other in images)


@pytest.fixture
def plant(bench: Any, images: PlatformImages) -> Iterator[Plant]:
    """A platform made from deb13's services image; its own images go as the test ends."""
    new_plant = Plant(bench, f"plant{os.getpid()}x{time.monotonic_ns() % 10**9}")
    new_plant.define(images.services.reference)
    yield new_plant
    for process in bench.started:
        if process.poll() is None:
            process.kill()
            process.wait()
    gone = bench.itb("platform", "remove", f"./{new_plant.name}", *OWN_CACHE)
    assert gone.returncode == 0, gone.stderr
    assert not ImageStore(bench.engine).of_platform(new_plant.name)


def kill_and_save(plant: Plant, fault: str, pattern: str, delay: float) -> None:
    """Kill a run that builds its platform; look at report and clean-up; resume it."""
    bench, began = plant.bench, time.monotonic()
    process = plant.start()
    plant.wait_for(pattern, process)
    time.sleep(delay)
    assert bench.kill(process) == -9
    report = bench.report()
    assert (report.code, report.verdict["verdict"]) == (130, "interrupted"), report.story
    assert any("images are there" in name and "cut off" in said for name, said in report.cases["error"])
    cleaned = bench.itb("clean", cwd=Path("/"))
    assert cleaned.returncode == 0, cleaned.stderr
    leftovers = plant.settled(images=True)
    resumed = bench.itb("run", "--resume", str(bench.runs[0]), "--progress", "plain", cwd=Path("/"))
    leftovers += plant.settled()
    after = bench.report()
    lost = (resumed.returncode, after.code, after.verdict["verdict"]) != (0, 0, "passed")
    took = time.monotonic() - began
    bench.score(f"platform: {fault}, clean, resume", leftovers=leftovers, lost=lost, seconds=took)
    assert not leftovers
    assert not lost, f"{resumed.returncode}\n{after.story}\n{resumed.stderr[-3000:]}"


@pytest.mark.parametrize("moment", MOMENTS)
def test_kill_while(moment: str, plant: Plant) -> None:
    kill_and_save(plant, moment, *MOMENTS[moment])


def test_kill_while_a_debian_is_made_from_nothing(plant: Plant) -> None:
    """mmdebstrap has a folder and mounts of its own, and may be told to end in the middle of anything."""
    (plant.bench.folder / "itb.yaml").write_text(f"platform_options: {{{plant.name}: {{base: mmdebstrap}}}}\n")
    subprocess.run(["rm", "-r", plant.folder], check=True)
    subprocess.run(["cp", "-r", shipped.folder("build_ws") / "platforms" / "deb13", plant.folder], check=True)
    kill_and_save(plant, "mmdebstrap", r"mmdebstrap --variant", 6.0)


@pytest.mark.parametrize("moment", MOMENTS)
def test_interrupted_while(moment: str, plant: Plant) -> None:
    pattern, delay = MOMENTS[moment]
    process = plant.start()
    plant.wait_for(pattern, process)
    time.sleep(delay)
    plant.bench.kill(process, signal.SIGINT)
    code = process.wait(60)
    report = plant.bench.report()
    # Names are given whole or not at all, so those may be there.
    leftovers = plant.settled(images=moment != "images are named")
    plant.bench.score(f"platform: SIGINT, {moment}", leftovers=leftovers, lost=False)
    assert not leftovers
    assert (code, report.code) == (130, 130), report.story
    assert len(platforms_images.find_sets(plant.bench.engine, plant.name)) == (moment == "images are named")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_platform_build_is_told_to_end(number: int, plant: Plant) -> None:
    """Without a run: at once, though a stage would go on for long."""
    (plant.folder / "services.sh").write_text("sleep 1000\n")
    process = plant.start("platform", "build", f"./{plant.name}")
    plant.wait_for(r"exec .*/mnt/definition/services\.sh", process)
    time.sleep(0.5)
    plant.bench.kill(process, number)
    code = process.wait(60)
    leftovers = plant.settled(images=True)
    plant.bench.score(f"platform build: {signal.Signals(number).name}", leftovers=leftovers, lost=False)
    assert not leftovers
    assert code == 130, plant.bench.said
    assert "Traceback" not in plant.bench.said


def test_clean_leaves_a_living_build_alone(plant: Plant) -> None:
    process, cleaned = plant.start("platform", "build", f"./{plant.name}"), []
    while process.poll() is None:
        cleaned.append(plant.bench.itb("clean", cwd=Path("/")))
    leftovers = plant.settled()
    fault = "platform build: itb clean again and again"
    plant.bench.score(fault, leftovers=leftovers, lost=process.returncode != 0)
    assert len(cleaned) > 2
    assert [one.returncode for one in cleaned] == [0] * len(cleaned), [one.stderr for one in cleaned]
    assert plant.name not in "".join(one.stdout for one in cleaned)
    assert not leftovers
    assert process.returncode == 0, plant.bench.said
    assert len(platforms_images.find_sets(plant.bench.engine, plant.name)) == 1

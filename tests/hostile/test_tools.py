"""A candidate that puts programs and libraries before those of its host, for a while: in the end all is as it was.

A look from outside that comes later finds nothing.  What itb itself runs there is not the host's, so it is not
deceived meanwhile.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.containers import tools
from itb.containers.engine import Engine
from itb.containers.host import FileSpec, Host
from itb.model import PlatformImages
from itb.platforms import tools as platforms_tools
from itb.process.request import Request
from itb.testbed.testbed import Testbed
from itb.testbed.topology import find_topology

COMPOSE = """
services:
  bare:
    image: ${ITB_IMAGE_BARE}
    command: ["sleep", "infinity"]
    container_name: ${ITB_PROJECT}-bare
    hostname: bare.example.org
    labels: {itb.run: "${ITB_RUN}", itb.runs: "${ITB_RUNS}", itb.role: bare}
    networks: [testbed]
networks:
  testbed: {name: "${ITB_NETWORK}", external: true}
"""
FORGED = b"#!/bin/sh\necho forged\n"


@pytest.fixture(scope="module")
def folder(images: PlatformImages, engine: object, cache: Path) -> Path:
    return platforms_tools.ensure(images, engine, cache=cache)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def deceived(module_hosts: Callable[..., Host], folder: Path) -> Host:
    """A host whose programs come after forged ones, and have a foreign library preloaded; itb uses its own."""
    host = module_hosts("bare", "--volume", f"{folder}:{tools.FOLDER}:ro,z")
    programs = ("timeout", "bash", "tar", "cat", "stat", "sha256sum")
    host.put(*(FileSpec(f"/usr/local/bin/{name}", FORGED, 0o755) for name in programs))
    return dataclasses.replace(host, has_tools=True)


@pytest.fixture
def preloaded(deceived: Host) -> Host:
    deceived.script("ls /usr/lib/*-gnu/libz.so.1 >/etc/ld.so.preload")
    return deceived


def test_host_without_them_is_deceived(deceived: Host) -> None:
    plain = dataclasses.replace(deceived, has_tools=False)
    assert plain.call("false").stdout == "forged\n"


def test_forged_programs_are_not_run(deceived: Host) -> None:
    assert deceived.run(Request(["false"], check=False)).returncode == 1
    assert deceived.get("/etc/hostname") != b"forged\n"
    assert deceived.script("stat --format=%s /etc/passwd; exit 3", Request(check=False)).returncode == 3
    deceived.put(FileSpec("/srv/file", b"content"), then="cat /srv/file >/srv/copy")
    assert deceived.get("/srv/copy") == b"content"


@pytest.mark.parametrize("user", ["", "nobody"])
def test_nothing_is_preloaded_into_them(preloaded: Host, user: str) -> None:
    assert "libz" in preloaded.run(Request(["/usr/bin/cat", "/proc/self/maps"])).stdout, "the host's own is"
    maps = preloaded.run(Request(["cat", "/proc/self/maps"], user=user)).stdout
    files = {line.split()[-1] for line in maps.splitlines() if line.split()[-1].startswith("/")}
    assert files
    assert all(file.startswith(f"{tools.FOLDER}/") for file in files), files


def test_they_cannot_be_replaced(deceived: Host) -> None:
    script = """
    ! touch /itb/ld.so.preload && ! cp /bin/true /itb/bin/timeout && ! mv /itb /srv/itb
    ! mount -t tmpfs none /itb && ! umount /itb
    """
    deceived.script(script)
    assert deceived.run(Request(["test", "-e", "/itb/ld.so.preload"], check=False)).returncode == 1


def test_a_testbed_mounts_them_read_only(
    engine: Engine, images: PlatformImages, folder: Path, tmp_path: Path
) -> None:
    """The folder is on the machine: every host of every run has the same files."""
    file, short = tmp_path / "one.compose.yaml", secrets.token_hex(4)
    file.write_text(COMPOSE)
    testbed = Testbed(engine, find_topology(str(file)), run=f"hostile-{short}", short_id=short, runs=tmp_path)
    try:
        testbed.up(["bare"], {"bare": images.references["bare"]}, testbed.create_network(), folder)
        testbed.find_running_roles()
        program = f"{tools.FOLDER}/bin/timeout"
        testbed.host("bare").script(f"test -x {program} && ! touch {program} && ! umount {tools.FOLDER}")
    finally:
        testbed.down()


def test_they_are_all_there_and_work(deceived: Host, folder: Path) -> None:
    names = {path.name for path in (folder / "bin").iterdir()}
    assert set(tools.NAMES) - names <= {"gawk"}, "Debian has mawk"
    missing = deceived.script("for name in /itb/bin/*; do $name --version </dev/null >/dev/null 2>&1 || "
                              "[ $? -lt 126 ] || echo $name; done").stdout  # fmt: skip
    assert missing == ""

"""A host of a run takes all that it can get of this machine: memory, processes, file systems in memory."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.config.settings import HostLimits
from itb.containers import cgroups
from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.data import shipped
from itb.isolation import Isolation
from itb.process.request import Request
from itb.testbed.testbed import Testbed, wait_booted

NewHost = Callable[..., Host]
LIMITS = HostLimits(memory="512m", processes=512, tmpfs="64m")
EAT = "taken = []\nwhile True: taken.append(bytearray(16 << 20))"
FORK = """
import os, time
for number in range(600):
    try:
        if not os.fork():
            time.sleep(1)
            os._exit(0)
    except BlockingIOError:
        break
print(number)
for _ in range(number):
    os.wait()
"""
FILL = """
import errno
for folder in ("/tmp", "/run", "/run/lock", "/var/log/journal"):
    try:
        with open(f"{folder}/filled", "wb") as file:
            for _ in range(65):
                file.write(bytes(1 << 20))
        print(folder)
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    open(f"{folder}/filled", "wb").close()
"""


def test_a_host_gets_no_more_than_its_limits(
    engine: Engine, start_testbed: Callable[..., contextlib.AbstractContextManager[Testbed]]
) -> None:
    """Nor does it take what others have; what is wrong with it is said where a case fails."""
    if engine.controllers != {"memory", "pids"}:
        pytest.skip("the engine cannot limit memory and processes here")
    with start_testbed(Isolation(), LIMITS) as testbed:
        host = testbed.host("bare")

        def last_line(program: str) -> str:
            completed = host.run(Request(["python3", "-c", program], timeout=60, check=False))
            return completed.stdout.strip() if completed.ok else f"status {completed.returncode}"

        assert last_line(FILL) == ""
        assert last_line(EAT) == "status 137"
        assert 400 < int(last_line(FORK)) < 512
        found = host.script(shipped.folder("build_ws") / "hosts" / "fault.sh", Request(timeout=60)).stdout
        assert "\nkilled 1\n" in f"\n{found}"
        assert "\nrefused " in f"\n{found}"
        assert "512 MiB of memory; 512 processes" in testbed.describe(["bare"]).hosts[0].privileges


def test_a_host_writes_to_no_control_group_of_the_machine(engine: Engine, new_host: NewHost) -> None:
    """Neither before nor after a reboot, while systemd manages those of its own."""
    host, name = new_host("bare", *engine.options), f"hostile-{secrets.token_hex(4)}"
    make = f"find /sys/fs/cgroup -maxdepth 3 -type d -exec mkdir {{}}/{name} ';' 2>/dev/null || true"
    for _ in range(2):
        assert wait_booted(host) == "running"
        host.call("sh", "-c", make)
        container = engine.inspect(host.container)
        made = [str(path) for path in Path("/sys/fs/cgroup").rglob(name)]
        assert all(container["Id"] in path for path in made), made
        assert cgroups.writable_outside(container["Id"], container["State"]["Pid"]) == ""
        host.restart(timeout=60)
    engine.remove_containers(host.container)
    assert not [*Path("/sys/fs/cgroup").rglob(name)]

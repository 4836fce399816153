"""Pilots of a candidate at the CE: an unprivileged user beside itb's root, on the host that is believed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from itb.config import lookup
from itb.containers.host import Host
from itb.process.request import Request
from itb.run import testbed_fault
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal
from itb.scenario import execution, step
from itb.scenario.script_context import ScriptContext
from itb.testbed import logs

PILOT = "65534:65534"


def test_names_that_a_pilot_puts_into_shared_folders_make_no_fault(shared_host: Host) -> None:
    names = [f"{folder}/.itb-look" for folder in ("/tmp", "/var/tmp")]
    try:
        for name, target in zip(names, ("/proc/none/x", "/var/lib/written-by-root"), strict=True):
            shared_host.run(Request(["ln", "-s", target, name], user=PILOT))
        findings = testbed_fault._inspect_host(shared_host, [])
        assert "readonly" not in findings
        assert "free" in findings
        left = "ls -A /tmp /var/tmp | grep '^.itb-look[.]'; ls /var/lib/written-by-root"
        assert not shared_host.run(Request(["bash", "-c", left], check=False)).stdout
    finally:
        shared_host.call("rm", "-f", *names, "/var/lib/written-by-root")


LINKING = """
import os
while True:
    for name in {"itb-play-01-polled", *os.listdir("/tmp")}:
        for end in ("", ".out", ".out.late", ".list", "/out", "/out.late", "/results", "/results/x", "/list"):
            if name.startswith("itb-") and not name.endswith((".out", ".late", ".list")):
                try:
                    os.symlink("/var/lib/written-by-root", f"/tmp/{name}{end}")
                except OSError:
                    pass
"""
POLLED = """
title: a play
steps:
  - {role: ce, name: polled, run: sleep 9, timeout: 1, eventually: {within: 1}}
"""


@pytest.fixture
def linking_pilot(shared_host: Host) -> Iterator[Callable[[], bool]]:
    """A pilot that puts links into /tmp while the test goes on; returns whether root has written through one."""
    command = Request(["timeout", "60", "python3", "-c", LINKING], user=PILOT, check=False)
    linking = threading.Thread(target=shared_host.run, args=[command])
    linking.start()
    try:
        shared_host.script("until pgrep --euid 65534 python3; do sleep 0.1; done")
        yield lambda: shared_host.run(Request(["ls", "/var/lib/written-by-root"], check=False)).ok
        assert linking.is_alive()
    finally:
        shared_host.call("pkill", "--euid", "65534")
        linking.join()
        shared_host.script("find /tmp -mindepth 1 -user 65534 -delete; rm -f /var/lib/written-by-root")


def test_steps_write_through_no_link_of_a_pilot(
    linking_pilot: Callable[[], bool], shared_host: Host, tmp_path: Path
) -> None:
    folder, rundir = tmp_path / "play", RunDir(tmp_path / "runs" / "x")
    for made in (folder, rundir.path):
        made.mkdir(parents=True)
    (folder / "scenario.yaml").write_text(POLLED)
    journal = Journal(rundir)
    loaded = lookup.load_scenario(str(folder))
    execution.run_scenario(loaded, {"ce": shared_host}, journal=journal, context=ScriptContext(run="x"))
    assert "not within 1 s" in journal.cases[0].message
    assert not linking_pilot()


def test_collecting_evidence_writes_through_no_link_of_a_pilot(
    linking_pilot: Callable[[], bool], shared_host: Host, tmp_path: Path
) -> None:
    logs.collect(shared_host, ["/etc/hostname"], tmp_path / "evidence")
    assert not linking_pilot()
    assert (tmp_path / "evidence" / "etc" / "hostname").is_file()


RELEASED = """
traces=/var/lib/itb-traces
trap 'rm -rf "$traces" "$traces".end /var/lib/written-by-root' EXIT
install --directory --mode=1777 "$traces"
setpriv --reuid 65534 --clear-groups ln -s /var/lib/written-by-root "$traces/end.abc"
ITB_TRACES=$traces ITB_TRACE_ID=abc bash /var/lib/itb/lib/release.sh
setpriv --reuid 65534 --clear-groups timeout 20 bash /var/lib/itb/lib/job.sh 1 600 "$traces/abc.17.1"
ls "$traces"
[ ! -e /var/lib/written-by-root ]
"""


def test_jobs_are_released_where_no_pilot_can_put_a_link(shared_host: Host) -> None:
    shared_host.put(*step.library())
    assert shared_host.script(RELEASED).stdout.splitlines()[1:] == ["abc.17.1", "end.abc"]

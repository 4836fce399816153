"""Pilots of a candidate at the CE: an unprivileged user beside itb's root, on the host that is believed."""

from __future__ import annotations

from itb.containers.host import Host
from itb.process.request import Request
from itb.run import testbed_fault

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

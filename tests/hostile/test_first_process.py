"""A candidate that controls its host's first process, by which the host is found from outside."""

from __future__ import annotations

import json
from collections.abc import Callable

from itb.containers.host import Host
from itb.install import outside

# Root may do this to systemd by ptrace.  It waits until dnf's caches are looked through, which is after the first
# process was looked at, and shows an empty folder for the host until that is over.
_FLIPS = """
import ctypes, os, time
libc = ctypes.CDLL(None)
for folder in ("/var/cache/dnf/x/packages", "/srv/fake/run", "/usr/local/bin"):
    os.makedirs(folder, exist_ok=True)
open("/usr/local/bin/condor_history", "w").close()
seen = libc.inotify_init()
libc.inotify_add_watch(seen, b"/var/cache/dnf", 0x20)  # IN_OPEN
os.read(seen, 4096)
os.chroot("/srv/fake")
while True:
    time.sleep(1)
"""


def test_host_whose_first_process_changes_its_root_while_it_is_looked_at(
    module_hosts: Callable[..., Host], look_at: Callable[..., outside.Inspection]
) -> None:
    """What was looked at was a copy that the candidate had made of the host as it should be."""
    first = json.dumps(["python3", "-c", _FLIPS])
    host = module_hosts("bare", "--entrypoint", first, boot=False)
    host.script("until [ -e /usr/local/bin/condor_history ]; do sleep 0.1; done; sleep 0.5")
    seen = look_at(host, [])
    assert seen.root == ""
    assert ("/usr/local/bin/condor_history", "file") in seen.added
    assert look_at(host, []).root == "process 1 of the host has changed its root directory"

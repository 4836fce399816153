"""What itb has started ends with it, though it be killed outright."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from itb.util import files

ITB = """
import sys, threading
from itb.process import orphans
from itb.process.request import Request
from itb.process.runner import Runner
with orphans.guard():
    runner = Runner()
    runner.run(Request(["true"]))
    stubborn = Request(["sh", "-c", "trap '' TERM; sleep 600 & wait; sleep 600"])
    work = threading.Thread(target=runner.run, args=[stubborn])
    work.start()
    print("started", flush=True)
    work.join()
"""


def children(session_of: int) -> list[int]:
    """Processes below a process, at any depth."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in map(str.split, listed.splitlines())}
    descendants = [session_of]
    for pid in descendants:
        descendants += [child for child, parent in parents.items() if parent == pid]
    return descendants[1:]


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_nothing_survives_kill_9() -> None:
    itb = subprocess.Popen([sys.executable, "-c", ITB], stdout=subprocess.PIPE, text=True)
    try:
        assert itb.stdout is not None
        assert itb.stdout.readline() == "started\n"
        deadline = time.monotonic() + 60
        while len(below := children(itb.pid)) < 3 and time.monotonic() < deadline:  # guard, sh, sleep
            time.sleep(0.05)
        assert len(below) >= 3
    finally:
        itb.kill()
        itb.wait()
    deadline = time.monotonic() + 60
    while any(map(lives, below)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in below if lives(pid)]


def test_private_folders_of_killed_processes_are_removed() -> None:
    with files.temporary_folder() as mine:
        ended = subprocess.Popen(["true"])
        ended.wait()
        left = Path(tempfile.mkdtemp(prefix=f"itb-scratch-{ended.pid}-"))
        (left / "token").write_text("x")
        assert str(left) in files.remove_leftovers()
        assert mine.is_dir()
        assert not left.exists()
    assert not mine.exists()

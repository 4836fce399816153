"""Run a command to its last child, with one output and a time limit that holds.

usage: supervise.py SECONDS COMMAND [ARGUMENT ...]

Everything the command and its children print comes out as one stream, in
order; a child that must not print to its parent writes to the path in
ITB_OUTPUT.  At the time limit the processes still running are listed, then
ended.  What outlives the command is ended too.  Exit status: the command's,
124 at the time limit, 127 if it cannot be started.

Runs inside the build workspace with the platform's Python (3.6 or later).
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

MARK = "ITB_BUILD"
LIST_LINE = "itb: still running: "


def ours(mark):
    """Ids of the processes that carry the mark, daemons that left the session included."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            continue  # it has ended, or is the kernel's
    return found


def describe(pid):
    """Command line of a process and how long it has run, or an empty string once it has ended."""
    try:
        process = Path("/proc") / str(pid)
        words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").split()
        status = (process / "stat").read_bytes().decode("utf-8", "replace")
        ticks = int(status.rpartition(")")[2].split()[19])  # proc(5), field 22: starttime
        age = float(Path("/proc/uptime").read_bytes().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return ""
    return f"{' '.join(words)[:300]} (for {age:.0f} s)" if words else ""


def end(mark):
    """End every marked process, politely for two seconds."""
    for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience
        pids = ours(mark)
        for pid in pids:
            try:
                os.kill(pid, number)
            except OSError:
                continue
        while pids and time.monotonic() < deadline:
            time.sleep(0.05)
            pids = ours(mark)
            if number == signal.SIGKILL:
                for pid in pids:
                    try:
                        os.kill(pid, number)
                    except OSError:
                        continue


def forward(source):
    """Copy the command's output to ours until its last writer has gone."""
    while True:
        piece = os.read(source, 65536)
        if not piece:
            return
        while piece:
            piece = piece[os.write(1, piece) :]


def main(arguments):
    """Run the command of the module's description and return the exit status."""
    limit = float(arguments[0])
    source, sink = os.pipe()
    value = f"{os.getpid()}-{time.time():.6f}"
    mark = f"{MARK}={value}".encode()
    env = dict(os.environ, ITB_OUTPUT=f"/proc/{os.getpid()}/fd/{sink}")
    env[MARK] = value
    try:
        process = subprocess.Popen(
            arguments[1:], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=env, start_new_session=True
        )
    except OSError as error:
        print(f"itb: {arguments[1]}: {error.strerror}", flush=True)
        return 127
    reader = threading.Thread(target=forward, args=(source,), daemon=True)
    reader.start()
    try:
        status = process.wait(limit)
    except subprocess.TimeoutExpired:
        status = 124
        lines = [text for text in map(describe, sorted(ours(mark))) if text]
        listed = "".join(f"{LIST_LINE}{text}\n" for text in lines)
        os.write(sink, f"\nitb: time limit of {limit:.0f} s reached\n{listed}".encode())
    end(mark)
    process.wait()
    os.close(sink)
    reader.join(5.0)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

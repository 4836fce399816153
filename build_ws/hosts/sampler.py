"""Sample what services hold while they run: descriptors, sockets, threads, processes, memory, temporary files.

usage: sampler.py FILE SECONDS MOST UNIT... -- GLOB...

Writes a line to FILE every so many SECONDS, at MOST so often, a JSON object: the time; by unit its main process,
its figures and their limits; the sizes of the logs that match and have changed.  It reads /proc and starts no
program.  A sampler that writes to this FILE already is ended first.
Runs on any host (Python 3.6 or later).
"""

import contextlib
import glob
import json
import os
import re
import sys
import time
from pathlib import Path

TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm", "/run")
MOST_FILES = 5000  # that are counted in a folder
UNIT = re.compile(r"/([^/\n]+\.service)(?:/|$)", re.MULTILINE)
STATUS = re.compile(r"^(VmRSS|Threads|Uid):\s+(\d+)", re.MULTILINE)


def processes(units):
    """Return the ids of the processes of each unit, with those that have ended and that nobody has waited for."""
    found, parents = {unit: [] for unit in units}, {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                match = UNIT.search((path / "cgroup").read_text())
                if match and match.group(1) in found:
                    found[match.group(1)].append(path.name)
                else:  # one that has ended may be in no unit's group any more
                    state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
                    parents.update({path.name: parent} if state == "Z" else {})
    for pids in found.values():
        pids += [pid for pid, parent in parents.items() if parent in pids]
    return found


def figures(pids):
    """Return what some processes hold, and the users that they run as."""
    sums, users = {"processes": 0, "descriptors": 0, "sockets": 0, "threads": 0, "memory": 0}, set()
    for pid in pids:
        with contextlib.suppress(OSError):
            status = dict(STATUS.findall(Path("/proc", pid, "status").read_text()))
            descriptors = list(Path("/proc", pid, "fd").iterdir())
            sums["processes"] += 1
            sums["descriptors"] += len(descriptors)
            sums["threads"] += int(status.get("Threads", 0))
            sums["memory"] += int(status.get("VmRSS", 0))
            users.add(int(status["Uid"]))
            sums["sockets"] += sockets(pid, descriptors)
    return sums, users


def sockets(pid, descriptors):
    """Return how many descriptors of a process are sockets; only its own user may know."""
    owner, count = Path("/proc", pid).stat(), 0
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        for path in descriptors:
            with contextlib.suppress(OSError):
                count += os.readlink(str(path)).startswith("socket:")  # noqa: PTH115  Path's is of Python 3.9
    finally:
        os.seteuid(0)
        os.setegid(0)
    return count


def temporary_files(users):
    """Return how many files and sockets some users have in folders for temporary files, by user."""
    counts = dict.fromkeys(users - {0}, 0)  # those of root may be anybody's
    if counts:
        for top in TEMPORARY:
            for number, entry in enumerate(walk(top)):
                if number > MOST_FILES:
                    break
                with contextlib.suppress(OSError):
                    user = entry.stat(follow_symlinks=False).st_uid
                    if user in counts:
                        counts[user] += 1
    return counts


def walk(top):
    """Yield what is in a folder, two levels deep: services with a /tmp of their own have it below another one."""
    with contextlib.suppress(OSError), os.scandir(top) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False) and entry.name.startswith("systemd-private-"):
                yield from walk(f"{entry.path}/tmp")


def limits(pid):
    """Return the limits of a process that its figures may come up against."""
    found = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc", pid, "limits").read_text().splitlines():
            for word, key in (("Max open files", "descriptors"), ("Max processes", "threads")):
                if line.startswith(word):
                    value = line[len(word) :].split()[0]
                    found.update({key: int(value)} if value.isdigit() else {})
        found["memory"] = int(re.findall(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[0])
    return found


def sample(units):
    """Return the figures of units that run."""
    by_unit = {}
    for unit, pids in processes(units).items():
        if pids:
            main = min(pids, key=int)
            sums, users = figures(pids)
            sums["temporary files"] = sum(temporary_files(users).values())
            by_unit[unit] = {"main": main, "figures": sums, "limits": limits(main)}
    return by_unit


def log_sizes(patterns):
    """Return the sizes of the logs that match."""
    sizes = {}
    for path in {path for pattern in patterns for path in glob.glob(pattern, recursive=True)}:  # noqa: PTH207
        with contextlib.suppress(OSError):
            if Path(path).is_file():
                sizes[path] = Path(path).stat().st_size
    return sizes


def end_earlier(file):
    """End a sampler that writes to a file already."""
    pid_file = file.with_suffix(".pid")
    with contextlib.suppress(OSError, ValueError):
        pid = int(pid_file.read_text())
        if str(file).encode() in Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0"):
            os.kill(pid, 15)
    pid_file.write_text(str(os.getpid()))


def main(arguments):
    """Sample until the time is up."""
    file, seconds, most = Path(arguments[0]), float(arguments[1]), int(arguments[2])
    end = arguments.index("--")
    units = [unit if "." in unit else unit + ".service" for unit in arguments[3:end]]
    file.parent.mkdir(parents=True, exist_ok=True)
    end_earlier(file)
    before = {}
    with file.open("w") as stream:
        for _ in range(most):
            sizes = log_sizes(arguments[end + 1 :])
            changed = {path: size for path, size in sizes.items() if before.get(path) != size}
            before = sizes
            stream.write(json.dumps({"time": time.time(), "units": sample(units), "logs": changed}) + "\n")
            stream.flush()
            time.sleep(seconds)


if __name__ == "__main__":
    main(sys.argv[1:])

#!/usr/bin/python3
"""Rotates logs as the packages' files in /etc/logrotate.d say, and looks at what becomes of them.

usage: rotate.py begin|rotate|follow

``begin`` notes the time: a log that grows from then on is one that services write to while jobs run.  ``rotate``
forces the platform's logrotate once on each file; TAP.  ``follow`` passes once such logs grow again, and fails at
once where a service goes on in the old file.  ITB_PACKAGES: names of the candidate's packages on this host.
"""

import contextlib
import glob
import grp
import json
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

STATE = Path("/var/lib/itb/logrotate.json")
DNF = ("dnf", "--assumeyes", "--quiet")
HOPELESS, SKIPPED = 99, 77


def run(argv):
    """Return the exit status and the output of a program."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(argv, check=False, **pipes)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def listed():
    """Return what the packages list."""
    names = os.environ.get("ITB_PACKAGES", "").split()
    return run(["rpm", "--query", "--list", *names])[1].splitlines() if names else []


def named():
    """Return the packages' files for logrotate."""
    return sorted({path for path in listed() if re.match(r"/etc/logrotate\.d/[^/]+$", path)})


def shipped():
    """Return those of them that are there."""
    return [path for path in named() if Path(path).is_file()]


def log_folders():
    """Return the packages' folders of logs."""
    return sorted({line for line in listed() if line.startswith("/var/log/") and Path(line).is_dir()})


def left_out(files, begun):
    """Yield each file that is not there, or names no log at all while the product writes logs that none names."""
    for path in named():
        if path not in files:
            yield f"{path} is listed by a package, as a %ghost, and nobody has made it: nothing is rotated by it"
    known = {log for path in files for log in logs_of(path)}
    logs = {str(log) for folder in log_folders() for log in Path(folder).glob("*.log")} - known
    written = sorted(log for log in logs if Path(log).stat().st_mtime >= begun)
    for path in files:
        if written and not logs_of(path):
            yield f"{path} names no log that is here ({', '.join(patterns(path))}), and none names {written[0]}"


def patterns(path):
    """Return the patterns of logs that a file for logrotate names: what stands before each brace."""
    text = re.sub(r"#.*", "", Path(path).read_text(encoding="utf-8", errors="replace"))
    text = re.sub(r"\b(pre|post|first|last)(rotate|action)\b.*?\bendscript\b", "", text, flags=re.DOTALL)
    heads = [line.strip() for line in re.sub(r"\{[^}]*\}", "\n", text).splitlines()]
    return [word for line in heads if line.startswith(("/", '"', "'")) for word in shlex.split(line)]


def logs_of(path):
    """Return the logs that a file for logrotate names, and that have something in them."""
    found = (name for pattern in patterns(path) for name in glob.glob(pattern))  # noqa: PTH207  absolute
    return sorted({name for name in found if Path(name).is_file() and Path(name).stat().st_size})


def describe(status):
    """Return owner, group and mode of a file as text."""
    try:
        user = pwd.getpwuid(status.st_uid).pw_name
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        user, group = str(status.st_uid), str(status.st_gid)
    return f"{user}:{group} {status.st_mode & 0o7777:04o}"


def writers(inode, device):
    """Yield (unit, pid, position) of the processes that have a file open for writing."""
    for process in glob.glob("/proc/[0-9]*"):  # noqa: PTH207
        try:
            with owner_of(process):
                position = written_to(process, inode, device)
            if position >= 0:
                yield unit_of(process), Path(process).name, position
        except (OSError, ValueError, KeyError):
            continue


def written_to(process, inode, device):
    """Return up to where a process has written a file; -1 if it has it not open for writing."""
    for link in Path(process, "fd").iterdir():
        status = link.stat()
        if (status.st_ino, status.st_dev) == (inode, device):
            text = Path(process, "fdinfo", link.name).read_text()
            info = dict(line.split(":\t") for line in text.splitlines()[:2])
            if int(info["flags"].strip(), 8) & (os.O_WRONLY | os.O_RDWR):
                return int(info["pos"])
    return -1


@contextlib.contextmanager
def owner_of(process):
    """Be the user of a process: hosts have no right to look into those of others."""
    status = Path(process).stat()
    os.setegid(status.st_gid)
    os.seteuid(status.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def unit_of(process):
    """Return the unit that a process belongs to, or its name."""
    found = re.search(r"/([^/]+)\.service\b", Path(process, "cgroup").read_text())
    return found.group(1) if found else Path(process, "comm").read_text().strip()


def begin():
    """Note the time."""
    files = shipped()
    if not named():
        print("the packages bring no file for logrotate to", os.environ["ITB_ROLE"])
        return SKIPPED
    STATE.parent.mkdir(parents=True, exist_ok=True)
    STATE.write_text(json.dumps({"begun": time.time()}))
    print(", ".join(f"{path}: {len(logs_of(path))} logs" for path in files))
    return 0


def install_tool():
    """Install logrotate unless it is there; return whether it has to be removed again."""
    if shutil.which("logrotate"):
        return False
    status, output = run([*DNF, "--setopt=install_weak_deps=False", "install", "logrotate"])
    if status:
        print(output)
        print("no logrotate on this platform")
        sys.exit(SKIPPED)
    return True


def rotate():
    """Force logrotate on each file, and report what became of the logs."""
    files = shipped()
    if not named():
        print("1..0 # SKIP the packages bring no file for logrotate")
        return 0
    state = json.loads(STATE.read_text())
    is_ours = install_tool()
    before = {name: (path, Path(name).stat()) for path in files for name in logs_of(path)}
    lacking = list(left_out(files, state["begun"]))
    said = [line for path in files for line in force(path)]
    kept = [f"{name} was not rotated ({path})" for name, (path, status) in before.items() if is_same(name, status)]
    if is_ours:
        run([*DNF, "remove", "logrotate"])
    active = {name: status.st_mtime >= state["begun"] for name, (_, status) in before.items()}
    differ = {name: list(changed(name, *before[name])) for name in before}
    state["logs"] = {
        name: [status.st_ino, status.st_dev, status.st_size, active[name]]
        for name, (_, status) in before.items()
        if not differ[name]  # what follows from that is no finding of its own
    }
    STATE.write_text(json.dumps(state))
    print("1..3")
    report(1, "logrotate succeeds", said)
    report(2, "logs are rotated", [] if said else kept + lacking)
    report(3, "owners and modes are as before", [line for lines in differ.values() for line in lines])
    print("#", len(before), "logs,", sum(active.values()), "of them written to while jobs ran")
    return 0


def force(path):
    """Force logrotate on a file, and yield what it finds fault with."""
    status = Path(f"{STATE}.status")
    code, output = run(["logrotate", "--force", "--state", str(status), path])
    lines = output.splitlines()
    errors = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    for number in errors:
        # What a script of the file said comes before.
        why = f": {lines[number - 1]}" if "script" in lines[number] and number and number - 1 not in errors else ""
        yield f"{path}: {lines[number]}{why}"
    if code and not errors:
        yield f"{path}: exit status {code}{''.join(lines[-1:])}"
    if status.exists():
        status.unlink()


def is_same(name, before):
    """Whether a log is the same file, and nothing was taken from it."""
    path = Path(name)
    return path.exists() and path.stat().st_ino == before.st_ino and path.stat().st_size >= before.st_size


def changed(name, path, before):
    """Yield what the new file has that the old one had not: another owner, or a mode that lets in more, or fewer.

    A mode that takes something from group and others, which a file for logrotate asks for, is meant.
    """
    if not Path(name).exists():  # the service makes it
        return
    now = Path(name).stat()
    is_other = (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid)
    more, less = now.st_mode & ~before.st_mode & 0o777, before.st_mode & ~now.st_mode & 0o777
    is_asked = re.search(r"^\s*create\s+0?[0-7]{3}\b", Path(path).read_text(), re.MULTILINE)
    if is_other or more or (less and not (is_asked and not less & 0o700)):
        yield f"{name} is {describe(now)} after the rotation and was {describe(before)} ({path})"


def follow():
    """Report whether the services have gone on in the new files."""
    if not named():
        print("the packages bring no file for logrotate")
        return SKIPPED
    state, silent = json.loads(STATE.read_text()), []
    for name, (inode, device, size, is_active) in state.get("logs", {}).items():
        for unit, pid, position in writers(inode, device):
            if Path(name).exists() and Path(name).stat().st_ino == inode:
                continue  # it was truncated in place
            if position > size:
                print(f"{unit} (process {pid}) goes on in the rotated {name}: nothing made it open the new one")
                return HOPELESS
        if is_active and not (Path(name).exists() and Path(name).stat().st_size):
            silent.append(name)
    if silent:
        print(f"nothing was logged to {silent[0]} since it was rotated")
        return 1
    active = [name for name, item in state.get("logs", {}).items() if item[3]]
    print(f"{len(active)} logs go on" if active else "no log was written to while jobs ran")
    return 0


def report(number, name, findings):
    """Print a result with its findings."""
    print("not ok" if findings else "ok", number, "-", name)
    for line in findings:
        print("#", line)


sys.exit({"begin": begin, "rotate": rotate, "follow": follow}[sys.argv[1]]())

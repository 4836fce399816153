"""Examining this machine: programs, limits, control groups, memory, disk."""

from __future__ import annotations

import getpass
import os
import platform
import resource
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any

from itb.model import Record

PACKAGES = {  # package manager -> the command that installs a package
    "apt-get": "apt-get install",
    "dnf": "dnf install",
    "zypper": "zypper install",
    "brew": "brew install",
}
# Where podman looks for its helpers (containers.conf(5), helper_binaries_dir).
_HELPER_DIRS = ("/usr/local/libexec/podman", "/usr/local/lib/podman", "/usr/libexec/podman", "/usr/lib/podman",
            "/opt/homebrew/opt/podman/libexec/podman")  # fmt: skip
_DNSNAME = ("/usr/lib/cni/dnsname", "/usr/libexec/cni/dnsname", "/opt/cni/bin/dnsname")
_SUBORDINATE_IDS = 65536
_OPEN_FILES = 4096  # the schedd and collector of one host use far fewer
_INOTIFY_PER_RUN = 30  # instances of one run: systemd and its bus take about five on each of up to six hosts
_HOST_GB = 0.3  # memory of a role's host, the most that was measured
_RUN_GB = 1.5  # memory of one run: its hosts, its build and its web server


def install_hint(package: str) -> str:
    """Return the command that installs a package on this machine."""
    for program, command in PACKAGES.items():
        if shutil.which(program):
            root = "" if program == "brew" or os.geteuid() == 0 else "sudo "
            return f"{root}{command} {package}"
    return f"install {package} with the machine's package manager"


def examine_programs() -> Iterator[Finding]:
    """Examine Python, git and podman-compose."""
    yield ok("python", f"{platform.python_version()}, {sys.executable}")
    git = shutil.which("git")
    yield ok("git", git) if git else bad("git", "not found", install_hint("git"))
    try:
        yield ok("podman-compose", metadata.version("podman-compose"))
    except metadata.PackageNotFoundError:
        remedy = f"{sys.executable} -P -m pip install podman-compose"
        yield bad("podman-compose", "not in itb's Python environment", remedy)


def examine_limits() -> Iterator[Finding]:
    """Examine the limits on open files and inotify instances."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = "unlimited" if files == resource.RLIM_INFINITY else str(files)
    if files != resource.RLIM_INFINITY and files < _OPEN_FILES:
        remedy = f"raise it to {_OPEN_FILES} or more: ulimit -Hn, /etc/security/limits.conf"
        yield warn("open files", f"hard limit {shown}", remedy)
    else:
        yield ok("open files", f"hard limit {shown}")
    yield from examine_inotify()


def examine_inotify(proc: Path = Path("/proc")) -> Iterator[Finding]:
    """Examine the free inotify instances; without one, systemd in a container starts half of its units."""
    path = proc / "sys/fs/inotify/max_user_instances"
    if not path.exists():
        return
    limit, used = int(path.read_text()), _inotify_instances(proc)
    runs = max(0, limit - used) // _INOTIFY_PER_RUN
    usage = f"{used} of {limit} instances in use"
    if runs < 2:
        remedy = f"sysctl fs.inotify.max_user_instances={max(4 * limit, 512)}"
        finding = warn if runs else bad
        yield finding("inotify", f"{usage}: enough for {'one run' if runs else 'no run'} more", remedy)
    else:
        yield ok("inotify", f"{usage}: enough for {runs} runs at once")


def _inotify_instances(proc: Path) -> int:
    """Return the number of inotify instances of this user's processes, as far as /proc shows them."""
    count = 0
    for folder in proc.glob("[0-9]*/fd"):
        try:
            if folder.stat().st_uid == os.geteuid():
                count += sum(str(link.readlink()) == "anon_inode:inotify" for link in folder.iterdir())
        except OSError:
            continue  # the process has ended meanwhile, or belongs to another user
    return count


def cgroup_mode(root: Path = Path("/sys/fs/cgroup")) -> str:
    """Return the mode of control groups: v2, hybrid or v1; empty if there are none (not Linux)."""
    if (root / "cgroup.controllers").exists():
        return "v2"
    if (root / "unified" / "cgroup.procs").exists():
        return "hybrid"
    return "v1" if (root / "memory").exists() else ""


def examine_controllers(controllers: Collection[str]) -> Finding:
    """Examine whether the engine can limit what hosts take, with the controllers of control groups that it has."""
    if missing := sorted({"memory", "pids"} - set(controllers)):
        remedy = "cgroup v2, and without root: Delegate=memory pids in a drop-in of user@.service"
        return warn("host limits", f"the engine cannot limit {' and '.join(missing)} of hosts", remedy)
    return ok("host limits", "memory and pids of hosts can be limited")


def examine_runtime(info: Mapping[str, Any], mode: str) -> Finding:
    """Examine whether the OCI runtime works with the machine's control groups; ``info`` is podman's."""
    runtime = str(info.get("host", {}).get("ociRuntime", {}).get("name", ""))
    combination = f"{runtime}, cgroups {mode or 'none here'}"
    if runtime == "crun" and mode == "hybrid":
        remedy = f"{install_hint('runc')}; itb uses it where it is there (crun refuses hybrid control groups)"
        return bad("runtime", combination, remedy)
    if info.get("host", {}).get("security", {}).get("rootless") and mode in ("v1", "hybrid"):
        remedy = "boot with systemd.unified_cgroup_hierarchy=1, or systemd in a rootless container may fail"
        return warn("runtime", combination, remedy)
    return ok("runtime", combination)


def examine_network_helpers(info: Mapping[str, Any], folders: tuple[str, ...] = _HELPER_DIRS) -> Iterator[Finding]:
    """Examine the programs that podman needs for a network on which hosts find each other by name."""
    if info.get("host", {}).get("serviceIsRemote"):
        return  # the helpers are on the other machine
    backend = str(info.get("host", {}).get("networkBackend", "netavark"))
    if backend == "cni":
        if any(Path(path).exists() for path in _DNSNAME):
            yield ok("container names", "cni with dnsname")
        else:
            remedy = f"{install_hint('netavark aardvark-dns')}; podman system reset"
            yield bad("container names", "cni without dnsname", remedy)
        return
    for program in ("netavark", "aardvark-dns"):
        helper = next((path for folder in folders if (path := Path(folder) / program).exists()), None)
        if helper:
            yield ok(program, str(helper))
        else:
            why = "hosts need a network" if program == "netavark" else "hosts must find each other by name"
            yield bad(program, f"not found: {why}", install_hint(program))
    everywhere = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    tables = [name for name in ("iptables", "nft") if shutil.which(name, path=everywhere)]
    if tables:
        yield ok("packet filter", ", ".join(tables))
    else:
        yield bad("packet filter", "neither iptables nor nft found: netavark needs one", install_hint("iptables"))


def examine_rootless(
    user: str = "", etc: Path = Path("/etc"), tunnels: Path = Path("/dev/net/tun")
) -> Iterator[Finding]:
    """Examine what podman needs to run as another user than root."""
    user = user or getpass.getuser()
    for kind in ("subuid", "subgid"):
        count = _sub_ids(etc / kind, user)
        if count >= _SUBORDINATE_IDS:
            yield ok(kind, f"{count} ids for {user}")
        else:
            remedy = f"sudo usermod --add-{kind}s 100000-165535 {user} && podman system migrate"
            yield bad(kind, f"{count} ids for {user}, {_SUBORDINATE_IDS} needed", remedy)
    for program in ("newuidmap", "newgidmap"):
        if not shutil.which(program):
            yield bad(program, "not found", install_hint("uidmap"))
    if not (shutil.which("slirp4netns") or shutil.which("pasta")):
        remedy = install_hint("slirp4netns")
        yield bad("rootless network", "neither slirp4netns nor pasta found", remedy)
    elif not os.access(tunnels, os.R_OK | os.W_OK):  # both make the network's device by it
        remedy = f"sudo modprobe tun; sudo chmod 0666 {tunnels}, as udev has it"
        yield bad("rootless network", f"{user} may not use {tunnels}: no host starts", remedy)
    if not os.environ.get("XDG_RUNTIME_DIR"):
        remedy = f"sudo loginctl enable-linger {user}, and log in through PAM (ssh, not su)"
        yield warn("user session", "XDG_RUNTIME_DIR is not set: containers may end as you log out", remedy)


def _sub_ids(path: Path, user: str) -> int:
    """Return the number of subordinate ids that a user (by name or number) has in /etc/subuid or /etc/subgid."""
    if not path.exists():
        return 0
    names = {user, str(os.getuid())}
    lines = [line.strip().split(":") for line in path.read_text().splitlines()]
    return sum(int(line[2]) for line in lines if len(line) == 3 and line[0] in names and line[2].isdigit())


def examine_memory(meminfo: Path = Path("/proc/meminfo")) -> Iterator[Finding]:
    """Examine memory and processors."""
    if meminfo.exists():
        values = dict(line.split(":") for line in meminfo.read_text().splitlines() if ":" in line)
        free = int(values.get("MemAvailable", "0 kB").split()[0]) / 1e6
        available = f"{free:.1f} GB free"
        need = f"a run takes about {_RUN_GB} GB, {_HOST_GB} a role"
        if free < _RUN_GB / 2:
            yield bad("memory", available, f"{need}: end other programs or add swap")
        elif free < _RUN_GB * 1.5:
            yield warn("memory", available, f"{need}: run one cell at a time (--jobs 1)")
        else:
            yield ok("memory", available)
    count = os.cpu_count() or 1
    if count < 2:
        yield warn("processors", "1", "give the machine two, or set timeout_factor to 2")
    else:
        yield ok("processors", str(count))


def examine_disk(name: str, folder: Path, needed_gb: float) -> Finding:
    """Examine the free space at a folder, or at its nearest parent that exists."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not os.access(existing, os.W_OK):
        return bad(f"disk: {name}", f"{existing} is not writable", "choose another folder (itb show config)")
    status = os.statvfs(existing)
    free = status.f_bavail * status.f_frsize / 1e9
    space = f"{free:.1f} GB free at {existing}"
    if status.f_files and not status.f_favail:
        return bad(f"disk: {name}", f"no inodes free at {existing}", "remove files; itb clean --unused")
    if free < needed_gb:
        return bad(f"disk: {name}", space, f"{needed_gb:g} GB are needed; itb clean --unused makes room")
    if free < 2 * needed_gb:
        return warn(f"disk: {name}", space, "little is left for more than one run; itb clean --unused makes room")
    return ok(f"disk: {name}", space)


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARN = "warn"  # itb works, but not all of it, or not well
    BAD = "bad"  # itb cannot work


class Finding(Record):
    """The result of one examination: what was observed and, unless all is well, its remedy."""

    name: str
    level: Level
    observation: str
    remedy: str = ""


def ok(name: str, observation: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(name=name, level=Level.OK, observation=observation)


def warn(name: str, observation: str, remedy: str) -> Finding:
    """Return a finding that itb works, but not all of it, or not well."""
    return Finding(name=name, level=Level.WARN, observation=observation, remedy=remedy)


def bad(name: str, observation: str, remedy: str) -> Finding:
    """Return a finding that itb cannot work."""
    return Finding(name=name, level=Level.BAD, observation=observation, remedy=remedy)

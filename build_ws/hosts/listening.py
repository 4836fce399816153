"""List what listens on this host: protocol, address, port, and the process and unit that hold the socket.

Prints a JSON array of each socket in a line. It reads /proc; only of ports that the kernel may have chosen, rpm is
asked which package brings the unit.
Runs on any host (Python 3.6 or later), as root.
"""

import contextlib
import functools
import json
import os
import pwd
import re
import socket
import subprocess
import sys
from pathlib import Path

_STATES = {"tcp": "0A", "udp": "07"}  # that wait for others
_HIGH = 32768  # from here on the kernel gives ports to who asks for any
_UNIT = re.compile(r"/([^/\n]+\.(?:service|socket|scope))(?:/|$)", re.MULTILINE)


def main():
    """Print the sockets of each protocol."""
    holders, by_user = processes()
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        for address, port, inode, user in listening(protocol):
            name, unit = holders.get(inode) or described(user, by_user)
            package = package_of(unit) if port >= _HIGH and protocol.startswith("tcp") else ""
            print(json.dumps([protocol[:3], address, port, name, unit, package]))


def listening(protocol):
    """Yield address, port, inode and user id of the sockets of a protocol that wait for others."""
    try:
        rows = Path("/proc/net", protocol).read_text().splitlines()[1:]
    except OSError:
        return
    for row in rows:
        words = row.split()
        if words[3] == _STATES[protocol[:3]]:
            host, port = words[1].split(":")
            yield readable(host), int(port, 16), words[9], int(words[7])


def readable(text):
    """Return an address of /proc/net, which is words of four bytes as the processor has them."""
    data = b"".join(
        int(text[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(text), 8)
    )
    return socket.inet_ntop(socket.AF_INET if len(data) == 4 else socket.AF_INET6, data)


def processes():
    """Return name and unit of the process that holds each socket, by its inode; and the units of each user id."""
    holders, by_user = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name = (folder / "comm").read_text().strip()
            units = _UNIT.findall((folder / "cgroup").read_text())
            unit = units[-1] if units else ""
            owner = folder.stat()
            by_user.setdefault(owner.st_uid, set()).update([unit] if unit else [])
            for inode in sockets(folder, owner):
                holders.setdefault(inode, (name, unit))
    return holders, by_user


def sockets(folder, owner):
    """Return the inodes of a process' sockets; in a container only its own user may know."""
    found = []
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        with contextlib.suppress(OSError):
            for descriptor in (folder / "fd").iterdir():
                with contextlib.suppress(OSError):
                    match = re.match(r"socket:\[(\d+)\]", os.readlink(str(descriptor)))  # noqa: PTH115  Path's: 3.9
                    found += [match.group(1)] if match else []
    finally:
        os.seteuid(0)
        os.setegid(0)
    return found


def described(user, by_user):
    """Return what is known of a socket's holder by the user id: its name, and the unit if it is the only one."""
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    units = by_user.get(user, set())
    return "a process of " + name, next(iter(units)) if len(units) == 1 else ""


@functools.lru_cache(maxsize=None)  # noqa: UP033  cache is of Python 3.9
def package_of(unit):
    """Return the name of the package that brings a unit; empty if none does."""
    for folder in ("/usr/lib/systemd/system", "/lib/systemd/system", "/etc/systemd/system"):
        if unit and Path(folder, unit).exists():
            command = ["rpm", "--query", "--queryformat", "%{NAME}", "--file", folder + "/" + unit]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
            if not done.returncode:
                return done.stdout.decode("utf-8", "replace")
    return ""


if __name__ == "__main__":
    main()

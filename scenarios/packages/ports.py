#!/usr/bin/python3
"""Lists what listens on this host, and on which address, for the report; TAP."""

import os
import pwd
import re
import socket
import sys
from pathlib import Path

_EPHEMERAL = 32768  # from here on the kernel gives ports to who asks for any


def main():
    """Print one result, with a comment line for what each process has on an address."""
    holders = processes()
    ports = {}
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        for address, port, inode, user in listening(protocol):
            holder = holders.get(inode) or f"user {user}"  # root in a container may not look at others' files
            ports.setdefault((protocol[:3], address, holder), set()).add(port)
    print("1..1\nok 1 - sockets")
    for (protocol, address, holder), numbers in sorted(ports.items()):
        named = [str(number) for number in sorted(numbers) if number < _EPHEMERAL]
        others = len(numbers) - len(named)
        named += [f"{others} of the kernel's choice"] if others else []
        print(f"# {protocol} {address} {holder}: {', '.join(named)}")
    return 0


def listening(protocol):
    """Yield address, port, inode and user of the sockets of a protocol that wait for others."""
    try:
        rows = Path("/proc/net", protocol).read_text().splitlines()[1:]
    except OSError:
        return
    for row in rows:
        words = row.split()
        if words[3] == ("0A" if protocol.startswith("tcp") else "07"):
            host, port = words[1].split(":")
            yield readable(host), int(port, 16), words[9], name_of(int(words[7]))


def name_of(number):
    """Return the name of a user, or the number of one who has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return number


def readable(text):
    """Return an address of /proc/net, which is words of four bytes as the processor has them."""
    data = b"".join(
        int(text[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(text), 8)
    )
    if len(data) == 4:
        return socket.inet_ntop(socket.AF_INET, data)
    return "[" + socket.inet_ntop(socket.AF_INET6, data) + "]"


def processes():
    """Return the name and the unit of the process that holds each socket, by its inode."""
    holders = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "comm").read_text().strip()
            unit = re.findall(r"([^/]+\.(?:service|scope))", (folder / "cgroup").read_text())
            for descriptor in (folder / "fd").iterdir():
                match = re.match(r"socket:\[(\d+)\]", os.readlink(str(descriptor)))  # noqa: PTH115  # Path.readlink: Python 3.9
                if match:
                    holders.setdefault(match.group(1), name + (f" ({unit[-1]})" if unit else ""))
        except OSError:
            continue
    return holders


sys.exit(main())

#!/usr/bin/python3
"""Lists what listens on this host, and on which address, for the report; TAP."""

import os
import re
import socket
import sys
from pathlib import Path


def main():
    """Print one result, with a comment line for each socket."""
    holders = processes()
    print("1..1\nok 1 - sockets")
    lines = set()
    for protocol in ("tcp", "tcp6", "udp", "udp6"):
        for address, inode in listening(protocol):
            lines.add(f"{protocol.rstrip('6')} {address} {holders.get(inode, 'of nobody here')}")
    for line in sorted(lines) or ["nothing listens"]:
        print("#", line)
    return 0


def listening(protocol):
    """Yield address and inode of the sockets of a protocol that wait for others."""
    try:
        rows = Path("/proc/net", protocol).read_text().splitlines()[1:]
    except OSError:
        return
    for row in rows:
        words = row.split()
        if words[3] == ("0A" if protocol.startswith("tcp") else "07"):
            host, port = words[1].split(":")
            yield f"{readable(host)}:{int(port, 16)}", words[9]


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

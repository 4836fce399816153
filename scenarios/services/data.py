#!/usr/bin/python3
"""Puts a file into every folder below /var that the product's packages own, and looks for it after a reboot.

usage: data.py put|look
"""

import json
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, os.environ["ITB_LIB"])

import host_state

STATE = Path("/var/lib/itb/reboot-markers.json")
_RULES = ("/usr/lib/tmpfiles.d", "/etc/tmpfiles.d", "/run/tmpfiles.d")


def put():
    """Put the files, and note where."""
    names = os.environ.get("ITB_PACKAGES", "").split()
    markers = host_state.put_markers(names) if names else []
    STATE.parent.mkdir(parents=True, exist_ok=True)
    STATE.write_text(json.dumps({path: host_state.owned(path) for path in markers}))
    print(len(markers), "files were put")
    return 0


def look():
    """Print what became of the files, the first line that is to blame last, and remove them."""
    before = json.loads(STATE.read_text())
    now = {path: host_state.owned(path) for path in before}
    gone = [str(Path(path).parent) for path in sorted(before, key=len) if now[path] is None]
    other = [str(Path(path).parent) for path in sorted(before, key=len) if now[path] not in (None, before[path])]
    for path in before:
        if now[path] is not None:
            Path(path).unlink()
    for folder in gone[1:] + other[1:]:
        print(folder, "is not as it was, either")
    if gone or other:
        how = "is gone" if gone else "has another owner"
        folder = (gone or other)[0]
        print(f"what a site has in {folder} {how} after the reboot{blame(folder)}")
        return 1
    print(f"{len(before)} folders have after the reboot what they had before")
    return 0


def blame(folder):
    """Return the line of tmpfiles.d that names a folder, or one that it is in; empty if none does."""
    above = {folder, *map(str, Path(folder).parents)} - {"/", "/var", "/var/lib", "/var/log"}
    for rules in _RULES:
        for file in sorted(Path(rules).glob("*.conf")):
            for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
                words = line.split()
                if len(words) > 1 and re.match(r"[DRrzZ]", words[0]) and words[1].rstrip("/*") in above:
                    return f": {file}:{number}: {' '.join(words)}"
    return ""


sys.exit({"put": put, "look": look}[sys.argv[1]]())

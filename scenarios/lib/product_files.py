"""What the product has on this host: what its packages list, and what is below folders that are theirs alone."""

import os
import stat
from pathlib import Path

import rpm

_LIMIT = 200_000  # files looked at


def listed(names):
    """Return the package of each path that one of these packages lists."""
    transaction = rpm.TransactionSet()
    headers = {name: header for name in names for header in transaction.dbMatch("name", name)}
    return {file.name: name for name, header in headers.items() for file in rpm.files(header)}


def walk(names):
    """Yield path and status of what packages list, and of what is below folders that no other package has."""
    transaction, own = rpm.TransactionSet(), listed(names)
    queue, seen = sorted(own), set()
    while queue and len(seen) < _LIMIT:
        path = queue.pop()
        if path in seen:
            continue
        seen.add(path)
        try:
            status = os.lstat(path)
        except OSError:
            continue
        yield path, status
        if not stat.S_ISDIR(status.st_mode) or os.path.ismount(path):
            continue
        if path in own and {text(item["name"]) for item in transaction.dbMatch("basenames", path)} - set(names):
            continue
        queue += [str(entry) for entry in Path(path).iterdir()]


def text(value):
    """Return what is text to newer Pythons, and bytes to that of EL 8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

"""The accounts of a host beside those of its image.

Part of ``outside.py``: it runs where nothing of the host is executed.  Lines are read as the C library reads them:
leading blanks do not count, a line ends at a zero byte, and of several lines of a name the first one counts.
"""

import os
import re

from host_root import open_file

FILES = ("passwd", "group", "shadow", "gshadow")
LARGEST = 1 << 22  # bytes of a file that are read
_NUMBER = re.compile(r"[0-9]{1,10}\Z")
_TOO_LARGE = (1 << 32) - 1  # the C library takes what is left of it
_WITH_MEMBERS = ("group", "gshadow")


def read(path):
    """Return {name: fields} of an account file."""
    found = {}
    try:
        file = open_file(path)
    except OSError:  # its accounts are missing: each is a finding
        return found
    with os.fdopen(file, "rb") as reader:
        for line in reader.read(LARGEST).decode("utf-8", "surrogateescape").split("\n"):
            fields = line.partition("\0")[0].lstrip(" \t\r\v\f").split(":")
            if fields != [""] and not fields[0].startswith("#"):
                found.setdefault(fields[0], fields)
    return found


def read_all():
    """Return the entries of all account files of the present root, by file."""
    return {name: read("/etc/" + name) for name in FILES}


def ids(entries):
    """Return {name: id} of the entries of a passwd or group file."""
    numbers = {name: fields[2] for name, fields in entries.items() if len(fields) > 2}
    return {name: int(number) for name, number in numbers.items() if _NUMBER.match(number)}


def differences(image, now):
    """Yield (file and entry, difference) of accounts of the image that are others now.

    Packages make accounts for their services, and make these members of groups; those of the image stay.
    """
    for file in FILES:
        for name, before in image[file].items():
            what = _difference(file, before, now[file].get(name), image["passwd"])
            if what:
                yield f"/etc/{file} for {name}", what
    for file in ("passwd", "group"):
        taken = {number: name for name, number in ids(image[file]).items()}
        numbers = ids(now[file])
        for name in now[file].keys() - image[file].keys():
            if numbers.get(name, _TOO_LARGE) >= _TOO_LARGE:
                yield f"/etc/{file} for {name}", "an entry without a number"
            elif numbers[name] in taken:
                yield f"/etc/{file} for {name}", f"has the number of {taken[numbers[name]]}"


def _difference(file, before, now, accounts):
    if now is None:
        return "deleted"
    if file not in _WITH_MEMBERS:
        return "" if now == before else "another entry than the image's"
    if now[:-1] != before[:-1]:
        return "another entry than the image's"
    old, new = ({*fields[-1].split(",")} - {""} for fields in (before, now))
    if old - new:
        return f"without {', '.join(sorted(old - new))}"
    joined = sorted((new - old) & {*accounts})
    return f"with {', '.join(joined)} of the image" if joined else ""

"""The entries of the cache in which the loader looks for libraries.

Part of ``outside.py``: it runs where nothing of the host is executed.  They are read as the loader reads them, by
their offsets: these may lead to the middle of another entry's text.
"""

import os
import re
import struct

from host_root import open_file

LARGEST = 1 << 24  # bytes; the cache of a whole desktop has a hundredth
MOST = 1 << 16  # entries; the same
LONGEST = 4096  # bytes of a path that the kernel opens
_OLD, _NEW = b"ld.so-1.7.0", b"glibc-ld.so.cache1.1"  # glibc, sysdeps/generic/dl-cache.h
_OLD_HEAD, _NEW_HEAD = 16, 48
_ALIGNED = 8  # the new form follows the old one
_NUMBERS = re.compile(rb"[0-9]+")


class UnreadableError(Exception):
    """A cache that ldconfig does not make; its text says why."""


def read(path):
    """Return the :func:`entries` of a cache; none if there is no file."""
    try:
        file = open_file(path)
    except FileNotFoundError:
        return set()
    except OSError:  # the loader follows a link
        raise UnreadableError("is no file that can be read") from None
    with os.fdopen(file, "rb") as reader:
        return entries(reader.read(LARGEST + 1))


def entries(data):
    """Return {(name, path)} of a cache, names as in :func:`comparable`; UnreadableError for an unknown form."""
    if not data:
        return set()
    if len(data) > LARGEST:
        raise UnreadableError("larger than any that ldconfig makes")
    if data.startswith(_NEW):
        return _read(data, 0, _NEW_HEAD, 24, 0)
    if not data.startswith(_OLD):
        raise UnreadableError("has a form that is not known")
    end = _OLD_HEAD + _number(data, 12) * 12
    found = _read(data, 12 - 20, _OLD_HEAD, 12, end)
    start = -(-end // _ALIGNED) * _ALIGNED
    if data.startswith(_NEW, start):
        found |= _read(data, start, start + _NEW_HEAD, 24, start)
    return found


def comparable(name):
    """Return the name of a library such that names are the same which the loader takes for the same."""
    return _NUMBERS.sub(lambda digits: b"%d" % (int(digits.group()) % (1 << 32)), name)


def _read(data, header, first, size, base):
    """Return the entries after a header whose number is 20 bytes behind; offsets count from ``base``."""
    number = _number(data, header + 20)
    if number > MOST or first + number * size > len(data):
        raise UnreadableError("has more entries than ldconfig makes")
    found = set()
    for place in range(first, first + number * size, size):
        name, path = (_text(data, base + _number(data, place + offset)) for offset in (4, 8))
        found.add((comparable(name), path))
    return found


def _number(data, place):
    if place + 4 > len(data):
        raise UnreadableError("ends within an entry")
    return struct.unpack_from("=I", data, place)[0]


def _text(data, start):
    end = data.find(b"\0", start, start + LONGEST)
    if end == -1 or start > len(data):
        raise UnreadableError("has an entry that leads to no text")
    return data[start:end]

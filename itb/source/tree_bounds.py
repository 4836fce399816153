"""Bounds of a commit's tree: a few kilobytes of git's objects may stand for any number of files, of any size.

A tree may have the same tree in it many times, and a file of zeros takes next to
nothing in a pack.  So a tree is looked at before anything goes through it or writes its files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from itb.errors import BuildError, TestbedError
from itb.process.request import Request
from itb.source.git import Git
from itb.util.redact import redact

MAX_BYTES = 8 << 30  # of all files; Linux has 1.5 GB
MAX_FILE = 512 << 20  # bytes of one, which git has in memory as a whole; GitHub takes 100 MiB
MAX_FILES = 500_000  # Linux has 90,000
MAX_DEPTH = 100  # folders in each other; functions that go through a tree call themselves for each
_LONGEST_PATH = 2048  # bytes; with the folder of the clone before it, Linux takes 4095
_LONGEST_NAME = 255  # bytes
_NO_NAMES = (b"", b".", b"..")
_GITS_OWN = (b".git", b"git~1")  # without dots and spaces at the end (core.protectNTFS in git-config(1))
_LISTING = 128 << 20  # bytes of the list of files
_PIECE = 1 << 20


def check(git: Git, commit: str) -> None:
    """Raise BuildError, which says why, for a commit with too many, too large or too deep files, or git's own."""
    with tempfile.NamedTemporaryFile(prefix=".tree-", dir=git.directory) as listing:
        path = Path(listing.name)
        argv = ["ls-tree", "-r", "-l", "-z", "--full-tree", commit]
        completed = git.run(Request(argv, stdout_to=path, stdout_limit=_LISTING, check=False))
        if completed.cut_at:
            raise _too_large(commit, f"more files than a list of {_LISTING >> 20} MiB names")
        if not completed.ok:
            raise TestbedError(f"commit {commit[:12]}: its files cannot be listed: {completed.reason}")
        _check_files(commit, path)


def _check_files(commit: str, listing: Path) -> None:
    total = 0
    for number, entry in enumerate(_entries(listing), 1):
        facts, _, path = entry.partition(b"\t")
        size = int(facts.split()[-1].replace(b"-", b"0"))  # a submodule has none
        total += size
        parts = path.split(b"/")
        if len(parts) > MAX_DEPTH or len(path) > _LONGEST_PATH or max(map(len, parts)) > _LONGEST_NAME:
            name = redact(path[:100].decode("utf-8", "replace"))
            raise _too_large(commit, f"a path that is too long or too deep in folders: {name}...")
        if any(part in _NO_NAMES or part.lower().rstrip(b". ") in _GITS_OWN for part in parts):
            name = redact(path[:100].decode("utf-8", "replace"))
            raise BuildError(f"commit {commit[:12]} has a path that git does not write to a disk: {name!r}")
        if size > MAX_FILE:
            name = redact(path[:100].decode("utf-8", "replace"))
            raise _too_large(commit, f"a file of more than {MAX_FILE >> 20} MiB: {name!r}")
        if number > MAX_FILES:
            raise _too_large(commit, f"more than {MAX_FILES:,} files")
        if total > MAX_BYTES:
            raise _too_large(commit, f"files of more than {MAX_BYTES >> 30} GiB")


def _entries(listing: Path) -> Iterator[bytes]:
    rest = b""
    with listing.open("rb") as file:
        while piece := file.read(_PIECE):
            *entries, rest = (rest + piece).split(b"\0")
            yield from entries


def _too_large(commit: str, what: str) -> BuildError:
    return BuildError(
        f"commit {commit[:12]} has {what}; it is not written to this machine's disk",
        hint="itb help products says how large a source may be",
    )

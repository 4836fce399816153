"""Take RPMs into a directory that is a YUM repository; who reads it sees the old content or the new.

usage: receive.py DIRECTORY INDEXER...   (a tar of RPMs and public keys on standard input)

INDEXER is the command line that writes DIRECTORY/.itb-new/repodata ("{new}",
"{directory}" in it are replaced).  Runs where the directory is, here or at the
other end of ssh (Python 3.6 or later).  The last line of standard output is
one JSON object: added, kept (there already, the same but for their
signatures), packages (how many are offered now).

A package that is there with another content is never replaced: exit status 4,
named in the last line of standard error.  The index is exchanged by one
rename, after the packages it names are there; if it cannot be made, they are
removed again.  Other failures: status 1.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from xml.etree import ElementTree

LEAD = 96  # bytes before a package's signatures
KEY = "RPM-GPG-KEY-"
INDEX = "repomd.xml"
INDEXED = re.compile(r"[0-9a-f]{32,}-(primary|filelists|other)[-_.].*")  # files that an index refers to
PATIENCE = 240  # seconds for another process that publishes to the same directory


class Refused(Exception):
    """The directory is not what can be published to; nothing was changed."""


def content(path):
    """SHA-256 of a package without its lead and signatures: header and payload."""
    with path.open("rb") as file:
        start = file.read(LEAD + 16)
        if start[:4] != b"\xed\xab\xee\xdb" or len(start) < LEAD + 16:
            raise Refused(f"{path.name} is no RPM")
        entries, size = (int.from_bytes(start[LEAD + at : LEAD + at + 4], "big") for at in (8, 12))
        length = 16 + 16 * entries + size
        file.seek(LEAD + length + -length % 8)
        digest = hashlib.sha256()
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def unpack(folder):
    """Write the files of standard input to a folder; return their names."""
    names = []
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        for entry in archive:
            path = folder / Path(entry.name).name
            if not entry.isfile() or path.exists():
                raise Refused(f"{entry.name} is no package, or comes twice")
            with path.open("wb") as file:
                shutil.copyfileobj(archive.extractfile(entry), file)
            path.chmod(0o644)
            names.append(path.name)
    return names


def compare(directory, new, names):
    """Names of the packages that are not in the directory yet; Refused if one is there with another content.

    The index has packages in folders of it, too.
    """
    there = {}
    for path in directory.rglob("*.rpm"):
        if path.name in names and new not in path.parents and path.is_file():
            there.setdefault(path.name, []).append(path)
    for name in names:
        for path in there.get(name, ()):
            if content(path) != content(new / name):
                place = path.relative_to(directory)
                raise Refused(f"{place} is there already, with another content: a NEVRA is published once")
    return [name for name in names if name not in there]


def add(directory, new, names, added, indexer):
    """Add packages and keys and exchange the index; if that fails, nothing has changed that users see."""
    before = {}
    try:
        for name in names:
            place = directory / name
            if name.startswith(KEY):
                before[place] = place.read_bytes() if place.exists() else None
                add_key(new / name, place)
            elif name in added:
                before[place] = None
                (new / name).replace(place)
            else:
                (new / name).unlink()
        if added or not (directory / "repodata" / INDEX).exists():
            index(directory, new, indexer)
    except BaseException:
        for place, data in before.items():
            if data is not None:
                place.write_bytes(data)
            elif place.exists():
                place.unlink()
        raise


def add_key(new, there):
    """Put a public key beside those of packages that were published before: each run may have its own."""
    known = there.read_bytes() if there.exists() else b""
    key = new.read_bytes()
    if key in known:
        new.unlink()
    else:
        new.write_bytes(known + key)
        new.replace(there)


def index(directory, new, indexer):
    """Have the index made beside the old one and exchange them."""
    argv = [word.format(new=new, directory=directory) for word in indexer]
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    made = new / "repodata" / INDEX
    if done.returncode != 0 or not made.exists():
        said = done.stdout.decode("utf-8", "replace").strip().splitlines() or ["no index was made"]
        raise OSError(f"{argv[0]}: {said[-1]}")
    target = directory / "repodata"
    target.mkdir(exist_ok=True)
    old, current = referenced(target / INDEX), referenced(made)
    for name in current:
        (made.parent / name).replace(target / name)
    made.replace(target / INDEX)
    # Who read the old index a moment ago may still ask for its files: one generation stays.
    with contextlib.suppress(OSError):  # what users see is the new index already
        for path in target.iterdir():
            if path.name not in old | current and INDEXED.fullmatch(path.name):
                path.unlink()


def referenced(path):
    """Names of the files an index refers to."""
    if not path.exists():
        return set()
    locations = ElementTree.parse(str(path)).getroot().iter("{http://linux.duke.edu/metadata/repo}location")
    return {Path(item.get("href")).name for item in locations}


def look(directory):
    """Refused if what is read or replaced there is a link: who put it there chose what it leads to.

    What such a file says would be published, and what is beside an index elsewhere would be removed.
    """
    index = directory / "repodata"
    for path in (index, *directory.glob(KEY + "*")):
        is_usual = path.is_dir() if path == index else path.is_file()
        if path.is_symlink() or (path.exists() and not is_usual):
            raise Refused(f"{path.name} is a link, or no {'folder' if path == index else 'file'}")


def hold(directory):
    """Return the lock file of the directory, locked; OSError, which names who holds it, if that takes too long.

    Whoever may only read the directory, from which packages are served, cannot hold it.
    """
    path = directory / ".itb-publish.lock"
    descriptor = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o660)
    if os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, os.fstat(descriptor).st_mode & 0o660)
    lock = os.fdopen(descriptor, "r+")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                number = lock.read(20)
                holder = f"process {number}" if number.isdigit() else "another process"
                lock.close()
                raise OSError(f"{holder} holds {path}, and did not release it within {PATIENCE} s") from None
            time.sleep(0.2)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def receive(directory, indexer):
    """Do it all under a lock; return what to tell."""
    directory.mkdir(parents=True, exist_ok=True)
    if (directory / "repodata" / f"{INDEX}.asc").exists():
        raise Refused(f"its index is signed (repodata/{INDEX}.asc), with a key that is not here")
    with hold(directory):
        new = directory / ".itb-new"
        shutil.rmtree(str(new), ignore_errors=True)
        new.mkdir()
        try:
            look(directory)
            names = unpack(new)
            packages = [name for name in names if not name.startswith(KEY)]
            added = compare(directory, new, packages)
            add(directory, new, names, added, indexer)
        finally:
            shutil.rmtree(str(new), ignore_errors=True)
    kept = sorted(set(packages) - set(added))
    return {"added": sorted(added), "kept": kept, "packages": len(list(directory.glob("*.rpm")))}


def main():
    """Say how it went by exit status."""
    try:
        print(json.dumps(receive(Path(sys.argv[1]).expanduser().absolute(), sys.argv[2:])))
    except Refused as error:
        print(error, file=sys.stderr)
        return 4
    except (OSError, tarfile.TarError, ElementTree.ParseError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

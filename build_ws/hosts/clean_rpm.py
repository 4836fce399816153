"""Reads RPM files where nothing of those who made them has run.

usage: clean_rpm.py KEY|- SOURCE|- FOLDER FILE...

Prints one JSON object:
  keys      fingerprints of the primary keys in KEY
  packages  for each FILE: name, epoch, version, release, arch, header (the SHA-256 of its header, which holds the
            payload's), source (the source package it was built from, empty for one), problem (why it cannot be
            read; empty if it can), said (what rpm says of its digests and signatures, which knows only KEY)
  content   what the source package SOURCE holds as a build unpacks it: for each of its files, and for each file in
            an archive (ARCHIVE//PATH), its SHA-256, "link:TARGET", or "special file"
  specs     text of its spec files by name
  refused   why it cannot be unpacked; empty if it can
FOLDER is empty and bounds what may be unpacked.  Runs wherever rpm is (Python 3.6 or later).
"""

import collections
import hashlib
import itertools
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

TAGS = ("NAME", "EPOCHNUM", "VERSION", "RELEASE", "ARCH", "SHA256HEADER", "SOURCERPM")
FIELDS = ("name", "epoch", "version", "release", "arch", "header", "source")
ARCHIVE = re.compile(r"\.(tar(\.\w+)?|t[gbx]z2?|tzst)$")
MOST = 200000  # files
PIECE = 1 << 20
PLAIN = re.compile("[0-9a-f]{64}$")


class Refused(Exception):
    """A package that cannot be unpacked."""


def output(argv):
    """Exit status and standard output of a command."""
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def fingerprints(key):
    """Fingerprints of the primary keys in a file."""
    listing = output(["gpg", "--batch", "--with-colons", "--show-keys", key])[1]
    found = [re.search(r"^fpr:+([0-9A-F]+):", part, re.MULTILINE) for part in listing.split("\npub:")]
    return [match.group(1) for match in found if match]


def headers(keyring, key, files):
    """Facts of packages, and what rpm says of their signatures."""
    if key != "-":
        output(["rpmkeys", "--dbpath", keyring, "--import", key])
    _, text = output(["rpmkeys", "--dbpath", keyring, "--checksig", *files])
    said = dict(line.rpartition(": ")[::2] for line in text.split("\n"))
    # All at once, since starting rpm costs more than reading a package; one by one where that goes wrong.
    found = query(keyring, files) or [one(keyring, file) for file in files]
    return [dict(facts, said=said.get(files[number], "nothing")) for number, facts in enumerate(found)]


def query(keyring, files):
    """The facts of packages; None unless each has as many as it should."""
    form = "\\t".join(f"%{{{tag}}}" for tag in TAGS) + "\\n"
    argv = ["rpm", "--dbpath", keyring, "--nosignature", "--query", "--package", "--queryformat", form, *files]
    status, text = output(argv)
    rows = [line.split("\t") for line in text.split("\n") if line]
    if status or len(rows) != len(files) or any(len(row) != len(FIELDS) for row in rows):
        return None
    found = []
    for row in rows:
        facts = {name: row[number] for number, name in enumerate(FIELDS)}
        found.append(dict(facts, source="" if facts["source"] == "(none)" else facts["source"], problem=""))
    return found


def one(keyring, file):
    """The facts of one package, or why it has none."""
    found = query(keyring, [file])
    return found[0] if found else {"problem": "rpm cannot read its header"}


def unpack(tool, lister, data, folder, flat=False):
    """Unpack an archive into a folder as a tool does, unless it has too many members, or two of one name.

    Of two the first one would not be seen, though a build may take it.  One that is ``flat`` has files only, and
    no folders: an old cpio writes through a link that another member was.
    """
    folder.mkdir()
    with subprocess.Popen(lister, stdin=data(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        names = list(itertools.islice(process.stdout, MOST + 1))
        if len(names) > MOST:
            process.kill()
            raise Refused(f"it holds more than {MOST} files")
    if process.returncode:
        raise Refused(f"{lister[0]} cannot list its files (exit status {process.returncode})")
    files = collections.Counter(name for name in names if not name.endswith(b"/\n"))
    deep = [name for name in names if b"/" in name.replace(b"./", b"", 1)]
    if flat and deep:
        raise Refused(f"it holds {deep[0].decode('utf-8', 'replace').strip()}, which is not beside its spec file")
    twice = [name for name, number in files.items() if number > 1]
    if twice:
        raise Refused(f"it holds {twice[0].decode('utf-8', 'replace').strip()} twice")
    done = subprocess.run(tool, check=False, stdin=data(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          cwd=str(folder))  # fmt: skip
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit status {done.returncode}"]
        raise Refused(f"{tool[0]}: {said[0]}")


def plain(name):
    """Return a name without bytes that are no UTF-8, which JSON cannot have."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def digest(path):
    """What a file is: its SHA-256, the target of a link, or its kind."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return "link:" + plain(os.readlink(str(path)))  # noqa: PTH115 - Path.readlink is newer
    if not stat.S_ISREG(mode):
        return "special file"
    found = hashlib.sha256()
    with path.open("rb") as file:
        for piece in iter(lambda: file.read(PIECE), b""):
            found.update(piece)
    return found.hexdigest()


def walk(folder):
    """Path below a folder, and what it is, of every file; links to folders are links."""
    for parent, folders, names in os.walk(str(folder)):
        for name in folders:
            Path(parent, name).chmod(0o700)  # one that may not be read would hide what is in it
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in names + links:
            path = Path(parent, name)
            yield path.relative_to(folder), digest(path)


def content(file, folder):
    """What a source package holds, and its spec files."""
    payload, own, inside, found, specs = folder / "payload", folder / "own", folder / "inside", {}, {}
    with payload.open("wb") as writer:
        if subprocess.run(["rpm2cpio", file], check=False, stdout=writer).returncode:
            raise Refused("rpm2cpio: its payload cannot be read, or does not fit")
    cpio = ["cpio", "--extract", "--quiet", "--make-directories", "--no-absolute-filenames"]
    unpack(cpio, [*cpio, "--list"], lambda: payload.open("rb"), own, flat=True)
    payload.unlink()
    for path, what in list(walk(own)):
        name, file = plain(path), own / path
        found[name] = what
        if not PLAIN.match(what):
            continue
        if name.endswith(".spec") and file.stat().st_size < PIECE:
            specs[name] = file.read_bytes().decode("utf-8", "backslashreplace")
        if ARCHIVE.search(name):
            # An archive goes on after its end for a build that wants it to.
            options = ["--ignore-zeros", "--file", str(file)]
            tar = ["tar", "--extract", "--no-same-owner", *options]
            unpack(tar, ["tar", "--list", *options], lambda: subprocess.DEVNULL, inside)
            found.update((f"{name}//{plain(path)}", kind) for path, kind in walk(inside))
            subprocess.run(["rm", "-rf", str(inside)], check=True)
    return {"content": found, "specs": specs}


def main():
    """Read what the command line names."""
    key, source, folder, *files = sys.argv[1:]
    with tempfile.TemporaryDirectory() as keyring:
        result = {"keys": [] if key == "-" else fingerprints(key), "packages": headers(keyring, key, files)}
    if source != "-":
        try:
            result.update(content(source, Path(folder)))
        except (Refused, OSError) as error:
            result["refused"] = str(error)
    json.dump(result, sys.stdout)


main()

"""Looks at the files of a host from outside of it and says what is not as image and packages have it.

It runs in a container of the image the host was made from, which shares the
host's process ids: /proc/1/root is the host's file system, and this container's
own is what that was before anything was installed.  Nothing of the host is
executed, and no library of it is loaded.

It reads a JSON object from standard input:
  trusted   SHA-256 of RPM files that a repository served
  keys      folder of the image with the public keys whose signature makes other RPM files good
and writes one:
  root      why what is seen is not the host's file system; empty if it is
  image     NEVRA of every package of the image
  packages  NEVRA of every RPM that is good
  refused   RPM files in dnf's cache that are not, with the reason
  changed   [path, what] of what the image has: changed or deleted
  added     [path, what] of what neither image nor a good package has, folders aside
  deviant   [package, path, what] of files of good packages
  said      {path: [scriptlet]} that name one of these paths
"""

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import rpm

HOST = "/proc/1/root"
CACHES = ("var/cache/dnf/*/packages/*.rpm", "var/cache/libdnf5/*/packages/*.rpm")
LIBRARY_CACHE = "/etc/ld.so.cache"
LISTED = 5000  # findings of one kind
LARGEST = 1 << 30  # bytes of an RPM file
DIGESTS = {1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}  # RFC 4880, 9.4
CONFIG, DOC, MISSING_OK, GHOST = 1, 2, 8, 64  # rpmfiles.h, rpmfileAttrs
SCRIPTLETS = {
    "PREIN": "%pre", "POSTIN": "%post", "PRETRANS": "%pretrans", "POSTTRANS": "%posttrans",
    "TRIGGERSCRIPTS": "%trigger", "FILETRIGGERSCRIPTS": "%filetrigger",
    "TRANSFILETRIGGERSCRIPTS": "%transfiletrigger",
}  # fmt: skip


def text(value):
    """Return a string: older rpm modules have bytes."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def root_mount(pid):
    """Return type and lower layers of the mount that is a process' root; None if its root is no mount."""
    with Path(f"/proc/{pid}/mountinfo").open() as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            if fields.split()[4] == "/":
                kind, _, options = rest.split(" ", 2)
                return kind, re.findall(r"lowerdir=[^,\s]*", options)
    return None


def strange_root():
    """Say why the root of process 1 is not the host's file system; nobody on the host can mount anything."""
    theirs, own = root_mount(1), root_mount("self")
    if theirs is None:
        return "process 1 of the host has changed its root directory"
    return "" if theirs == own else f"the root of the host's process 1 is another file system ({theirs[0]})"


def nevra(header):
    """Return a package's NEVRA, without an epoch that is 0."""
    return text(header[rpm.RPMTAG_NEVRA]).replace("-0:", "-", 1)


class Packages:
    """Good RPM files of the host: what they own, and their scriptlets."""

    def __init__(self, trusted, keys):
        self.trusted, self.keys = set(trusted), keys
        self.names, self.refused, self.scriptlets = [], [], []
        self.owned = {}  # path: list of (package, file)
        self._database = ""

    def read(self, folder):
        """Take every RPM file of dnf's caches that is good."""
        transactions = rpm.TransactionSet()
        transactions.setVSFlags(rpm._RPMVSF_NODIGESTS | rpm._RPMVSF_NOSIGNATURES)  # looked at before
        for pattern in CACHES:
            for path in sorted(Path(HOST).glob(pattern)):
                copy = Path(folder, "one.rpm")
                problem = self._copy(path, copy)
                if problem:
                    self.refused.append([path.name, problem])
                    continue
                with copy.open("rb") as file:
                    self._take(transactions.hdrFromFdno(file.fileno()))

    def _copy(self, path, copy):
        """Copy an RPM file to where the host cannot change it; say why it is not good."""
        whole = hashlib.sha256()
        try:
            source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            return error.strerror
        with os.fdopen(source, "rb") as reader, copy.open("wb") as writer:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
                return "no file of a sensible size"
            for piece in iter(lambda: reader.read(1 << 20), b""):
                whole.update(piece)
                writer.write(piece)
        if whole.hexdigest() in self.trusted or self._signed(copy):
            return ""
        return "no repository of the run served it, and no key of the image signed it"

    def _signed(self, copy):
        if not self._database:
            self._database = tempfile.mkdtemp()
            for key in sorted(Path(self.keys).glob("*")):
                take = ["rpmkeys", "--dbpath", self._database, "--import", str(key)]
                subprocess.run(take, stdout=subprocess.DEVNULL, check=False)
        call = ["rpmkeys", "--dbpath", self._database, "--checksig", str(copy)]
        seen = subprocess.run(call, stdout=subprocess.PIPE, check=False)
        return seen.returncode == 0 and b"signatures OK" in seen.stdout

    def _take(self, header):
        name = nevra(header)
        self.names.append(name)
        for file in rpm.files(header):
            self.owned.setdefault(canonical(text(file.name)), []).append((name, Entry(header, file)))
        for tag, what in SCRIPTLETS.items():
            found = header[getattr(rpm, "RPMTAG_" + tag)]
            for script in found if isinstance(found, (list, tuple)) else [found]:
                if script:
                    self.scriptlets.append((f"{what} of {name}", text(script)))


class Entry:
    """A file as a package has it."""

    def __init__(self, header, file):
        self.mode, self.size = file.mode & 0xFFFF, file.size
        self.user, self.group = text(file.user), text(file.group)
        self.flags, self.verified = file.fflags, file.vflags
        self.link, self.digest = text(file.linkto), text(file.digest)
        self.algorithm = DIGESTS.get(header[rpm.RPMTAG_FILEDIGESTALGO] or 1, "")
        self.language = bool(text(getattr(file, "langs", "") or ""))


_parents = {}


def canonical(path):
    """Return a path as the walk meets it: links of the image to folders are followed, the last part is not."""
    parent, name = os.path.split(path)
    if parent not in _parents:
        _parents[parent] = os.path.realpath(parent)
    return f"{_parents[parent].rstrip('/')}/{name}"


def walk(top=b"/"):
    """Yield (path, lstat) of everything in the file system of the present root."""
    device = os.lstat(top).st_dev
    folders = [top]
    while folders:
        try:
            entries = list(os.scandir(folders.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:  # gone meanwhile
                continue
            if stat.S_ISDIR(status.st_mode):
                if status.st_dev != device:
                    continue  # another file system: the engine's
                folders.append(entry.path)
            yield os.fsdecode(entry.path), status


def content(path, root, algorithm="sha256"):
    """Return the digest of a regular file below an open folder; empty if there is none."""
    whole = hashlib.new(algorithm)
    try:
        file = os.open(path.lstrip("/"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=root)
    except OSError:
        return ""
    with os.fdopen(file, "rb") as reader:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return ""
        for piece in iter(lambda: reader.read(1 << 20), b""):
            whole.update(piece)
    return whole.hexdigest()


def target(path, root):
    """Return what a link below an open folder leads to; empty if it has gone meanwhile."""
    try:
        return os.readlink(path.lstrip("/"), dir_fd=root)
    except OSError:
        return ""


def kind(mode):
    """Return what a mode says a file is."""
    names = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return names.get(stat.S_IFMT(mode), "special file")


def accounts(path):
    """Return {name: id} of a passwd or group file."""
    found = {}
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return found
    with os.fdopen(file, "rb") as reader:
        for line in reader.read(1 << 22).decode("utf-8", "replace").splitlines():
            fields = line.split(":")
            if len(fields) > 2 and fields[2].isdigit():
                found.setdefault(fields[0], int(fields[2]))
    return found


class Host:
    """The host's files beside those of the image; only while the host's root is this process' own."""

    def __init__(self, image, own, packages):
        self.image, self.own, self.packages = image, own, packages
        self.root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        self.users, self.groups = accounts("/etc/passwd"), accounts("/etc/group")
        self.users["root"] = self.groups["root"] = 0
        self.changed, self.added, self.deviant = [], [], []

    def look(self):
        """Compare everything."""
        there = dict(walk())
        same = sum(1 for path, status in self.image.items() if path in there and _twins(status, there[path]))
        shared = same * 2 > len(self.image)  # the engine shows untouched files as the image has them
        for path, status in there.items():
            owners = self.packages.owned.get(path)
            before = self.image.get(path)
            if owners:
                self._owned(path, status, owners, before)
            elif before is None:
                # A folder does nothing by itself, and rpm makes those above its files that nobody owns.
                if not stat.S_ISDIR(status.st_mode):
                    self.added.append([path, kind(status.st_mode)])
            else:
                what = self._difference(path, before, status, shared)
                if what:
                    self.changed.append([path, what])
        for path in self.image:
            if path not in there and (path.rpartition("/")[0] in there or path.count("/") == 1):
                self.changed.append([path, "deleted"])
        self._library_cache(there)
        for path, owners in self.packages.owned.items():
            if path not in there and os.path.lexists(path) is False:
                self._missing(path, owners)

    def _library_cache(self, there):
        """Libraries are found where the loader's cache says: in files of the image or of packages."""
        try:
            file = os.open(LIBRARY_CACHE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return
        with os.fdopen(file, "rb") as reader:
            words = {os.fsdecode(word) for word in reader.read(1 << 24).split(b"\0") if word.startswith(b"/")}
        for path in sorted(words):
            parent, name = os.path.split(path)
            real = f"{os.path.realpath(parent)}/{name}"
            if real in there and real not in self.image and real not in self.packages.owned:
                self.changed.append([LIBRARY_CACHE + " for " + path, "leads to a library of no package"])

    def _difference(self, path, before, now, shared):
        """Say how a file differs from the image's; the empty string if it does not."""
        if kind(before.st_mode) != kind(now.st_mode):
            return f"{kind(now.st_mode)} instead of a {kind(before.st_mode)}"
        words = []
        if before.st_mode != now.st_mode:
            words.append(f"mode {now.st_mode & 0o7777:o} instead of {before.st_mode & 0o7777:o}")
        if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
            words.append(f"owner {now.st_uid}:{now.st_gid} instead of {before.st_uid}:{before.st_gid}")
        if stat.S_ISLNK(now.st_mode):
            old, new = target(path, self.own), target(path, self.root)
            words += [f"link to {new} instead of {old}"] if old != new else []
        elif stat.S_ISREG(now.st_mode) and not _twins(before, now):
            if before.st_size != now.st_size or content(path, self.own) != content(path, self.root):
                words.append("another content")
            elif shared and not words:
                words.append("written anew, with the content it had")
        return ", ".join(words)

    def _owned(self, path, status, owners, before):
        """A file of packages is as one of them has it, or as it is in the image."""
        said = []
        for package, entry in owners:
            what = self._deviation(path, status, entry)
            if not what:
                return
            said.append([package, path, what])
        if before is None or self._difference(path, before, status, False):
            self.deviant.append(said[-1])

    def _deviation(self, path, now, entry):
        if entry.flags & GHOST:
            return ""
        if kind(entry.mode) != kind(now.st_mode):
            return f"{kind(now.st_mode)} instead of a {kind(entry.mode)}"
        if entry.flags & CONFIG:
            return ""  # whoever configures the host writes to it
        words = []
        if stat.S_ISLNK(now.st_mode):
            found = target(path, self.root)
            return "" if found == entry.link else f"link to {found} instead of {entry.link}"
        if entry.verified & rpm.RPMVERIFY_MODE and (entry.mode ^ now.st_mode) & 0o7777:
            words.append(f"mode {now.st_mode & 0o7777:o} instead of {entry.mode & 0o7777:o}")
        for letter, name, known, found in (
            (rpm.RPMVERIFY_USER, entry.user, self.users, now.st_uid),
            (rpm.RPMVERIFY_GROUP, entry.group, self.groups, now.st_gid),
        ):
            if entry.verified & letter and name in known and known[name] != found:
                words.append(f"owner {found} instead of {name}")
        has_digest = stat.S_ISREG(now.st_mode) and entry.algorithm and entry.verified & rpm.RPMVERIFY_FILEDIGEST
        if has_digest and self._is_other(path, now, entry):
            words.append("another content")
        return ", ".join(words)

    def _is_other(self, path, now, entry):
        return entry.size != now.st_size or content(path, self.root, entry.algorithm) != entry.digest

    def _missing(self, path, owners):
        """A file of a package that is not there; what dnf may be told to leave out does not count."""
        for package, entry in owners:
            if not entry.flags & (GHOST | CONFIG | DOC | MISSING_OK) and not entry.language:
                self.deviant.append([package, path, "missing"])
                return


def _twins(one, other):
    return (one.st_ctime_ns, one.st_mtime_ns, one.st_size) == (other.st_ctime_ns, other.st_mtime_ns, other.st_size)


def scriptlets(paths, packages):
    """Return, by path, the scriptlets that name it or its last part."""
    found = {}
    for path in paths:
        word = re.compile(rf"(?<![\w.-]){re.escape(path.rpartition('/')[2])}(?![\w-])")
        said = [who for who, script in packages.scriptlets if path in script or word.search(script)]
        if said:
            found[path] = said
    return found


def main():
    """Look, and say what was seen."""
    asked = json.load(sys.stdin)
    said = {"root": strange_root()}
    if not said["root"]:
        packages = Packages(asked["trusted"], asked["keys"])
        said["image"] = [nevra(header) for header in rpm.TransactionSet().dbMatch()]
        with tempfile.TemporaryDirectory() as folder:
            packages.read(folder)
        for algorithm in DIGESTS.values():
            hashlib.new(algorithm)  # loaded now: nothing is once the root is the host's
        image, own = dict(walk()), os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        os.chroot(HOST)
        os.chdir("/")
        host = Host(image, own, packages)
        host.look()
        paths = [item[-2] for item in (*host.changed, *host.added, *host.deviant)][:LISTED]
        said.update(
            packages=packages.names, refused=packages.refused, changed=host.changed[:LISTED],
            added=host.added[:LISTED], deviant=host.deviant[:LISTED], said=scriptlets(paths, packages),
        )  # fmt: skip
    json.dump(said, sys.stdout)


main()

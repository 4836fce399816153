"""The RPM files in the caches of a host that its repositories served: what they own, and their scriptlets.

Part of ``outside.py``: it runs where nothing of the host is executed.
"""

import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path, PurePosixPath

import rpm
from host_root import open_file

CACHES = ("var/cache/dnf/*/packages/*.rpm", "var/cache/libdnf5/*/packages/*.rpm")
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


def nevra(header):
    """Return a package's NEVRA, without an epoch that is 0."""
    return text(header[rpm.RPMTAG_NEVRA]).replace("-0:", "-", 1)


def package_name(name):
    """Return the name in a NEVRA."""
    return name.rsplit("-", 2)[0]


class Packages:
    """Good RPM files of the host: what they own, and their scriptlets."""

    def __init__(self, trusted, product, keys, installed=()):
        self.trusted, self.product, self.keys = {*trusted, *product}, set(product), keys
        self.installed, self.installed_names = set(installed), {package_name(name) for name in installed}
        self.names, self.refused, self.scriptlets = [], [], []
        self.owned = {}  # path: list of (package, file)
        self._database = ""

    def read(self, root, folder):
        """Take every RPM file of dnf's caches that is good; ``root`` is an open root directory."""
        transactions = rpm.TransactionSet()
        transactions.setVSFlags(rpm._RPMVSF_NODIGESTS | rpm._RPMVSF_NOSIGNATURES)  # looked at before
        for pattern in CACHES:
            for path in sorted(Path(f"/proc/self/fd/{root}").glob(pattern)):
                copy = Path(folder, "one.rpm")
                checksum, problem = self._copy(path, copy)
                if problem:
                    self.refused.append([path.name, problem])
                    continue
                with copy.open("rb") as file:
                    self._take(transactions.hdrFromFdno(file.fileno()), checksum in self.product)

    def own_folders(self):
        """Return the folders in which only packages of the product have files."""
        own, others = set(), {"/"}
        for path, owners in self.owned.items():
            folders = {str(folder) for folder in PurePosixPath(path).parents}
            if all(entry.is_product for _, entry in owners):
                own |= folders
            else:
                others |= folders
        return own - others

    def _copy(self, path, copy):
        """Copy an RPM file to where the host cannot change it; return its SHA-256 and why it is not good."""
        whole = hashlib.sha256()
        try:
            source = open_file(path)
        except OSError as error:
            return "", error.strerror
        with os.fdopen(source, "rb") as reader, copy.open("wb") as writer:
            if os.fstat(source).st_size > LARGEST:
                return "", "no file of a sensible size"
            for piece in iter(lambda: reader.read(1 << 20), b""):
                whole.update(piece)
                writer.write(piece)
        if whole.hexdigest() in self.trusted or self._signed(copy):
            return whole.hexdigest(), ""
        return "", "no repository of the run served it, and no key of the image signed it"

    def _signed(self, copy):
        if not self._database:
            self._database = tempfile.mkdtemp()
            for key in sorted(Path(self.keys).glob("*")):
                take = ["rpmkeys", "--dbpath", self._database, "--import", str(key)]
                subprocess.run(take, stdout=subprocess.DEVNULL, check=False)
        call = ["rpmkeys", "--dbpath", self._database, "--checksig", str(copy)]
        seen = subprocess.run(call, stdout=subprocess.PIPE, check=False)
        return seen.returncode == 0 and b"signatures OK" in seen.stdout

    def _take(self, header, is_product):
        name = nevra(header)
        self.names.append(name)
        is_installed = not is_product or not self.installed or name in self.installed
        if not is_installed and package_name(name) in self.installed_names:
            return  # another version of one that the host should have: its files do not belong there
        for file in rpm.files(header):
            entry = Entry(header, file, is_product, is_installed)
            self.owned.setdefault(canonical(text(file.name)), []).append((name, entry))
        for tag, what in SCRIPTLETS.items():
            found = header[getattr(rpm, "RPMTAG_" + tag)]
            for script in found if isinstance(found, (list, tuple)) else [found]:
                if script:
                    self.scriptlets.append((f"{what} of {name}", text(script)))


class Entry:
    """A file as a package has it."""

    def __init__(self, header, file, is_product, is_installed):
        self.is_product, self.is_installed = is_product, is_installed
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


def scriptlets(paths, packages):
    """Return, by path, the scriptlets that name it or its last part."""
    naming = {}
    for path in paths:
        word = re.compile(rf"(?<![\w.-]){re.escape(path.rpartition('/')[2])}(?![\w-])")
        place = path.partition(" for ")[0]  # of an entry of a file
        names = [name for name, script in packages.scriptlets if place in script or word.search(script)]
        if names:
            naming[path] = names
    return naming

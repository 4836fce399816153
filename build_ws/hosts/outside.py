"""Inspects the files of a host from outside and prints how they differ from those of its image and packages.

It runs in a container of the host's image that shares the host's process ids:
/proc/1/root is the host's file system, and the container's own file system is
that of the host before anything was installed.  No program of the host is
executed, and no library of it is loaded.

It reads a JSON object from standard input:
  trusted   SHA-256 of RPM files that a repository served
  product   SHA-256 of those among them that are the product's, not the platform's
  installed NEVRA of the product's packages that the host should have; empty if any may be there
  reserved  regular expression of paths that no package of the product may own
  may_change, may_be_added, watched
            those of paths that packages may change, that they may add, and where nothing else may be added
  watched_elsewhere
            those of paths where nothing else may be added but in folders that only the product's packages have
  link_may_change, link_may_be_added
            those of links that packages may change, or add, if they lead to a package's file
  most      number of files of a host that are looked at: more of them make a finding
  keys      folder of the image with the public keys whose signature makes other RPM files good
and writes one, without what is expected:
  root        why the host's file system cannot be seen; empty if it can
  image       NEVRA of every package of the image
  packages    NEVRA of every RPM that is good
  refused     RPM files in dnf's cache that are not good, with the reason
  changed     [path, change] of files and accounts of the image: changed or deleted; of new files that are found
              instead of the platform's
  added       [path, kind] of files that neither the image nor a good package has, without folders
  deviant     [package, path, deviation] of files of good packages
  misplaced   [package, path, reason] of files of the product where files of the platform are looked for
  differing   number of files that were changed or added, whether expected or not
  scriptlets  {path: [scriptlet]} that name one of these paths
"""

import hashlib
import itertools
import json
import os
import re
import stat
import sys
import tempfile
from pathlib import PurePosixPath

import accounts
import library_cache
import rpm
from host_root import content, is_overlay, open_root, target, walk, work_alone
from modules import Modules
from rpm_files import CONFIG, DIGESTS, DOC, GHOST, MISSING_OK, Packages, nevra, scriptlets

LIBRARY_CACHE = "/etc/ld.so.cache"
# Folders in which the same is looked for by its name, in any order; links followed.
SEARCHED = (
    ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"),  # PATH
    *(("/etc/" + name, "/usr/lib/" + name) for name in (
        "systemd/system", "systemd/user", "udev/rules.d", "tmpfiles.d", "sysusers.d", "sysctl.d", "binfmt.d",
    )),
)  # fmt: skip
IN_MEMORY = "/run"  # file system in memory in which programs look for what is in /etc, too
MEAN_LENGTH = 200  # characters of paths; those of a whole desktop have a third of it
LISTED, LONGEST = 5000, 1 << 16  # findings of one kind, and characters of them: the result has a limit of bytes


def kind(mode):
    """Return what a mode says a file is."""
    names = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return names.get(stat.S_IFMT(mode), "special file")


def shown(value):
    """Return a value whose texts are UTF-8, as JSON has to be: other bytes of a name as escapes."""
    if isinstance(value, dict):
        return {shown(key): shown(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return value


class Host:
    """The host's files beside those of the image; only while the host's root is this process' own."""

    _modules = None

    def __init__(self, image, own, packages, shared):
        self.image, self.own, self.packages, self.shared = image, own, packages, shared
        self.root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        self.accounts = accounts.read_all()
        self.users, self.groups = accounts.ids(self.accounts["passwd"]), accounts.ids(self.accounts["group"])
        self.users["root"] = self.groups["root"] = 0
        self.changed, self.added, self.shadowing, self.deviant, self.misplaced = [], [], [], [], []

    def look(self, reserved, most):
        """Compare everything."""
        there = self._files(most)
        same = sum(1 for path, status in self.image.items() if path in there and _twins(status, there[path]))
        # An overlay shows untouched files as the image has them, however few these are.
        shared = self.shared or same * 2 > len(self.image)
        for path, status in there.items():
            owners = self.packages.owned.get(path)
            before = self.image.get(path)
            if owners:
                self._owned(path, status, owners, before)
            elif before is None:
                self._new(path, status)
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
            self._check_place(path, owners, reserved)

    def _files(self, most):
        """Return the state of everything by its path, or of the first files: their memory is not the host's."""
        there, length = {}, 0
        for path, status in itertools.chain(walk(os.fsencode(IN_MEMORY), self.changed), walk(unread=self.changed)):
            there[path] = status
            length += len(path)
            if len(there) == most or length > most * MEAN_LENGTH:
                self.changed.append(["/", f"has {len(there)} files or more, and not all were looked at"])
                break
        return there

    def _new(self, path, status):
        """Note a file that nobody has; one that hides the platform's comes with no package at any time."""
        if stat.S_ISDIR(status.st_mode):
            return  # it does nothing by itself, and rpm makes those above its files that nobody owns
        rival = self._rival(path)
        if rival:
            self.shadowing.append([path, f"found instead of {rival}, and no package has it"])
        else:
            self.added.append([path, kind(status.st_mode)])

    def _check_place(self, path, owners, reserved):
        """Note a file of the product that changes which programs of the platform are run."""
        if not all(entry.is_product for _, entry in owners):
            return  # it is the platform's and is compared as such
        rival = self._rival(path)
        if rival:  # what Python compiles it may keep anywhere; a package may not
            place = f"{path} for {rival}" if "/__pycache__/" in path else path
            self.misplaced.append([owners[0][0], place, f"found instead of {rival}"])
        if reserved.fullmatch(path):
            self.misplaced.append([owners[0][0], path, "no package of the product may own it"])

    def _rival(self, path):
        """Return the file of the platform that is looked for by the same name elsewhere; empty if none is."""
        folder, name = os.path.split(path)
        others = (other for folders in SEARCHED if folder in folders for other in folders if other != folder)
        rival = next((rival for rival in (f"{other}/{name}" for other in others) if self._is_platforms(rival)), "")
        if not rival and self._modules is None:
            self._modules = Modules(self._platforms())
        return rival or self._modules.rival(path)

    def leads_to_package(self, path, changed=False):
        """Return whether a link leads to a file of the image or of a package.

        One of the image that was ``changed`` is one of a package of the platform that was installed since: what
        was there before would have been chosen before.
        """
        real = os.path.realpath(path)
        owners = self.packages.owned.get(real)
        if changed:
            return bool(owners) and real not in self.image and self._is_platforms(real)
        return real != path and (bool(owners) or real in self.image)

    def is_alternative(self, path):
        """Return whether a link is a name that alternatives gives to a program, and the platform to none."""
        folder, name = os.path.split(path)
        if folder not in SEARCHED[0] or not target(path, self.root).startswith("/etc/alternatives/"):
            return False
        rivals = [f"{other}/{name}" for other in SEARCHED[0] if folder not in (other, os.path.realpath(other))]
        return self.leads_to_package(path) and not any(self._is_platforms(rival) for rival in rivals)

    def _is_platforms(self, path):
        owners = self.packages.owned.get(path, ())
        return path in self.image or not all(entry.is_product for _, entry in owners)

    def _library_cache(self, there):
        """Libraries are found where the loader's cache says: in files of the image or of packages."""
        try:
            entries = library_cache.read(LIBRARY_CACHE)
        except library_cache.UnreadableError as error:
            self.changed.append([LIBRARY_CACHE + " as a whole", str(error)])
            return
        folders, own = {}, set()
        for name, path in sorted(entries):
            parent, last = os.path.split(os.fsdecode(path))
            if parent not in folders:
                folders[parent] = os.path.realpath(parent).rstrip("/")
            real, what = f"{folders[parent]}/{last}", ""
            if not path.startswith(b"/"):
                what = "leads to a library by a path that is not absolute"
            elif real in there and self._is_platforms(real):
                continue
            elif real not in self.packages.owned:
                what = "leads to a library of no package" if real in there or os.path.lexists(real) else ""
            elif real in there:
                own = own or self._library_names()
                what = "leads to the product's library, not the platform's" if name in own else ""
            if what:
                self.changed.append([f"{LIBRARY_CACHE} for {os.fsdecode(path)}", what])

    def _library_names(self):
        """Return the names of the platform's libraries, whether the cache has them or not."""
        paths = (path for path in self._platforms() if ".so" in path)
        return {library_cache.comparable(os.fsencode(path.rpartition("/")[2])) for path in paths}

    def _platforms(self):
        return (path for path in {*self.image, *self.packages.owned} if self._is_platforms(path))

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
            if shared and not words and not _twins(before, now):
                words.append("made anew, to where it led")
        elif stat.S_ISREG(now.st_mode) and not _twins(before, now):
            if before.st_size != now.st_size or content(path, self.own) != content(path, self.root):
                words.append("another content")
            elif shared and not words:
                words.append("written anew, with the content it had")
        return ", ".join(words)

    def _owned(self, path, status, owners, before):
        """A file of packages is as one of them has it, or as it is in the image.

        What the product's packages say of a file counts only where it is nobody else's: one that they call their
        own, or a ghost, is the platform's none the less.
        """
        if not stat.S_ISDIR(status.st_mode) and self._is_platforms(path):
            owners = [(package, entry) for package, entry in owners if not entry.is_product]
        # Of several packages of the product, what is installed counts.
        owners = [(package, entry) for package, entry in owners if entry.is_installed] or owners
        deviations = []
        for package, entry in owners:
            what = self._deviation(path, status, entry)
            if not what:
                return
            deviations.append([package, path, what])
        if before is None:
            self.deviant.append(deviations[-1])
            return
        difference = self._difference(path, before, status, False)
        if difference and deviations:
            self.deviant.append(deviations[-1])
        elif difference:
            self.changed.append([path, difference])

    def _deviation(self, path, now, entry):
        if entry.flags & GHOST:
            return ""
        if kind(entry.mode) != kind(now.st_mode):
            return f"{kind(now.st_mode)} instead of a {kind(entry.mode)}"
        # Nobody writes to what is below /usr, whatever the product's packages say of their files there.
        is_fixed = entry.is_product and path.startswith("/usr/")
        verified = entry.verified | (rpm.RPMVERIFY_FILEDIGEST | rpm.RPMVERIFY_MODE if is_fixed else 0)
        if entry.flags & CONFIG and not is_fixed:
            return ""  # whoever configures the host writes to it
        words = []
        if stat.S_ISLNK(now.st_mode):
            found = target(path, self.root)
            return "" if found == entry.link else f"link to {found} instead of {entry.link}"
        if verified & rpm.RPMVERIFY_MODE and (entry.mode ^ now.st_mode) & 0o7777:
            words.append(f"mode {now.st_mode & 0o7777:o} instead of {entry.mode & 0o7777:o}")
        for letter, name, known, found in (
            (rpm.RPMVERIFY_USER, entry.user, self.users, now.st_uid),
            (rpm.RPMVERIFY_GROUP, entry.group, self.groups, now.st_gid),
        ):
            if entry.verified & letter and name in known and known[name] != found:
                words.append(f"owner {found} instead of {name}")
        has_digest = stat.S_ISREG(now.st_mode) and entry.algorithm and verified & rpm.RPMVERIFY_FILEDIGEST
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


def bounded(findings):
    """Return the first findings, as many as there is place for."""
    kept, length = [], 0
    for finding in findings[:LISTED]:
        length += sum(len(word) for word in finding)
        if kept and length > LONGEST:
            break
        kept.append([word[:LONGEST] for word in finding])
    return kept


def without_expected(host, query):
    """Return the lists of findings without what is expected: that may be any number, and lists have an end."""
    names = "may_change", "may_be_added", "watched", "watched_elsewhere", "link_may_change", "link_may_be_added"
    may_change, may_be_added, watched, elsewhere, link_may_change, link_may_be_added = (
        re.compile(query[name], re.DOTALL).fullmatch for name in names
    )
    own = host.packages.own_folders() - {*host.image}

    def is_added(path):
        if may_be_added(path) or host.is_alternative(path):
            return False
        if link_may_be_added(path) and host.leads_to_package(path):
            return False
        if watched(path):
            return True
        return bool(elsewhere(path)) and own.isdisjoint(str(folder) for folder in PurePosixPath(path).parents)

    def is_changed(path):
        return not may_change(path) and not (link_may_change(path) and host.leads_to_package(path, changed=True))

    return {
        "changed": [
            *(item for item in host.changed if is_changed(item[0])),
            *(item for item in host.shadowing if not may_be_added(item[0])),
        ],
        "added": [item for item in host.added if is_added(item[0])],
        "deviant": [item for item in host.deviant if not may_change(item[1])],
        "misplaced": [item for item in host.misplaced if not may_be_added(item[1])],
    }


def main():
    """Inspect the host and print the result."""
    query = json.load(sys.stdin)
    root, problem = open_root()
    if problem:
        json.dump(shown({"root": problem}), sys.stdout)
        return
    packages = Packages(query["trusted"], query["product"], query["keys"], query["installed"])
    result = {"root": "", "image": [nevra(header) for header in rpm.TransactionSet().dbMatch()]}
    with tempfile.TemporaryDirectory() as folder:
        packages.read(root, folder)
    for algorithm in DIGESTS.values():
        hashlib.new(algorithm)  # loaded now: nothing is once the root is the host's
    # What the image has in such a folder is hidden by the host's file system there.
    image = {path: status for path, status in walk() if not path.startswith(IN_MEMORY + "/")}
    own, own_accounts = os.open("/", os.O_RDONLY | os.O_DIRECTORY), accounts.read_all()
    shared = is_overlay()
    os.fchdir(root)
    os.chroot(".")
    work_alone(lambda: _look(Host(image, own, packages, shared), own_accounts, query, result))


def _look(host, own_accounts, query, result):
    host.look(re.compile(query["reserved"], re.DOTALL), query["most"])
    host.changed += map(list, accounts.differences(own_accounts, host.accounts))
    lists = {name: bounded(items) for name, items in without_expected(host, query).items()}
    paths = [item[-2] for items in lists.values() for item in items][:LISTED]
    result.update(
        lists, packages=host.packages.names, refused=bounded(host.packages.refused),
        scriptlets=scriptlets(paths, host.packages), differing=len(host.changed) + len(host.added),
    )  # fmt: skip
    json.dump(shown(result), sys.stdout)


main()

"""The root directory of a host, opened once, and what is in it.

Part of ``outside.py``: it runs where nothing of the host is executed.  Process 1 of the host can change its root
directory at any moment, and back again: to a copy of the host's files as they were, for as long as these are read.
So what was opened is checked, and read by nothing but the descriptor.
"""

import errno
import hashlib
import os
import re
import stat
import sys
from pathlib import Path

OVERLAYS = ("overlay", "fuse.fuse-overlayfs")
TOO_MANY = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
GONE = (FileNotFoundError, NotADirectoryError)


def open_root():
    """Return a descriptor of the host's root directory, and why that is not its file system; empty if it is.

    Nobody there can mount anything but in a user namespace of their own, from which no process comes back:
    whether process 1 is in one is looked at last.
    """
    root = os.open("/proc/1/root", os.O_RDONLY | os.O_DIRECTORY)
    if not os.path.samestat(os.fstat(root), os.stat("..", dir_fd=root)):
        return root, "process 1 of the host has changed its root directory"
    theirs, own = _root_mount(1), _root_mount("self")
    if Path("/proc/1/ns/user").stat().st_ino != Path("/proc/self/ns/user").stat().st_ino:
        return root, "process 1 of the host is in a user namespace of its own"
    if theirs is None:
        return root, "process 1 of the host has changed its root directory"
    return root, "" if theirs == own else f"the root of the host's process 1 is another file system ({theirs[0]})"


def _root_mount(pid):
    """Return type and lower layers of the mount that is a process' root; None if its root is no mount."""
    with Path(f"/proc/{pid}/mountinfo").open() as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            if fields.split()[4] == "/":
                kind, _, options = rest.split(" ", 2)
                return kind, re.findall(r"lowerdir=[^,\s]*", options)
    return None


def is_overlay():
    """Return whether the present root shows untouched files of an image as they are there, with their times."""
    mount = _root_mount("self")
    return mount is not None and mount[0] in OVERLAYS


def walk(top=b"/", unread=None):
    """Yield (path, lstat) of everything in the file system of the present root.

    Folders that are there and cannot be read are added to ``unread``, as findings: root on the host can limit
    the descriptors of this process, which is root's, too.
    """
    device = os.lstat(top).st_dev
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except GONE:
            continue
        except OSError as error:
            if unread is None:
                raise
            unread.append([f"{os.fsdecode(folder)} as a folder", f"cannot be read: {error.strerror}"])
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except GONE:
                continue
            if stat.S_ISDIR(status.st_mode):
                if status.st_dev != device:
                    continue  # another file system: the engine's
                folders.append(entry.path)
            yield os.fsdecode(entry.path), status


def open_file(path, root=None):
    """Return a descriptor of a regular file, by its path or below an open folder; OSError if it is none."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=root)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "no regular file", path)
    return file


def content(path, root, algorithm="sha256"):
    """Return the digest of a regular file below an open folder; empty if there is none."""
    whole = hashlib.new(algorithm)
    try:
        file = open_file(path.lstrip("/"), root)
    except OSError as error:
        if error.errno in TOO_MANY:  # of two files that cannot be read, neither has the other's content
            raise
        return ""
    with os.fdopen(file, "rb") as reader:
        for piece in iter(lambda: reader.read(1 << 20), b""):
            whole.update(piece)
    return whole.hexdigest()


def target(path, root):
    """Return what a link below an open folder leads to; empty if it has gone meanwhile."""
    try:
        return os.readlink(path.lstrip("/"), dir_fd=root)
    except OSError as error:
        if error.errno in TOO_MANY:
            raise
        return ""


def work_alone(work):
    """Run ``work`` and end this process; neither loads anything: each path leads to the host's files by now.

    An error that nobody handles would, too: Python imports what shows it, and reads the lines that it names with
    the codec that these ask for.
    """
    for places in (sys.path, sys.meta_path, sys.path_hooks, sys.path_importer_cache):
        places.clear()
    sys.unraisablehook = lambda _: None
    try:
        work()
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001  # whatever it is, Python may not show it
        os.write(2, f"{_last_line(error)}: {type(error).__name__}: {error}\n".encode("utf-8", "backslashreplace"))
        os._exit(1)
    os._exit(0)


def _last_line(error):
    """Return the place in the scripts where an error was raised."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"

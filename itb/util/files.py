"""Files and folders: paths as people write them, whole writes, private and temporary folders."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from itb.errors import UsageError


def expand(text: str) -> Path:
    """Return a path with ``~`` and ``~user`` replaced by the home folder; UsageError if that user has none."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        message = f"{text[:100]!r}: no home folder of this user here"
        raise UsageError(message, hint="write out the path") from None


def resolve(path: Path) -> Path:
    """Return a path with all links resolved; UsageError if the links lead in a circle."""
    try:
        return path.resolve()
    except RuntimeError:
        raise UsageError(f"{str(path)[:200]!r}: its links lead in a circle") from None


def program(text: str) -> str:
    """Return the name of a program unchanged, or its path absolute, since it is started in another directory."""
    return str(expand(text).absolute()) if "/" in text else text


def check_writable(folder: Path) -> None:
    """Raise OSError, which names the folder, if no file can be made in it; leave no file there."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".itb-") as file:
            file.write(b"x")
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or errno.EIO), str(folder)) from None


_SYSTEM_PROGRAMS = ("/usr/sbin", "/sbin")  # programs for network and disks; not in the PATH of cron and some users


def settle_search_paths(environ: MutableMapping[str, str]) -> None:
    """Keep only absolute folders in PATH and PYTHONPATH, and for a relative HOME the one of the account.

    An empty or relative one is a folder of the current directory, which may be
    another user's.  Folders of system programs are added at the end, because an
    engine that needs iptables does not find it in cron's PATH.
    """
    for name, default in (("PATH", os.defpath), ("PYTHONPATH", "")):
        if name in environ:
            folders = [folder for folder in environ[name].split(os.pathsep) if Path(folder).is_absolute()]
            environ[name] = os.pathsep.join(folders) or default
            if not environ[name]:
                del environ[name]
    if not Path(environ.get("HOME", "/")).is_absolute():
        del environ["HOME"]
        with suppress(RuntimeError):  # the user has no account
            environ["HOME"] = str(Path.home())
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    environ["PATH"] = os.pathsep.join(dict.fromkeys([*folders, *_SYSTEM_PROGRAMS]))


def xdg(variable: str, default: str) -> Path:
    """Return a folder of the XDG base directory specification, which says to ignore a relative one."""
    folder = Path(os.environ.get(variable, ""))
    return folder if folder.is_absolute() else Path.home() / default


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def private_directory(path: Path) -> Path:
    """Make a directory of mode 0700 and return it; one that exists gets this mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
    """Open a regular file, following links, and return its descriptor; OSError for anything else."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, mode)  # a FIFO would block
    file_mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(file_mode):
        os.close(descriptor)
        if stat.S_ISDIR(file_mode):
            raise IsADirectoryError(errno.EISDIR, "is a directory", str(path))
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


TEXT_LIMIT = 16 << 20  # bytes of a file that a person writes, or that describes a run
_LIMIT = 1 << 30  # bytes of any other file that is read as a whole


def read(path: Path, limit: int = _LIMIT) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes; OSError for anything else."""
    with os.fdopen(open_regular(path), "rb") as file:
        return read_open(file, path, limit)


def read_open(file: IO[bytes], path: Path, limit: int = _LIMIT) -> bytes:
    """Return the rest of an open file; OSError, which names ``path``, if it has more than ``limit`` bytes."""
    data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit >> 10} KiB", str(path))
    return data


@contextmanager
def _named_in_errors(path: Path) -> Iterator[None]:
    """Name a file in an error of writing it, as one of opening it does: one of several disks may be full."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def append(path: Path, text: str) -> None:
    """Append text to a regular file, which is created if it does not exist; OSError for anything else."""
    descriptor = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with _named_in_errors(path), os.fdopen(descriptor, "ab") as file:
        file.write(text.encode(errors="replace"))


def write_atomically(path: Path, data: str | bytes, *, mode: int = 0o644) -> None:
    """Replace a file as a whole: readers see the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with _named_in_errors(path), os.fdopen(descriptor, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


_FICLONE = 0x40049409  # ioctl_ficlonerange(2)


def share(source: Path, destination: Path) -> None:
    """Duplicate a regular file without using disk space if the file system allows it, else copy it.

    The duplicate is a clone where the file system can share blocks, else a
    hard link if both are on one file system.  Linked files are made read-only,
    because a change of one would change both.
    """
    destination.unlink(missing_ok=True)
    with os.fdopen(open_regular(source), "rb") as original:
        try:
            with destination.open("xb") as clone:
                fcntl.ioctl(clone, _FICLONE, original.fileno())
            return
        except OSError:  # another file system, or one that cannot share blocks
            destination.unlink()
        try:
            if source.is_symlink():
                raise OSError(errno.EINVAL, "a link itself would be linked", str(source))
            os.fchmod(original.fileno(), 0o444)
            os.link(source, destination)
        except OSError:
            shutil.copyfile(source, destination)


_TEMPORARY_PREFIX = "itb-scratch-"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a private folder (mode 0700), and remove it when the block ends."""
    with tempfile.TemporaryDirectory(prefix=f"{_TEMPORARY_PREFIX}{os.getpid()}-") as directory:
        yield Path(directory)


def remove_leftovers() -> list[str]:
    """Remove the temporary folders of killed processes of this user; return their paths."""
    removed = []
    for path in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY_PREFIX}*-*"):
        pid = path.name.removeprefix(_TEMPORARY_PREFIX).partition("-")[0]
        is_own = not path.is_symlink() and path.is_dir() and path.stat().st_uid == os.getuid()
        if is_own and pid.isdigit() and not _is_running(int(pid)):
            shutil.rmtree(path, ignore_errors=True)
            removed.append(str(path))
    return removed


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

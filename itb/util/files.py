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
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from itb.errors import UsageError


def expand(written: str) -> Path:
    """Return a path with ``~`` and ``~user`` replaced by the home folder; UsageError if that user has none."""
    try:
        return Path(written).expanduser()
    except RuntimeError:
        message = f"{written[:100]!r}: no home folder of this user here"
        raise UsageError(message, hint="write out the path") from None


def resolve(path: Path) -> Path:
    """Return where a path leads to, without links; UsageError where they lead in a circle."""
    try:
        return path.resolve()
    except RuntimeError:
        raise UsageError(f"{str(path)[:200]!r}: its links lead in a circle") from None


def program(written: str) -> str:
    """Return a program's name as it is, its path absolute: what is started is started in another directory."""
    return str(expand(written).absolute()) if "/" in written else written


def check_writable(folder: Path) -> None:
    """Raise OSError, which names the folder, if no file can be made in it; leaves nothing there."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".itb-") as file:
            file.write(b"x")
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or errno.EIO), str(folder)) from None


_SYSTEM_PROGRAMS = ("/usr/sbin", "/sbin")  # of a machine's network and disks; cron and some users do without


def settle_search_paths(environ: MutableMapping[str, str]) -> None:
    """Leave only absolute folders in the variables programs and Python modules are looked up by.

    An empty or relative one is a folder of the current directory, whosever
    that is.  Folders of system programs are added last: an engine that looks
    for iptables does not find it by cron's PATH.
    """
    for name, otherwise in (("PATH", os.defpath), ("PYTHONPATH", "")):
        if name in environ:
            folders = [folder for folder in environ[name].split(os.pathsep) if Path(folder).is_absolute()]
            environ[name] = os.pathsep.join(folders) or otherwise
            if not environ[name]:
                del environ[name]
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    environ["PATH"] = os.pathsep.join(dict.fromkeys([*folders, *_SYSTEM_PROGRAMS]))


def xdg(variable: str, otherwise: str) -> Path:
    """Return a folder of the XDG base directory specification, by which a relative one is to be ignored."""
    named = Path(os.environ.get(variable, ""))
    return named if named.is_absolute() else Path.home() / otherwise


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
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, mode)  # a FIFO would wait
    seen = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(seen):
        os.close(descriptor)
        if stat.S_ISDIR(seen):
            raise IsADirectoryError(errno.EISDIR, "is a directory", str(path))
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


TEXT_LIMIT = 16 << 20  # bytes of a file that a person writes, or that says what a run is
_LIMIT = 1 << 30  # bytes of any file that is read whole


def read(path: Path, limit: int = _LIMIT) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes; OSError for anything else."""
    with os.fdopen(open_regular(path), "rb") as file:
        return read_open(file, path, limit)


def read_open(file: IO[bytes], path: Path, limit: int = _LIMIT) -> bytes:
    """Return what is left in an open file; OSError, which names ``path``, if that is more than ``limit`` bytes."""
    data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit >> 10} KiB", str(path))
    return data


def append(path: Path, text: str) -> None:
    """Add text to a regular file, which is created if it does not exist; OSError for anything else."""
    with os.fdopen(open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as file:
        file.write(text.encode(errors="replace"))


def write_atomically(path: Path, data: str | bytes, *, mode: int = 0o644) -> None:
    """Replace ``path`` as a whole: readers see the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


_FICLONE = 0x40049409  # ioctl_ficlonerange(2)


def share(source: Path, destination: Path) -> None:
    """Give a regular file a second name that takes no room of its own where that can be had, else copy it.

    A clone, which later changes do not meet, where the file system shares
    blocks; a hard link where both are on one: such files are read-only, for
    whoever changes one would change both.
    """
    destination.unlink(missing_ok=True)
    with os.fdopen(open_regular(source), "rb") as original:
        try:
            with destination.open("xb") as clone:
                fcntl.ioctl(clone, _FICLONE, original.fileno())
            return
        except OSError:  # another file system, or one that cannot do it
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
    """Remove the temporary folders that killed processes of this user left; return their paths."""
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

"""Finds out who used a disk that is full: the candidate, which is root on its hosts, or somebody else.

All hosts share the disk of the engine, and often that of the run directory.
What was free when the run's hosts were first started is recorded; containers
begin with nothing of their own, and so does the run directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from itb.containers.description import mounted_files_of
from itb.errors import ItbError
from itb.run.cell import Cell
from itb.rundir import values
from itb.rundir.values import DiskSpace

MIN_FREE = 16 << 20  # bytes; with less on the machine's disk, nothing works


def folders(cell: Cell) -> list[Path]:
    """Return the folders of this machine that a run needs space in, and that are here."""
    candidates = (cell.rundir.path, cell.settings.cache_dir, cell.engine.storage, cell.engine.state)
    return list(dict.fromkeys(folder for folder in candidates if folder and folder.is_dir()))


def free_bytes(path: Path) -> int:
    """Return how much of a folder's disk is free."""
    filesystem = os.statvfs(path)
    return filesystem.f_bavail * filesystem.f_frsize


def lacks_inodes(path: Path) -> bool:
    """Return whether no file can be made on a folder's disk; some file systems have no number of them."""
    filesystem = os.statvfs(path)
    return filesystem.f_files > 0 and filesystem.f_favail == 0


def remember(cell: Cell) -> None:
    """Record what is free before the run has hosts, unless that was done."""
    if cell.rundir.load_if_readable(values.DISK_SPACE) is None:
        space = {str(folder): free_bytes(folder) for folder in folders(cell)}
        cell.rundir.save(values.DISK_SPACE, DiskSpace(free=space))


def is_candidates(cell: Cell, folder: Path | None, roles: Sequence[str]) -> bool:
    """Return whether the candidate used at least half of what was free on a folder's disk, or may have.

    ``roles`` are those whose hosts have the candidate, ``folder`` is None for the engine's disk.
    """
    if not roles:
        return False
    folder = folder or cell.engine.storage
    saved = cell.rundir.load_if_readable(values.DISK_SPACE)
    if folder is None or saved is None or str(folder) not in saved.free or not folder.is_dir():
        return True  # an engine on another machine, or a run of an older itb
    if lacks_inodes(folder):
        return True  # whose they are is not counted
    lost = saved.free[str(folder)] - free_bytes(folder)
    try:
        return lost > 0 and 2 * _used(cell, folder, roles) >= lost
    except (ItbError, OSError):
        return True


def _used(cell: Cell, folder: Path, roles: Sequence[str]) -> int:
    """Return the bytes on a folder's disk of the hosts of these roles and of the run directory."""
    disk, used = folder.stat().st_dev, 0
    existing = sorted(cell.testbed.roles_with_container() & set(roles))
    containers = [cell.host(role).container for role in existing]
    if containers and cell.engine.storage and cell.engine.storage.is_dir():
        used += sum(cell.engine.own_sizes(containers)) if cell.engine.storage.stat().st_dev == disk else 0
        for details in cell.engine.inspect_all(containers):
            used += sum(_size(file) for file in mounted_files_of(details) if _is_on(file, disk))
    if cell.rundir.path.stat().st_dev == disk:
        used += sum(_sizes(cell.rundir.path))
    return used


def _sizes(folder: Path) -> Iterable[int]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield _size(Path(parent, name))


def _size(file: Path) -> int:
    return file.lstat().st_blocks * 512


def _is_on(file: Path, disk: int) -> bool:
    return file.is_file() and file.lstat().st_dev == disk

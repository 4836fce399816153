"""Where the data folders are, in a checkout and in an installed wheel alike."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path


def folder(name: str) -> Path:
    """Return the directory of a data folder: build_ws, scenarios or reports."""
    return Path(str(files(f"itb.data.{name}")))


def converter() -> Path:
    """Return the directory of the package debtorpm, which is copied into containers."""
    return Path(str(files("itb.debtorpm")))


def checksum(folder: Path) -> str:
    """Return a SHA-256 over the files of a folder: names, modes that matter, contents."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            mode = path.stat().st_mode & 0o111
            whole.update(f"\0{path.relative_to(folder)}\0{mode}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                hashlib.file_digest(file, lambda: whole)
    return whole.hexdigest()

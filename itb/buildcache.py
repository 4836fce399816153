"""RPMs that were built before, kept by everything that decides what they are.

An entry is a folder that appears whole (a rename) and is believed only as
far as its checksums hold when it is taken.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from itb.model import Record, Rpm

RECORD = "build.json"
LOG = "release-manager.log"


class CachedBuild(Record):
    """What an entry holds beside the files; ``seconds`` is what the build took, ``built`` when (epoch)."""

    rpms: tuple[Rpm, ...]
    source_rpm: Rpm | None = None
    arguments: tuple[str, ...]
    seconds: float
    built: float

    @property
    def files(self) -> tuple[Rpm, ...]:
        """Every package file of the build."""
        return (*self.rpms, self.source_rpm) if self.source_rpm else self.rpms


def key(parts: Mapping[str, Any]) -> str:
    """Return the name of the entry for these facts, 32 hex digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def store(cache: Path, name: str, build: CachedBuild, rpms: Path, log: Path) -> None:
    """Keep a build; the first of two that end at once wins."""
    entries = cache / "builds"
    entries.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=entries) as temporary:
        new = Path(temporary) / "entry"
        new.mkdir()
        for rpm in build.files:
            shutil.copyfile(rpms / rpm.file, new / rpm.file)
        if log.is_file():
            shutil.copyfile(log, new / LOG)
        (new / RECORD).write_text(build.model_dump_json(indent=1), encoding="utf-8")
        try:
            new.rename(entries / name)
        except OSError:
            if not (entries / name / RECORD).is_file():
                raise


def take(
    cache: Path, name: str, *, rpms: Path, log: Path, say: Callable[[str], None] = lambda _: None
) -> CachedBuild | None:
    """Copy an entry's files to ``rpms`` and ``log``; None, and the entry gone, if there is none to be trusted.

    ``say`` is told what is wrong with one that was there.
    """
    entry = cache / "builds" / name
    if not entry.is_dir():
        return None
    try:
        found = CachedBuild.model_validate_json((entry / RECORD).read_bytes())
        rpms.mkdir(parents=True, exist_ok=True)
        for rpm in found.files:
            shutil.copyfile(entry / rpm.file, rpms / rpm.file)
        damaged = [rpm.file for rpm in found.files if sha256(rpms / rpm.file) != rpm.sha256]
    except FileNotFoundError as error:
        damaged = [f"{Path(str(error.filename)).name} (absent)"]
    except ValidationError:
        damaged = [f"{RECORD} (unreadable)"]
    if damaged:
        say(f"{', '.join(damaged)} in {entry}")
        discard(entry)
        return None
    if (entry / LOG).is_file():
        shutil.copyfile(entry / LOG, log)
    os.utime(entry / RECORD)  # used now: prune() keeps it
    return found


def discard(entry: Path) -> None:
    """Remove an entry; nobody sees half of it."""
    if not entry.is_dir():
        return
    with tempfile.TemporaryDirectory(prefix=".old-", dir=entry.parent) as temporary:
        entry.rename(Path(temporary) / "entry")


def prune(cache: Path, *, days: float) -> list[str]:
    """Remove entries nobody took for so many days, and halves of ended processes; return their names."""
    entries = cache / "builds"
    removed = []
    for entry in entries.iterdir() if entries.is_dir() else ():
        record = entry / RECORD
        used = (record if record.is_file() else entry).stat().st_mtime
        if used < time.time() - days * 86400:
            shutil.rmtree(entry, ignore_errors=True)
            removed.append(entry.name)
    return removed

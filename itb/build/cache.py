"""The cache of built RPMs, keyed by everything that decides their content.

An entry is a folder that appears whole (by a rename) and has a level of
trust: RPMs of a pull request never stand in for those of a release.  An entry
is used only if nobody else can have written it, its record names the same
build, and its checksums are right.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from itb.config.trust import LEVELS
from itb.errors import UsageError
from itb.model import Record, Rpm, Trust
from itb.util import files, ownership

RECORD = "build.json"
LOG = "release-manager.log"


class SourceCheck(Record):
    """How the source RPM compares with the commit; nothing is wrong where that could be judged."""

    message: str
    is_judged: bool = True


class CachedBuild(Record):
    """The record of an entry; ``seconds`` is the duration of the build, ``built`` its time (epoch).

    ``name`` is the entry's (:func:`key`), ``commit`` the id of the commit
    that was built, ``run`` the run that built it, ``trust`` its level of trust.
    """

    name: str
    commit: str
    run: str
    trust: Trust
    rpms: tuple[Rpm, ...]
    source_rpm: Rpm | None = None
    source_check: SourceCheck
    arguments: tuple[str, ...]
    seconds: float
    built: float

    def is_of(self, name: str, commit: str, trust: Trust) -> bool:
        """Return whether this is the record of that entry, and its RPMs are file names without a folder."""
        plain = all(Path(rpm.file).name == rpm.file and rpm.file.endswith(".rpm") for rpm in self.files)
        return plain and (self.name, self.commit, self.trust) == (name, commit, trust)

    @property
    def files(self) -> tuple[Rpm, ...]:
        """Return every package file of the build."""
        return (*self.rpms, self.source_rpm) if self.source_rpm else self.rpms


def key(parts: Mapping[str, Any]) -> str:
    """Return the name of the entry with this key, 32 hex digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def record_version() -> str:
    """Return a checksum of the record's schema: versions of itb with another schema share no entries."""
    return key(CachedBuild.model_json_schema())


def folder(cache: Path, name: str, trust: Trust) -> Path:
    """Return the path that the entry of this name and level of trust has."""
    return cache / "builds" / f"{name}-{trust}"


def store(cache: Path, build: CachedBuild, rpms: Path, log: Path) -> None:
    """Put a build into the cache; of two that end at the same time the first one stays."""
    entry = folder(cache, build.name, build.trust)
    ownership.own_folder(entry.parent)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=entry.parent) as temporary:
        new = Path(temporary) / "entry"
        new.mkdir(mode=0o700)
        for rpm in build.files:
            files.share(rpms / rpm.file, new / rpm.file)
        if log.is_file():
            shutil.copyfile(log, new / LOG)
        (new / RECORD).write_text(build.model_dump_json(indent=1), encoding="utf-8")
        for path in new.iterdir():
            path.chmod(0o444)  # a file that others may write to, by an open umask, is not used
        if not _is_readable(entry):
            discard(entry)
        try:
            new.rename(entry)
        except OSError:
            if not _is_readable(entry):
                raise


def _is_readable(entry: Path) -> bool:
    try:
        CachedBuild.model_validate_json((entry / RECORD).read_bytes())
    except (OSError, ValidationError):
        return False
    return True


def take(
    cache: Path,
    name: str,
    *,
    commit: str,
    trust: Trust,
    rpms: Path,
    log: Path,
    report: Callable[[str], None] = lambda _: None,
) -> CachedBuild | None:
    """Copy an entry's files to ``rpms`` and its log to ``log``; return its record, None if no entry is usable.

    ``commit`` is the id of the commit, ``trust`` the lowest level of trust of
    an entry.  ``report`` is called with what is wrong with an entry.  One that
    is damaged is then removed; one that cannot be read may be another version's
    and stays, as does one that others can change.
    """
    for level in LEVELS[trust].cached_builds:
        entry = folder(cache, name, level)
        if entry.is_dir() and (cached := _take(entry, (name, commit, level), rpms, report)):
            if (entry / LOG).is_file():
                shutil.copyfile(entry / LOG, log)
            with suppress(OSError):  # a disk that may not be written
                os.utime(entry)  # itb clean --unused goes by it
            return cached
    return None


def _take(
    entry: Path, identity: tuple[str, str, Trust], rpms: Path, report: Callable[[str], None]
) -> CachedBuild | None:
    """Copy the files of one entry to ``rpms`` and return its record; None if it is not usable.

    ``identity`` is the name, the commit and the level of trust that it must have.
    """
    try:
        ownership.check_tree(entry)
    except UsageError as error:
        report(f"{error.message} ({error.hint})")
        return None
    try:
        cached = CachedBuild.model_validate_json((entry / RECORD).read_bytes())
        damaged = [] if cached.is_of(*identity) else [f"{RECORD} (of another build)"]
        for rpm in cached.files if not damaged else ():
            rpms.mkdir(parents=True, exist_ok=True)
            files.share(entry / rpm.file, rpms / rpm.file)
            damaged += [rpm.file] if files.sha256(rpms / rpm.file) != rpm.sha256 else []
    except FileNotFoundError as error:
        damaged = [f"{Path(str(error.filename)).name} (absent)"]
    except ValidationError:
        report(f"{RECORD} (unreadable) in {entry}")
        return None
    if damaged:
        report(f"{', '.join(damaged)} in {entry}")
        discard(entry)
        return None
    return cached


def discard(entry: Path) -> None:
    """Remove an entry, at once for other processes (by a rename)."""
    if not entry.is_dir():
        return
    with tempfile.TemporaryDirectory(prefix=".old-", dir=entry.parent) as temporary:
        entry.rename(Path(temporary) / "entry")

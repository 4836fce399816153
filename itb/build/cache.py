"""RPMs that were built before, kept by everything that decides what they are.

An entry is a folder that appears whole (a rename), of one level of trust:
what was built of anybody's pull request never stands in for a release.  It
is believed only if it belongs to this user, says what it was made of, and
its checksums hold when it is taken.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from itb.model import Record, Rpm, Trust
from itb.util import files

RECORD = "build.json"
LOG = "release-manager.log"


class CachedBuild(Record):
    """What an entry holds beside the files; ``seconds`` is what the build took, ``built`` when (epoch).

    ``name`` is the entry's own (:func:`key`), ``commit`` the id of what was
    built, ``run`` the run that built it and ``trust`` how far that is trusted.
    """

    name: str
    commit: str
    run: str
    trust: Trust
    rpms: tuple[Rpm, ...]
    source_rpm: Rpm | None = None
    arguments: tuple[str, ...]
    seconds: float
    built: float

    def is_of(self, name: str, commit: str, trust: Trust) -> bool:
        """Return whether this is the record of such an entry, and its files are files beside it."""
        plain = all(Path(rpm.file).name == rpm.file and rpm.file.endswith(".rpm") for rpm in self.files)
        return plain and (self.name, self.commit, self.trust) == (name, commit, trust)

    @property
    def files(self) -> tuple[Rpm, ...]:
        """Return every package file of the build."""
        return (*self.rpms, self.source_rpm) if self.source_rpm else self.rpms


def key(parts: Mapping[str, Any]) -> str:
    """Return the name of the entry for these facts, 32 hex digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def record_version() -> str:
    """Return a checksum of the form of an entry's record: versions of itb with another form share no entries."""
    return key(CachedBuild.model_json_schema())


def folder(cache: Path, name: str, trust: Trust) -> Path:
    """Return where the entry of this name and level is, if there is one."""
    return cache / "builds" / f"{name}-{trust}"


def store(cache: Path, build: CachedBuild, rpms: Path, log: Path) -> None:
    """Keep a build; the first of two that end at once wins."""
    entry = folder(cache, build.name, build.trust)
    entry.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=entry.parent) as temporary:
        new = Path(temporary) / "entry"
        new.mkdir(mode=0o700)  # what others may write to would not be believed
        for rpm in build.files:
            files.share(rpms / rpm.file, new / rpm.file)
        if log.is_file():
            shutil.copyfile(log, new / LOG)
        (new / RECORD).write_text(build.model_dump_json(indent=1), encoding="utf-8")
        if not (entry / RECORD).is_file():
            discard(entry)  # half of one
        try:
            new.rename(entry)
        except OSError:
            if not (entry / RECORD).is_file():
                raise


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
    """Put an entry's files into ``rpms`` and its log to ``log``; None if there is none to be trusted.

    ``commit`` is the id of what is wanted and ``trust`` its level: an entry
    of a lower one does not serve.  ``report`` is called with what is wrong
    with an entry; that entry is removed, unless it is another user's.
    """
    for level in trust.sources:
        entry = folder(cache, name, level)
        if entry.is_dir() and (cached := _take(entry, (name, commit, level), rpms, report)):
            if (entry / LOG).is_file():
                shutil.copyfile(entry / LOG, log)
            os.utime(entry)  # itb clean --unused goes by it
            return cached
    return None


def _take(
    entry: Path, identity: tuple[str, str, Trust], rpms: Path, report: Callable[[str], None]
) -> CachedBuild | None:
    """Put the files of one entry into ``rpms`` and return what it says; None if it is not to be trusted.

    ``identity`` is the name, commit and level it must have.
    """
    status = entry.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        report(f"{entry} (another user may have written it)")
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
        damaged = [f"{RECORD} (unreadable)"]
    if damaged:
        report(f"{', '.join(damaged)} in {entry}")
        discard(entry)
        return None
    return cached


def discard(entry: Path) -> None:
    """Remove an entry; nobody sees half of it."""
    if not entry.is_dir():
        return
    with tempfile.TemporaryDirectory(prefix=".old-", dir=entry.parent) as temporary:
        entry.rename(Path(temporary) / "entry")

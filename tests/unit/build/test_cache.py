"""How builds are kept for later runs, and which of them a run may take."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from itb.build import cache as build_cache
from itb.build.cache import RECORD, CachedBuild
from itb.model import Rpm, Trust
from itb.util import files

COMMIT = "1" * 40


def keep(folder: Path, trust: Trust = Trust.RELEASE, content: bytes = b"content", **more: Any) -> CachedBuild:
    """Put a build into ``folder/cache`` and return what its entry says."""
    rpms = folder / "made"
    rpms.mkdir(exist_ok=True)
    (rpms / "a.rpm").write_bytes(content)
    (folder / "log").write_text("a log")
    facts = {"name": "a", "version": "1", "release": "1", "arch": "noarch", "file": "a.rpm", "size": len(content)}
    rpm = Rpm.model_validate({**facts, "sha256": files.sha256(rpms / "a.rpm")})
    entry = CachedBuild(
        name="k", commit=COMMIT, run="r", trust=trust, rpms=(rpm,), arguments=("--no-mock",), seconds=12,
        built=1e9, source_check=build_cache.SourceCheck(message="3 files"),
    ).model_copy(update=more)
    build_cache.store(folder / "cache", entry, rpms, folder / "log")
    return entry


def take(
    folder: Path, trust: Trust = Trust.RELEASE, *, commit: str = COMMIT, name: str = "k"
) -> CachedBuild | None:
    """Take a build out of ``folder/cache`` into ``folder/into``; what is wrong goes to ``folder/said``."""
    into = folder / "into"
    into.mkdir(exist_ok=True)

    def report(text: str) -> None:
        (folder / "said").write_text(text)

    return build_cache.take(
        folder / "cache", name, commit=commit, trust=trust, rpms=into / "rpms", log=into / "log", report=report
    )


def test_a_kept_build_is_taken(tmp_path: Path) -> None:
    entry = keep(tmp_path)
    assert take(tmp_path) == entry
    assert (tmp_path / "into" / "rpms" / "a.rpm").read_bytes() == b"content"
    assert (tmp_path / "into" / "log").read_text() == "a log"
    assert take(tmp_path, name="other") is None
    assert not (tmp_path / "said").exists()


def test_runs_and_cache_share_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files.fcntl, "ioctl", unable)  # a file system that cannot clone
    keep(tmp_path)
    take(tmp_path)
    places = [tmp_path / "made", tmp_path / "cache" / "builds" / "k-release", tmp_path / "into" / "rpms"]
    assert len({(place / "a.rpm").stat().st_ino for place in places}) == 1
    assert (places[0] / "a.rpm").stat().st_nlink == 3


def test_a_shared_file_that_somebody_changed_is_not_believed(tmp_path: Path) -> None:
    keep(tmp_path)
    take(tmp_path)
    for path in (tmp_path / "into" / "rpms" / "a.rpm", tmp_path / "cache" / "builds" / "k-release" / "a.rpm"):
        path.chmod(0o644)
        path.write_bytes(b"another")
    assert take(tmp_path) is None
    assert "a.rpm" in (tmp_path / "said").read_text()


@pytest.mark.parametrize("wanted", list(Trust))
@pytest.mark.parametrize("built", list(Trust))
def test_lower_trust_never_serves_a_higher_one(tmp_path: Path, built: Trust, wanted: Trust) -> None:
    keep(tmp_path, built)
    serves = {
        Trust.RELEASE: {Trust.RELEASE},
        Trust.BRANCH: {Trust.RELEASE, Trust.BRANCH},
        Trust.PR: {Trust.RELEASE, Trust.BRANCH, Trust.PR},
    }[wanted]
    cached = take(tmp_path, wanted)
    assert (cached is not None) == (built in serves)
    assert not (tmp_path / "said").exists(), "an entry of another level is not damaged"


def test_an_entry_of_lower_trust_takes_nobodys_place(tmp_path: Path) -> None:
    keep(tmp_path, Trust.PR, b"anybody's")
    keep(tmp_path, Trust.RELEASE, b"release's")
    assert take(tmp_path)
    assert (tmp_path / "into" / "rpms" / "a.rpm").read_bytes() == b"release's"
    assert take(tmp_path, Trust.PR), "the higher one serves it, too"
    assert (tmp_path / "into" / "rpms" / "a.rpm").read_bytes() == b"release's"


def test_an_entry_does_not_rise_by_its_folders_name(tmp_path: Path) -> None:
    keep(tmp_path, Trust.PR)
    entries = tmp_path / "cache" / "builds"
    (entries / "k-pr").rename(entries / "k-release")
    assert take(tmp_path) is None
    assert "of another build" in (tmp_path / "said").read_text()


def test_an_entry_of_another_commit_or_key_is_not_taken(tmp_path: Path) -> None:
    keep(tmp_path)
    entries = tmp_path / "cache" / "builds"
    (entries / "k-release").rename(entries / "other-release")
    assert take(tmp_path, name="other") is None
    keep(tmp_path)
    assert take(tmp_path, commit="3" * 40) is None


def test_an_entry_others_may_write_to_is_not_taken_and_stays(tmp_path: Path) -> None:
    keep(tmp_path)
    entry = tmp_path / "cache" / "builds" / "k-release"
    entry.chmod(0o777)
    assert take(tmp_path) is None
    assert "can be written by everybody" in (tmp_path / "said").read_text()
    assert entry.is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("file", ["a.rpm", RECORD, ""])
def test_an_entry_with_a_neighbours_file_is_not_taken(tmp_path: Path, file: str) -> None:
    """Its checksums hold when it is taken, and its owner changes it a moment later."""
    keep(tmp_path)
    os.chown(tmp_path / "cache" / "builds" / "k-release" / file, 54321, 54321)
    assert take(tmp_path) is None
    assert "belongs to user 54321" in (tmp_path / "said").read_text()


def test_the_cache_is_ones_own_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keep(tmp_path)
    finally:
        os.umask(before)
    folders = [path for path in (tmp_path / "cache").rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "cache", *folders)} == {0o700}
    assert take(tmp_path)


@pytest.mark.parametrize("file", ["../a.rpm", "/etc/passwd", "..", "build.json"])
def test_an_entry_names_files_beside_it_only(tmp_path: Path, file: str) -> None:
    keep(tmp_path)
    record = tmp_path / "cache" / "builds" / "k-release" / RECORD
    content = json.loads(record.read_text())
    content["rpms"][0]["file"] = file
    record.write_text(json.dumps(content))
    assert take(tmp_path) is None
    assert not (tmp_path / "into" / "rpms").exists()


@pytest.mark.parametrize("form", ["cut off", "later", "earlier"])
def test_an_entry_that_cannot_be_read_is_another_itbs(tmp_path: Path, form: str) -> None:
    """It is as if there were none, and is removed only by what takes its place."""
    entry = keep(tmp_path)
    record = tmp_path / "cache" / "builds" / "k-release" / RECORD
    content = json.loads(record.read_text())
    later, earlier = {**content, "more": 1}, {key: content[key] for key in content if key != "trust"}
    record.write_text({"cut off": "{", "later": json.dumps(later), "earlier": json.dumps(earlier)}[form])
    before = record.read_text()
    assert take(tmp_path) is None
    assert record.read_text() == before
    keep(tmp_path)
    assert take(tmp_path) == entry


@pytest.mark.parametrize("damage", ["changed", "absent", "half"])
def test_a_damaged_build_is_not_taken_and_goes(tmp_path: Path, damage: str) -> None:
    keep(tmp_path)
    entry = tmp_path / "cache" / "builds" / "k-release"
    if damage == "changed":
        (entry / "a.rpm").write_bytes(b"c0ntent")
    elif damage == "absent":
        (entry / "a.rpm").unlink()
    else:
        (entry / RECORD).unlink()
    assert take(tmp_path) is None
    assert not entry.exists()
    assert list(entry.parent.iterdir()) == []


def test_two_builds_that_end_at_once(tmp_path: Path) -> None:
    first = keep(tmp_path)
    keep(tmp_path, run="another")
    assert take(tmp_path) == first


def test_half_an_entry_is_replaced(tmp_path: Path) -> None:
    keep(tmp_path)
    (tmp_path / "cache" / "builds" / "k-release" / RECORD).unlink()
    entry = keep(tmp_path)
    assert take(tmp_path) == entry


def test_a_build_that_was_taken_is_in_use(tmp_path: Path) -> None:
    """itb clean --unused goes by when entries were changed: one that is taken again and again stays."""
    keep(tmp_path)
    entry, now = tmp_path / "cache" / "builds" / "k-release", time.time()
    os.utime(entry, (1, 1))
    assert take(tmp_path)
    assert entry.stat().st_mtime >= now - 1


def test_every_fact_counts_in_a_key() -> None:
    assert build_cache.key({"a": 1, "b": [2]}) == build_cache.key({"b": [2], "a": 1})
    assert build_cache.key({"a": 1}) != build_cache.key({"a": "1"})


def test_versions_that_write_another_entry_never_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    before = build_cache.record_version()
    assert before == build_cache.record_version()

    class Later(CachedBuild):
        more: int

    monkeypatch.setattr(build_cache, "CachedBuild", Later)
    assert build_cache.record_version() != before


def test_an_entry_on_a_read_only_disk_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    entry = keep(tmp_path)
    monkeypatch.setattr(os, "utime", refuse)
    assert take(tmp_path) == entry

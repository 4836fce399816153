"""Files that are stored once and have two names."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.util import files


def blocks_of(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_nlink


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"content" * 1000)
    return path


def test_a_shared_file_takes_no_room_of_its_own(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files.fcntl, "ioctl", unable)  # a file system that cannot clone
    files.share(source, tmp_path / "other")
    assert blocks_of(source) == blocks_of(tmp_path / "other")
    assert source.stat().st_mode & 0o777 == 0o444, "whoever changes one changes both"


def test_what_is_there_is_replaced_not_written_to(source: Path, tmp_path: Path) -> None:
    old, other = tmp_path / "old", tmp_path / "other"
    old.write_text("old")
    os.link(old, other)
    files.share(source, other)
    assert old.read_text() == "old"
    assert other.read_bytes() == source.read_bytes()


def test_where_there_can_be_no_link_it_is_copied(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(files.fcntl, "ioctl", unable)
    monkeypatch.setattr(os, "link", unable)
    files.share(source, tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == source.read_bytes()
    assert blocks_of(source) != blocks_of(tmp_path / "other")


def test_a_link_is_followed_and_only_files_are_shared(source: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(source)
    files.share(link, tmp_path / "other")
    assert not (tmp_path / "other").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        files.share(tmp_path / "pipe", tmp_path / "no")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("write", [files.append, files.write_atomically])
def test_an_error_of_writing_names_the_file(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
    """A full disk is one of several: home, runs, cache."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            write(tmp_path / "file", "x" * (2 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert raised.value.filename == str(tmp_path / "file")

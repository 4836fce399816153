"""A git server that sends more than a product has, or ends in the middle: nothing of it stays on the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from itb.errors import BuildError, UsageError
from itb.process import output
from itb.process.request import Request
from itb.process.runner import Runner
from itb.source import git
from itb.source.origin import Origin, locate


@pytest.fixture
def source(tmp_path: Path) -> Origin:
    """A repository with a file of 2 MiB that cannot be packed, read as one of another machine."""
    folder, runner = tmp_path / "source", Runner()
    runner.run(Request(["git", "init", "--quiet", str(folder)]))
    (folder / "file").write_bytes(os.urandom(2 << 20))
    author = ("-c", "user.name=t", "-c", "user.email=t@t")
    for argv in (["add", "--all"], [*author, "commit", "--quiet", "--message", "x"]):
        runner.run(Request(["git", "-C", str(folder), *argv]))
    return locate(folder.as_uri())


def kept(cache: Path) -> list[str]:
    """The files of the cache that are as large as what came."""
    return [path.name for path in cache.rglob("*") if path.is_file() and path.stat().st_size > 1 << 19]


def test_no_more_is_taken_than_a_product_has(
    source: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    with monkeypatch.context() as patch:
        patch.setattr(git, "_LARGEST_PACK", 1 << 20)
        with pytest.raises(UsageError, match="sends more than 1 MiB"):
            git.refresh(source, cache=cache, runner=Runner())
    assert kept(cache) == []
    clone = git.refresh(source, cache=cache, runner=Runner())[0].directory
    assert clone
    assert len(kept(cache)) == 1
    # What a fetch leaves that was killed goes with the next.
    (clone / "objects" / "pack" / "tmp_pack_a1b2c3").write_bytes(bytes(1 << 20))
    git.refresh(source, cache=cache, runner=Runner())
    assert len(kept(cache)) == 1


def test_git_gets_a_bounded_part_of_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object may unpack to any size, and git has it in memory as a whole."""
    folder, runner = tmp_path / "source", Runner()
    git.Git(runner).call("init", "--quiet", "--bare", str(folder))
    own = git.Git(runner, folder)
    blob = own.run(Request(["hash-object", "-w", "--stdin"], input=bytes(64 << 20))).stdout.strip()
    tree = own.run(Request(["mktree"], input=f"100644 blob {blob}\tfile\n".encode())).stdout.strip()
    monkeypatch.setattr(git, "_MEMORY", 48 << 20)
    with pytest.raises(BuildError, match="Out of memory"):
        own.call("grep", "-e", "word", tree)


def test_references_that_are_too_many_to_be_read_are_refused(
    source: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are left out would be taken for removed ones."""
    folder = tmp_path / "source"
    names = "".join(f"create refs/heads/b{number} HEAD\n" for number in range(50))
    Runner().run(Request(["git", "-C", str(folder), "update-ref", "--stdin"], input=names.encode()))
    monkeypatch.setattr(output, "CAPTURE_HEAD", 500)
    monkeypatch.setattr(output, "CAPTURE_TAIL", 500)
    for origin in (source, locate(str(folder))):
        with pytest.raises(UsageError, match=r"names more references than are read \([0-9,]+ bytes\)"):
            git.refresh(origin, cache=tmp_path / "cache", runner=Runner())

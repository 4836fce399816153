"""Clones one commit into a folder that is thrown away after the build."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from itb.errors import TestbedError
from itb.model import Commit
from itb.process.request import Request
from itb.process.runner import Runner
from itb.source import tree_bounds
from itb.source.git import Git, cached_clone_path
from itb.source.resolve import commit_of, short_names


def checkout(commit: Commit, destination: Path, *, cache: Path, runner: Runner) -> Path:
    """Make a throwaway clone of a commit at ``destination``, which must not exist, and return it.

    The clone holds the commit and the tags that it had when it was looked up
    (its version is of these), but neither earlier history nor a remote, so
    that a build cannot reach the source.  Modes and times of its
    files are those of the commit, whatever umask and clock are.  Raises
    TestbedError if the commit is not in the cache, BuildError for a tree that
    is larger than any product's.
    """
    cached_clone = cached_clone_path(cache, commit.source)
    git, clone = Git(runner, cached_clone), Git(runner, destination / ".git")
    if not (cached_clone / "HEAD").is_file() or not commit_of(git, commit.id):
        raise TestbedError(
            f"commit {commit.id[:12]} of {commit.source} is no longer in the cache",
            hint="resolve the reference again: start a new run",
        )
    destination.parent.mkdir(parents=True, exist_ok=True)
    Git(runner).call("init", "--quiet", "--template=", "--initial-branch=itb", "--", str(destination))
    fetch = [
        "fetch",
        "--quiet",
        "--depth=1",
        "--no-tags",
        "--no-write-fetch-head",
        "--update-head-ok",
        "--",
        cached_clone.absolute().as_uri(),
        f"{commit.id}:refs/heads/itb",
    ]
    clone.run(Request(fetch, about=f"files of commit {commit.id[:12]}"))
    tree_bounds.check(clone, commit.id)
    now = short_names(git, "refs/tags/", f"--points-at={commit.id}") if commit.tags is None else ()
    for tag in commit.tags or now:
        clone.call("update-ref", f"refs/tags/{tag}", commit.id)
    clone.call("-C", str(destination), f"--work-tree={destination}", "checkout", "--quiet", "itb", "--")
    _normalise(destination, commit.epoch)
    return destination


def _normalise(folder: Path, seconds: int) -> None:
    """Set modes and times of all files and folders, except git's own, to values that depend on the commit only."""
    for path in _tree(folder):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode):
            path.chmod(0o755 if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else 0o644)
        os.utime(path, (seconds, seconds), follow_symlinks=False)


def _tree(folder: Path) -> Iterable[Path]:
    """Yield every path of a work tree, the folder itself last."""
    for parent, folders, files in os.walk(folder, topdown=True):
        if Path(parent) == folder:
            folders.remove(".git")
        yield from (Path(parent) / name for name in [*files, *folders])
    yield folder
